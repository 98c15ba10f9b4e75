"""Telling: who is told of a post, and as what. The one place where that is decided; `docs/notifications.md` shows the table.

The facts are those at the position of the post, so the answer is a function of the record. Whether somebody is told at once,
later or not at all, because they look at the room or sleep, is another matter: that is decided when it is due.
"""

from collections.abc import Iterable
from functools import lru_cache
from typing import Literal

from msgspec import Struct

from domain.ids import UserId
from domain.mention import MentionsRoom, outside_code
from domain.notification import Level
from domain.text import fold

# The strongest first: of several the first one is told.
PostKind = Literal["mention", "direct", "thread", "keyword", "room"]
Kind = PostKind | Literal["invitation", "file"]


class Post(Struct, frozen=True):
    """What there is to know of a post. `words` is its text without code, folded. `is_in_room`: it is no reply, or one that is
    shown in the room too."""

    sender_id: UserId
    words: str
    mentions: frozenset[UserId] = frozenset()
    mentions_room: MentionsRoom | None = None
    is_direct: bool = False
    is_in_room: bool = True


class Person(Struct, frozen=True):
    """What there is to know of somebody at the position of a post. `level` is what they want to be told of in its room,
    `keywords` are folded, `follows`: they follow the thread to which it belongs."""

    user_id: UserId
    is_member: bool = True
    has_blocked: bool = False
    level: Level = "mentions"
    keywords: tuple[str, ...] = ()
    follows: bool = False


def kind_for(post: Post, person: Person) -> PostKind | None:
    """Return as what somebody is told of a post; None if they are not."""
    if person.user_id == post.sender_id or not person.is_member or person.has_blocked or person.level == "none":
        return None
    if person.user_id in post.mentions or post.mentions_room is not None:
        return "mention"
    if post.is_direct:
        return "direct"
    if person.follows:
        return "thread"
    if any(has_word(post.words, keyword) for keyword in person.keywords):
        return "keyword"
    return "room" if person.level == "all" and post.is_in_room else None


def told(post: Post, people: Iterable[Person]) -> dict[UserId, PostKind]:
    """Return who is told of a post, and as what, in the order of the people."""
    kinds = ((person.user_id, kind_for(post, person)) for person in people)
    return {user_id: kind for user_id, kind in kinds if kind is not None}


def words_of(content: str) -> str:
    """Return the text of a message in which keywords are looked for: folded, and without code."""
    return fold("\n".join(outside_code(content)))


def has_word(words: str, keyword: str) -> bool:
    """Return whether a folded keyword stands in folded words as a word or words of its own, not as a part of another."""
    at = words.find(keyword)
    while at >= 0:
        end = at + len(keyword)
        if not (_joins(words[at - 1 : at], keyword[0]) or _joins(words[end : end + 1], keyword[-1])):
            return True
        at = words.find(keyword, at + 1)
    return False


def _joins(neighbour: str, edge: str) -> bool:
    """Return whether a neighbouring character makes a longer word of what begins or ends with this one."""
    return _is_of_word(neighbour) and _is_of_word(edge)


@lru_cache(maxsize=4_096)
def _is_of_word(character: str) -> bool:
    return character.isalnum() or character == "_"
