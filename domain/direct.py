"""Direct rooms: the room of a pair, or of up to ten people. Its id is made of theirs, so the same people have one.

It is a private room in which everybody is a member and nobody is an owner: the table of rights lets no member change it or
bring anybody in, and nobody leaves (`commands/membership.py`).
"""

from collections.abc import Sequence
from uuid import UUID, uuid5

from domain.bounds import DIRECT_PEOPLE_MAX
from domain.errors import InvalidError
from domain.ids import RoomId, UserId
from domain.membership import MemberJoined
from domain.room import RoomOpened

DIRECT = UUID("b1f6a0a6-7a0c-5f0e-9c35-4c1f1c0f4f7e")


def people_of(user_id: UserId, others: Sequence[UserId]) -> tuple[UserId, ...]:
    """Return who is in the room that somebody asks for, each once, in the order of their ids."""
    people = {user_id, *others}
    if not 2 <= len(people) <= DIRECT_PEOPLE_MAX:
        detail = f"A direct room is of 2 to {DIRECT_PEOPLE_MAX} people, oneself among them."
        raise InvalidError(detail, pointer="/user_ids")
    return tuple(sorted(people))


def room_id_of(people: Sequence[UserId]) -> RoomId:
    """Return the id of the room of these people, who are in the order of their ids."""
    return RoomId(uuid5(DIRECT, "/".join(map(str, people))))


def open_direct(people: tuple[UserId, ...], *, by: UserId) -> tuple[RoomOpened, tuple[MemberJoined, ...]]:
    """Open the room of these people, with all of them in it."""
    room_id = room_id_of(people)
    joined = tuple(MemberJoined(room_id, each, "member", by, is_direct=True) for each in people)
    return RoomOpened(room_id, "", None, True, by, direct=people), joined
