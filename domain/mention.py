"""Mentions: whom a text names. What stands in code names nobody.

Names are found at the moment of posting and recorded as ids, so that a later change of a name changes nothing.
"""

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Literal, NamedTuple

from domain.bounds import MENTIONS_MAX, USERNAME_CHARS_MAX
from domain.ids import UserId
from domain.text import fold

MentionsRoom = Literal["here", "room"]
# It begins with the letter that is looked for, and looks back from there: so whole texts are passed over at once.
NAMED = re.compile(rf"@(?<![\w@./-]@)([\w.-]{{2,{USERNAME_CHARS_MAX}}})(?![\w@])")
BACKTICKS = re.compile(r"`+")
FENCE_CHARS_MIN = 3
NAMES_KEPT = 4_096  # of which it is remembered how they may be meant
WHOLE: dict[str, MentionsRoom] = {"room": "room", "here": "here"}
WHOLE_ASCII = re.compile("@(?:room|here)", re.IGNORECASE)  # what else folds to these is not ASCII


class Mentions(NamedTuple):
    """Who is mentioned, in the order of the text, and whether all of the room are, or all who are here."""

    user_ids: tuple[UserId, ...] = ()
    whole: MentionsRoom | None = None


def names_in(content: str) -> list[str]:
    """Return the names after `@` outside of code, as they are written, each once, at most `MENTIONS_MAX`."""
    found = dict.fromkeys(name for part in outside_code(content) for name in NAMED.findall(part))
    return list(found)[:MENTIONS_MAX]


@lru_cache(maxsize=NAMES_KEPT)
def spellings_of(name: str) -> tuple[str, ...]:
    """Return what a name may be meant as, folded: a dot or hyphen at its end may belong to the sentence."""
    return tuple(dict.fromkeys(map(fold, (name, name.rstrip(".-")))))


@lru_cache(maxsize=NAMES_KEPT)
def whole_of(name: str) -> MentionsRoom | None:
    """Return what a name means if it is none of a person but of everybody."""
    return next((WHOLE[each] for each in spellings_of(name) if each in WHOLE), None)


def names_all(content: str) -> bool:
    """Return whether a text names everybody in a room, or everybody who is here."""
    if "@" not in content or (content.isascii() and not WHOLE_ASCII.search(content)):
        return False
    return any(whole_of(name) for name in names_in(content))


def outside_code(content: str) -> Iterator[str]:
    """Return the parts of a text between code spans and fences: backticks up to as many again, or a fence to the end."""
    if "`" not in content:
        yield content
        return
    runs = [found.span() for found in BACKTICKS.finditer(content)]
    closing: dict[int, int] = {}
    closed_by: list[int | None] = [None] * len(runs)
    for i in range(len(runs) - 1, -1, -1):
        length = runs[i][1] - runs[i][0]
        closed_by[i], closing[length] = closing.get(length), i
    at, i = 0, 0
    while i < len(runs):
        begin, end = runs[i]
        closer = closed_by[i]
        if closer is not None:
            yield content[at:begin]
            at, i = runs[closer][1], closer
        elif end - begin >= FENCE_CHARS_MIN and content[:begin].rpartition("\n")[2].strip() == "":
            yield content[at:begin]
            return
        i += 1
    yield content[at:]
