"""Look-alikes: names that people take for one another, by Unicode's own table (UTS 39, section 4, "skeleton").

Two names look alike if they have a skeleton in common. Names are displayed as they were typed and compared case-folded, so
a name has up to two skeletons: one of each form (a capital I looks like an l; a capital Greek rho is folded to a small
one). The digit 0 looks like an O, 1 like an l, and m like r and n: `modern` and `rnodern`, `user1` and `userl` look alike.
"""

import gzip
import unicodedata
from functools import lru_cache
from importlib.resources import files

from domain.text import fold


def skeletons(name: str) -> frozenset[str]:
    """Return the skeletons of a name. No other account's name may have one of them."""
    return frozenset(fold(_skeleton(form)) for form in (unicodedata.normalize("NFKC", name), fold(name)))


def _skeleton(text: str) -> str:
    return unicodedata.normalize("NFD", unicodedata.normalize("NFD", text).translate(_prototypes()))


@lru_cache(maxsize=1)
def _prototypes() -> dict[int, str]:
    """Return the shipped table (`domain/confusables.md`)."""
    packed = (files("domain") / "confusables.txt.gz").read_bytes()
    lines = (line.split(" ") for line in gzip.decompress(packed).decode().splitlines() if not line.startswith("#"))
    return {int(code, 16): "".join(chr(int(c, 16)) for c in to if c) for code, *to in lines}
