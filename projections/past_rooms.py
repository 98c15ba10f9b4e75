"""What rooms and their members were at any position, and where the history of rooms stands.

Owns `read.past_rooms`, `read.past_roles`, `read.past_stays`, `read.past_member_counts` and `read.room_changes`. Handlers are
functions of one event, as everywhere: a row says what became so, and whoever asks for a position takes the last row up to
it. Only a stay has an end, which is a part of its key, so that the event that ends it need not know when it began. How many
members there were is a sum of stretches, at most 1,024 of each level, however long the room has been there.
"""

from collections.abc import Iterable, Iterator
from typing import Any

from domain.events import Recorded
from domain.ids import RoomId
from domain.membership import MemberJoined, MemberLeft, MemberRemoved, MemberRoleChanged
from domain.pin import MessagePinned, MessageUnpinned
from domain.room import OwnersChanged, RoomArchived, RoomChanged, RoomOpened
from domain.text import fold
from projections.tables import Change, Projection, Table

OPEN = 2**63 - 1  # of a stay that has not ended
STRETCH_BITS = 10
LEVELS = 4

ROOMS = Table(
    "read.past_rooms",
    key={"room_id": "uuid", "position": "bigint"},
    columns={
        "at": "timestamptz",
        "version": "int",
        "name": "text",
        "name_folded": "text",
        "description": "text",
        "is_private": "bool",
        "history": "text",
        "topic": "text",
        "owner_id": "uuid",
        "is_archived": "bool",
    },
)
ROLES = Table(
    "read.past_roles", key={"room_id": "uuid", "user_id": "uuid", "position": "bigint"}, columns={"role": "text"}
)
STAYS = Table(
    "read.past_stays",
    key={"room_id": "uuid", "user_id": "uuid", "until_position": "bigint"},
    columns={"joined_position": "bigint", "joined_at": "timestamptz"},
)
MEMBER_COUNTS = Table(
    "read.past_member_counts", key={"room_id": "uuid", "level": "int", "stretch": "bigint"}, columns={"net": "int"}
)
CHANGES = Table(
    "read.room_changes", key={"room_id": "uuid", "position": "bigint"}, columns={"posted_position": "bigint"}
)


def opened(recorded: Recorded[RoomOpened]) -> Iterable[Change]:
    e = recorded.event
    yield ROOMS.new(
        e.room_id, recorded.position, at=recorded.at, version=recorded.version, name=e.name, name_folded=fold(e.name),
        description=e.description, is_private=e.is_private, history=e.history, owner_id=e.owner_id,
    )  # fmt: skip
    yield CHANGES.new(e.room_id, recorded.position)


def changed(recorded: Recorded[RoomChanged]) -> Iterable[Change]:
    e = recorded.event
    yield ROOMS.new(
        e.room_id, recorded.position, at=recorded.at, version=recorded.version, name=e.name, name_folded=fold(e.name),
        description=e.description or None, is_private=e.is_private, history=e.history, topic=e.room_topic,
    )  # fmt: skip
    yield CHANGES.new(e.room_id, recorded.position)


def archived(recorded: Recorded[RoomArchived]) -> Iterable[Change]:
    e = recorded.event
    yield ROOMS.new(e.room_id, recorded.position, at=recorded.at, version=recorded.version, is_archived=True)
    yield CHANGES.new(e.room_id, recorded.position)


def owners_changed(recorded: Recorded[OwnersChanged]) -> Iterable[Change]:
    e = recorded.event
    yield ROOMS.new(e.room_id, recorded.position, at=recorded.at, version=recorded.version, owner_id=e.owner_ids[0])


def joined(recorded: Recorded[MemberJoined]) -> Iterable[Change]:
    e = recorded.event
    yield ROLES.new(e.room_id, e.user_id, recorded.position, role=e.role)
    yield STAYS.new(e.room_id, e.user_id, OPEN, joined_position=recorded.position, joined_at=recorded.at)
    yield from _counted(e.room_id, recorded.position, 1)
    yield CHANGES.new(e.room_id, recorded.position)


def gone(recorded: Recorded[MemberLeft | MemberRemoved]) -> Iterable[Change]:
    e = recorded.event
    yield ROLES.new(e.room_id, e.user_id, recorded.position)
    yield STAYS.move(e.room_id, e.user_id, OPEN, to=recorded.position)
    yield from _counted(e.room_id, recorded.position, -1)
    yield CHANGES.new(e.room_id, recorded.position)


def role_changed(recorded: Recorded[MemberRoleChanged]) -> Iterable[Change]:
    e = recorded.event
    yield ROLES.new(e.room_id, e.user_id, recorded.position, role=e.role)
    yield CHANGES.new(e.room_id, recorded.position)


def pinned(recorded: Recorded[MessagePinned | MessageUnpinned]) -> Iterable[Change]:
    yield CHANGES.new(recorded.event.room_id, recorded.position, posted_position=recorded.event.posted_position)


def _counted(room_id: RoomId, position: int, by: int) -> Iterator[Change]:
    for level in range(LEVELS):
        yield MEMBER_COUNTS.sum(room_id, level, position >> STRETCH_BITS * level, net=by)


HANDLERS: dict[type[Any], Any] = {
    RoomOpened: opened,
    RoomChanged: changed,
    RoomArchived: archived,
    OwnersChanged: owners_changed,
    MemberJoined: joined,
    MemberLeft: gone,
    MemberRemoved: gone,
    MemberRoleChanged: role_changed,
    MessagePinned: pinned,
    MessageUnpinned: pinned,
}
PROJECTION = Projection(tables=(ROOMS, ROLES, STAYS, MEMBER_COUNTS, CHANGES), handlers=HANDLERS)
