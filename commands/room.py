"""Rooms: opening, changing, archiving. `enter` is what every command in a room asks first."""

from msgspec import UNSET, Struct, UnsetType

from commands.desk import Handler, Work
from domain import room as decide
from domain.account import ACCOUNT, require_active
from domain.ids import RoomId, UserId
from domain.membership import MEMBERSHIP, MemberJoined, MemberRole, Membership, admit, require_member, require_role
from domain.message import require_version
from domain.refusals import RoomNotFound
from domain.room import ROOM, History, Room
from domain.text import check_room_description, check_room_name


class OpenRoom(Struct, frozen=True):
    """The caller becomes its owner."""

    room_id: RoomId
    name: str
    description: str | None = None
    is_private: bool = False


class ChangeRoom(Struct, frozen=True):
    """UNSET: stays as it is. `version` None: whatever it is."""

    room_id: RoomId
    name: str | UnsetType = UNSET
    description: str | None | UnsetType = UNSET
    is_private: bool | UnsetType = UNSET
    history: History | UnsetType = UNSET
    version: int | None = None


class ArchiveRoom(Struct, frozen=True):
    room_id: RoomId
    version: int | None = None


async def enter(work: Work, room_id: RoomId) -> tuple[Room, Membership | None, UserId]:
    """Load the room, the caller's membership and account; refuse whoever may not know of the room, or is banned."""
    user_id = work.caller.user_id
    assert user_id, "the door lets no stranger here"
    room, membership, account = await work.load_all(
        (ROOM, (room_id,)), (MEMBERSHIP, (room_id, user_id)), (ACCOUNT, (user_id,))
    )
    require_active(account)
    if room is None:
        raise RoomNotFound
    admit(membership, is_private=room.is_private)
    return room, membership, user_id


async def enter_as_member(work: Work, room_id: RoomId) -> tuple[Room, Membership, UserId]:
    """The same for what only members may do, in a room that is not archived."""
    room, membership, user_id = await enter(work, room_id)
    member = require_member(membership)
    decide.require_open(room)
    return room, member, user_id


async def enter_as(work: Work, room_id: RoomId, *roles: MemberRole) -> tuple[Room, Membership, UserId]:
    """The same for what only these roles may do."""
    room, membership, user_id = await enter(work, room_id)
    member = require_role(membership, *roles)
    decide.require_open(room)
    return room, member, user_id


async def open_room(command: OpenRoom, work: Work) -> None:
    user_id = work.caller.user_id
    assert user_id, "the door lets no stranger here"
    require_active(await work.load(ACCOUNT, user_id))
    check_room_name(command.name)
    if command.description is not None:
        check_room_description(command.description)
    existing = await work.load_new(ROOM, command.room_id)
    assert existing is None, "a room's id is minted for it"
    await work.load_new(MEMBERSHIP, command.room_id, user_id)
    opened = decide.open_room(
        room_id=command.room_id,
        name=command.name,
        description=command.description,
        is_private=command.is_private,
        owner_id=user_id,
    )
    work.write(ROOM, command.room_id, events=opened)
    joined = MemberJoined(command.room_id, user_id, "owner", by=user_id)
    work.write(MEMBERSHIP, command.room_id, user_id, events=(joined,))


async def change(command: ChangeRoom, work: Work) -> None:
    room, _, user_id = await enter_as(work, command.room_id, "owner", "admin")
    require_version(work.version(ROOM, command.room_id), command.version)
    if isinstance(command.name, str):
        check_room_name(command.name)
    if isinstance(command.description, str):
        check_room_description(command.description)
    events = decide.change(
        room,
        name=command.name,
        description=command.description,
        is_private=command.is_private,
        history=command.history,
        by=user_id,
    )
    work.write(ROOM, command.room_id, events=events)


async def archive(command: ArchiveRoom, work: Work) -> None:
    room, membership, user_id = await enter(work, command.room_id)
    require_role(membership, "owner")
    require_version(work.version(ROOM, command.room_id), command.version)
    work.write(ROOM, command.room_id, events=decide.archive(room, by=user_id))


HANDLERS: dict[type[Struct], Handler] = {OpenRoom: open_room, ChangeRoom: change, ArchiveRoom: archive}
