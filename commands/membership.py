"""Memberships: joining and leaving, and what owners and admins do to members.

When an owner comes or goes, the room's stream, which holds the set of owners, is written in the same append.
"""

from msgspec import Struct

from commands.room import enter
from commands.unit_of_work import Handler, UnitOfWork
from domain import membership as decide
from domain import room as room_decide
from domain.account import ACCOUNT, require_active
from domain.errors import DirectRoomError
from domain.ids import RoomId, UserId
from domain.membership import MEMBERSHIP, MemberRole
from domain.room import ROOM


class JoinRoom(Struct, frozen=True):
    room_id: RoomId


class LeaveRoom(Struct, frozen=True):
    room_id: RoomId


class PutMember(Struct, frozen=True):
    """Add somebody, or change their role."""

    room_id: RoomId
    user_id: UserId
    role: MemberRole


class RemoveMember(Struct, frozen=True):
    room_id: RoomId
    user_id: UserId
    ban: bool = False


async def join(command: JoinRoom, unit: UnitOfWork) -> None:
    _, membership, user_id = await enter(unit, command.room_id, "room.join")
    events = decide.join(membership, room_id=command.room_id, user_id=user_id)
    unit.write(MEMBERSHIP, command.room_id, user_id, events=events)


async def leave(command: LeaveRoom, unit: UnitOfWork) -> None:
    entered = await enter(unit, command.room_id, "room.leave")
    if entered.room.direct:
        raise DirectRoomError
    unit.write(MEMBERSHIP, command.room_id, entered.user_id, events=decide.leave(entered.member))
    unit.write(ROOM, command.room_id, events=room_decide.remove_owner(entered.room, user_id=entered.user_id))


async def put(command: PutMember, unit: UnitOfWork) -> None:
    entered = await enter(unit, command.room_id, decide.putting(command.role))
    target, account = await unit.load_all(
        (MEMBERSHIP, (command.room_id, command.user_id)), (ACCOUNT, (command.user_id,))
    )
    require_active(account)
    events = decide.put(entered.member, target, room_id=command.room_id, user_id=command.user_id, role=command.role)
    unit.write(MEMBERSHIP, command.room_id, command.user_id, events=events)
    if not events:
        return
    owners = room_decide.add_owner if command.role == "owner" else room_decide.remove_owner
    unit.write(ROOM, command.room_id, events=owners(entered.room, user_id=command.user_id))


async def remove(command: RemoveMember, unit: UnitOfWork) -> None:
    entered = await enter(unit, command.room_id, "member.remove")
    target = await unit.load(MEMBERSHIP, command.room_id, command.user_id)
    events = decide.remove(entered.member, target, ban=command.ban)
    unit.write(MEMBERSHIP, command.room_id, command.user_id, events=events)
    unit.write(ROOM, command.room_id, events=room_decide.remove_owner(entered.room, user_id=command.user_id))


HANDLERS: dict[type[Struct], Handler] = {JoinRoom: join, LeaveRoom: leave, PutMember: put, RemoveMember: remove}
