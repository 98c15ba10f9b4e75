"""What the state forbids beside the rights: a room's last owner, and what does not exist.

Every operation by every relation, over HTTP and sockets: `tests/gateway/test_rights.py`.
"""

from collections.abc import Callable
from typing import Any
from uuid import uuid4

from commands.command_bus import CommandBus
from commands.membership import JoinRoom, LeaveRoom, PutMember, RemoveMember
from commands.message import DeleteMessage, EditMessage, PostMessage
from commands.reading import MarkRead
from commands.room import ArchiveRoom, ChangeRoom, OpenRoom
from domain.errors import DomainError
from domain.events import Caller
from domain.ids import MessageId, RoomId, UserId
from tests.commands.test_desk import person
from tests.deployments import ledger


class Scene:
    """A room with a founder (an owner), a member, a message of the founder's, and somebody who asks."""

    def __init__(
        self, command_bus: CommandBus, founder: Caller, member: Caller, asking: Caller, outsider: Caller
    ) -> None:
        self.command_bus = command_bus
        self.founder = founder
        self.asking = asking
        self.founder_id, self.member_id = _id(founder), _id(member)
        self.asking_id, self.outsider_id = _id(asking), _id(outsider)
        self.room_id = RoomId(uuid4())
        self.message_id = MessageId(uuid4())

    async def set(self) -> None:
        await self.command_bus.do(OpenRoom(self.room_id, "Room"), self.founder)
        await self.command_bus.do(PutMember(self.room_id, self.member_id, "member"), self.founder)
        await self.command_bus.do(PostMessage(self.room_id, self.message_id, "hi"), self.founder)

    async def told(self, operation: str) -> str:
        try:
            outcome = await self.command_bus.do(OPERATIONS[operation](self), self.asking)
        except DomainError as refusal:
            return type(refusal).__name__
        return "ok" if outcome.events else "-"


def _id(caller: Caller) -> UserId:
    assert caller.user_id
    return caller.user_id


OPERATIONS: dict[str, Callable[[Scene], Any]] = {
    "post": lambda s: PostMessage(s.room_id, MessageId(uuid4()), "hello"),
    "edit": lambda s: EditMessage(s.message_id, "changed"),
    "delete": lambda s: DeleteMessage(s.message_id),
    "join": lambda s: JoinRoom(s.room_id),
    "leave": lambda s: LeaveRoom(s.room_id),
    "read": lambda s: MarkRead(s.room_id, 10**9),
    "change": lambda s: ChangeRoom(s.room_id, name="Renamed"),
    "archive": lambda s: ArchiveRoom(s.room_id),
    "add": lambda s: PutMember(s.room_id, s.outsider_id, "member"),
    "add_admin": lambda s: PutMember(s.room_id, s.outsider_id, "admin"),
    "promote": lambda s: PutMember(s.room_id, s.member_id, "admin"),
    "demote_owner": lambda s: PutMember(s.room_id, s.founder_id, "member"),
    "remove_member": lambda s: RemoveMember(s.room_id, s.member_id, ban=True),
    "remove_owner": lambda s: RemoveMember(s.room_id, s.founder_id),
    "remove_nobody": lambda s: RemoveMember(s.room_id, s.outsider_id),
    "remove_self": lambda s: RemoveMember(s.room_id, s.asking_id),
}


async def test_the_last_owner_neither_leaves_nor_steps_down(database_url: str) -> None:
    async with ledger(database_url) as (_, _, command_bus):
        founder, member = await person(command_bus), await person(command_bus)
        scene = Scene(command_bus, founder, member, founder, await person(command_bus))
        await scene.set()
        assert await scene.told("leave") == "LastOwnerError"
        assert await scene.told("demote_owner") == "LastOwnerError"
        assert await scene.told("remove_self") == "LeaveInsteadError"
        await command_bus.do(PutMember(scene.room_id, scene.member_id, "owner"), founder)
        assert await scene.told("leave") == "ok"


async def test_what_does_not_exist_is_not_found(database_url: str) -> None:
    async with ledger(database_url) as (_, _, command_bus):
        founder, member, asking, outsider = [await person(command_bus) for _ in range(4)]
        nowhere = Scene(command_bus, founder, member, asking, outsider)
        told = {operation: await nowhere.told(operation) for operation in OPERATIONS}
        assert {told.pop("edit"), told.pop("delete")} == {"MessageNotFoundError"}
        assert set(told.values()) == {"RoomNotFoundError"}
        room = Scene(command_bus, founder, member, founder, Caller(user_id=UserId(uuid4())))
        await room.set()
        assert await room.told("add") == "AccountNotFoundError"
