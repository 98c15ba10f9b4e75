"""Acts: what somebody does in the town, as a command, and which streams it reads and writes.

Acts that run side by side touch different streams, so that none of them is decided twice and their order is theirs.
"""

from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import NamedTuple

from msgspec import Struct

from domain.events import Caller
from domain.membership import MemberRole
from runtime.operators.generating.town import Person, Room, Town

OPERATOR = Caller(agent="hansard account")
EXPIRY = datetime(2124, 1, 1, tzinfo=UTC)  # no generated session ends by itself
Key = tuple[object, ...]


class Act(NamedTuple):
    """A command, who gives it, and the streams that it reads and writes."""

    command: Struct
    caller: Caller
    reads: frozenset[Key]
    writes: frozenset[Key]


# Makes an act of somebody; None if what was drawn is not possible in the town now.
Make = Callable[[Town], Act | None]


def act(command: Struct, caller: Caller, *, reads: Iterable[Key] = (), writes: Iterable[Key]) -> Act:
    return Act(command, caller, frozenset(reads), frozenset(writes))


def in_room(who: Person, room: Room) -> tuple[Key, ...]:
    """Return what every command in a room reads."""
    return ("room", room.id), ("membership", room.id, who.id), ("account", who.id)


def in_some_room(town: Town) -> tuple[Room, Person] | None:
    """Return a room in which something may happen, and one of its members."""
    room = town.some_room()
    who = None if room.is_archived else town.some_member(room)
    return None if who is None else (room, who)


def moderator(town: Town, room: Room, *roles: MemberRole) -> Person | None:
    if room.is_archived or room.is_direct or not (found := room.by_role(*(roles or ("owner", "admin")))):
        return None
    who = town.people[found[0]]
    return who if who.is_active else None


def some_hash(town: Town) -> str:
    return f"{town.chance.getrandbits(256):064x}"
