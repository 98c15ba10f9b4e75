"""Rooms: opening, changing, archiving. `enter` comes first in every command in a room."""

from typing import NamedTuple

from msgspec import UNSET, Struct, UnsetType

from commands.unit_of_work import Handler, UnitOfWork
from domain import room as decide
from domain.account import ACCOUNT, require_active
from domain.authorization import require_in_room
from domain.ids import RoomId, UserId
from domain.membership import MEMBERSHIP, MemberJoined, Membership, relationship_of
from domain.message import Versions, require_version
from domain.rights import RoomOperation
from domain.room import ROOM, History, Room
from domain.text import check_room_description, check_room_name, check_room_topic


class OpenRoom(Struct, frozen=True):
    """The caller becomes its owner."""

    room_id: RoomId
    name: str
    description: str | None = None
    is_private: bool = False


class ChangeRoom(Struct, frozen=True):
    """UNSET leaves a field as it is. `version` None fits any version."""

    room_id: RoomId
    name: str | UnsetType = UNSET
    description: str | None | UnsetType = UNSET
    is_private: bool | UnsetType = UNSET
    history: History | UnsetType = UNSET
    room_topic: str | None | UnsetType = UNSET
    version: Versions = None


class ArchiveRoom(Struct, frozen=True):
    room_id: RoomId
    version: Versions = None


class Entered(NamedTuple):
    """A room, and the caller who may do something there, with their membership."""

    room: Room
    membership: Membership | None
    user_id: UserId

    @property
    def member(self) -> Membership:
        """The caller's membership. Only for operations that the table of rights allows to members alone."""
        assert self.membership is not None and self.membership.role is not None, (
            "the table of rights allows this to members alone"
        )
        return self.membership

    def may_know_of(self, position: int) -> bool:
        """Return whether this member may see what happened at a position."""
        return self.room.history == "shared" or position >= self.member.joined_position


async def enter(unit: UnitOfWork, room_id: RoomId, operation: RoomOperation) -> Entered:
    """Load the room, and the caller's membership and account. Raise `DomainError` if they may not do this there."""
    user_id = unit.caller.user_id
    assert user_id, "authentication lets no stranger here"
    room, membership, account = await unit.load_all(
        (ROOM, (room_id,)), (MEMBERSHIP, (room_id, user_id)), (ACCOUNT, (user_id,))
    )
    require_active(account)
    require_in_room(operation, None if room is None else room.kind, relationship_of(membership))
    return Entered(room, membership, user_id)


async def open_room(command: OpenRoom, unit: UnitOfWork) -> None:
    user_id = unit.caller.user_id
    assert user_id, "authentication lets no stranger here"
    require_active(await unit.load(ACCOUNT, user_id))
    check_room_name(command.name)
    if command.description is not None:
        check_room_description(command.description)
    existing = await unit.load_new(ROOM, command.room_id)
    assert existing is None, "every room gets a new id"
    await unit.load_new(MEMBERSHIP, command.room_id, user_id)
    opened = decide.open_room(
        room_id=command.room_id,
        name=command.name,
        description=command.description,
        is_private=command.is_private,
        owner_id=user_id,
    )
    unit.write(ROOM, command.room_id, events=opened)
    joined = MemberJoined(command.room_id, user_id, "owner", by=user_id)
    unit.write(MEMBERSHIP, command.room_id, user_id, events=(joined,))


async def change(command: ChangeRoom, unit: UnitOfWork) -> None:
    room, _, user_id = await enter(unit, command.room_id, "room.change")
    require_version(unit.version(ROOM, command.room_id), command.version)
    if isinstance(command.name, str):
        check_room_name(command.name)
    if isinstance(command.description, str):
        check_room_description(command.description)
    if isinstance(command.room_topic, str):
        check_room_topic(command.room_topic)
    events = decide.change(
        room,
        name=command.name,
        description=command.description,
        is_private=command.is_private,
        history=command.history,
        room_topic=command.room_topic,
        by=user_id,
    )
    unit.write(ROOM, command.room_id, events=events)


async def archive(command: ArchiveRoom, unit: UnitOfWork) -> None:
    room, _, user_id = await enter(unit, command.room_id, "room.archive")
    require_version(unit.version(ROOM, command.room_id), command.version)
    unit.write(ROOM, command.room_id, events=decide.archive(room, by=user_id))


HANDLERS: dict[type[Struct], Handler] = {OpenRoom: open_room, ChangeRoom: change, ArchiveRoom: archive}
