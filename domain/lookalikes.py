"""Look-alikes: names that people take for one another, by Unicode's own table (UTS 39, section 4, "skeleton").

Two names look alike where their skeletons are equal. Names are shown as they were typed and compared case-folded, so a
name has up to two: of what is shown (a capital I is an l), and of what is compared (a capital Greek rho is a small one).
A digit 0 is an O, 1 an l, and m is r and n: `modern` and `rnodern`, `user1` and `userl` look alike.
"""

import gzip
import unicodedata
from functools import lru_cache
from importlib.resources import files

from domain.text import fold


def skeletons(name: str) -> frozenset[str]:
    """Return what nobody else's name may share with this one."""
    return frozenset(fold(_skeleton(form)) for form in (unicodedata.normalize("NFKC", name), fold(name)))


def _skeleton(text: str) -> str:
    return unicodedata.normalize("NFD", unicodedata.normalize("NFD", text).translate(_prototypes()))


@lru_cache(maxsize=1)
def _prototypes() -> dict[int, str]:
    """Return the shipped table (`domain/confusables.md`)."""
    packed = (files("domain") / "confusables.txt.gz").read_bytes()
    lines = (line.split(" ") for line in gzip.decompress(packed).decode().splitlines() if not line.startswith("#"))
    return {int(code, 16): "".join(chr(int(c, 16)) for c in to if c) for code, *to in lines}
