"""Who may do what in a room: every operation × every relation, with the very refusal that each is answered.

Read a line as: in a room of this kind, somebody of this relation asks for this operation, and is told that.
"""

from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest

from commands.desk import Desk
from commands.membership import JoinRoom, LeaveRoom, PutMember, RemoveMember
from commands.message import DeleteMessage, EditMessage, PostMessage
from commands.reading import MarkRead
from commands.room import ArchiveRoom, ChangeRoom, OpenRoom
from domain.facts import Caller
from domain.ids import MessageId, RoomId, UserId
from domain.refusals import Refused, RoleTooLow
from tests.commands.test_desk import person
from tests.houses import ledger

RELATIONS = ("stranger", "left", "removed", "banned", "member", "admin", "owner")

# stranger, left, removed, banned, member, admin, owner. `ok`: facts; `-`: nothing to change.
PUBLIC = """
    post            NotAMember  NotAMember  NotAMember  Banned  ok              ok              ok
    edit            NotAMember  NotAMember  NotAMember  Banned  NotYourMessage  NotYourMessage  NotYourMessage
    delete          NotAMember  NotAMember  NotAMember  Banned  NotYourMessage  ok              ok
    join            ok          ok          ok          Banned  -               -               -
    leave           NotAMember  NotAMember  NotAMember  Banned  ok              ok              ok
    read            NotAMember  NotAMember  NotAMember  Banned  ok              ok              ok
    change          NotAMember  NotAMember  NotAMember  Banned  RoleTooLow      ok              ok
    archive         NotAMember  NotAMember  NotAMember  Banned  RoleTooLow      RoleTooLow      ok
    add             NotAMember  NotAMember  NotAMember  Banned  RoleTooLow      ok              ok
    add_admin       NotAMember  NotAMember  NotAMember  Banned  RoleTooLow      RoleTooLow      ok
    promote         NotAMember  NotAMember  NotAMember  Banned  RoleTooLow      RoleTooLow      ok
    demote_owner    NotAMember  NotAMember  NotAMember  Banned  RoleTooLow      RoleTooLow      ok
    remove_member   NotAMember  NotAMember  NotAMember  Banned  RoleTooLow      ok              ok
    remove_owner    NotAMember  NotAMember  NotAMember  Banned  RoleTooLow      RoleTooLow      ok
    remove_nobody   NotAMember  NotAMember  NotAMember  Banned  RoleTooLow      MemberNotFound  MemberNotFound
    remove_self     NotAMember  NotAMember  NotAMember  Banned  RoleTooLow      RoleTooLow      RoleTooLow
"""
# Of what is private, whoever is not in it learns nothing; members are answered as in a public room.
PRIVATE = """
    post            RoomNotFound
    edit            MessageNotFound
    delete          MessageNotFound
    join            RoomNotFound
    leave           RoomNotFound
    read            RoomNotFound
    change          RoomNotFound
    archive         RoomNotFound
    add             RoomNotFound
    add_admin       RoomNotFound
    promote         RoomNotFound
    demote_owner    RoomNotFound
    remove_member   RoomNotFound
    remove_owner    RoomNotFound
    remove_nobody   RoomNotFound
    remove_self     RoomNotFound
"""
# Archived: history stays and can be marked as read, nothing else can be written; who may not is told that first.
ARCHIVED = """
    post            NotAMember    NotAMember    NotAMember    Banned  RoomArchived  RoomArchived  RoomArchived
    edit            NotAMember    NotAMember    NotAMember    Banned  RoomArchived  RoomArchived  RoomArchived
    delete          NotAMember    NotAMember    NotAMember    Banned  RoomArchived  RoomArchived  RoomArchived
    join            RoomArchived  RoomArchived  RoomArchived  Banned  RoomArchived  RoomArchived  RoomArchived
    leave           NotAMember    NotAMember    NotAMember    Banned  RoomArchived  RoomArchived  RoomArchived
    read            NotAMember    NotAMember    NotAMember    Banned  ok            ok            ok
    change          NotAMember    NotAMember    NotAMember    Banned  RoleTooLow    RoomArchived  RoomArchived
    archive         NotAMember    NotAMember    NotAMember    Banned  RoleTooLow    RoleTooLow    -
    add             NotAMember    NotAMember    NotAMember    Banned  RoleTooLow    RoomArchived  RoomArchived
    remove_member   NotAMember    NotAMember    NotAMember    Banned  RoleTooLow    RoomArchived  RoomArchived
"""


class Scene:
    """A room with a founder (an owner), a member, a message of the founder's, and somebody who asks."""

    def __init__(self, desk: Desk, founder: Caller, member: Caller, asking: Caller, outsider: Caller) -> None:
        self.desk = desk
        self.founder = founder
        self.asking = asking
        self.founder_id, self.member_id = _id(founder), _id(member)
        self.asking_id, self.outsider_id = _id(asking), _id(outsider)
        self.room_id = RoomId(uuid4())
        self.message_id = MessageId(uuid4())

    async def set(self, relation: str, *, is_private: bool, is_archived: bool) -> None:
        founder, do = self.founder, self.desk.do
        await do(OpenRoom(self.room_id, "Room", is_private=is_private), founder)
        await do(PutMember(self.room_id, self.member_id, "member"), founder)
        await do(PostMessage(self.room_id, self.message_id, "hi"), founder)
        if relation != "stranger":
            role: Any = relation if relation in ("admin", "owner") else "member"
            await do(PutMember(self.room_id, self.asking_id, role), founder)
        if relation == "left":
            await do(LeaveRoom(self.room_id), self.asking)
        elif relation in ("removed", "banned"):
            await do(RemoveMember(self.room_id, self.asking_id, ban=relation == "banned"), founder)
        if is_archived:
            await do(ArchiveRoom(self.room_id), founder)

    async def told(self, operation: str) -> str:
        try:
            outcome = await self.desk.do(OPERATIONS[operation](self), self.asking)
        except Refused as refusal:
            return "RoleTooLow" if isinstance(refusal, RoleTooLow) else type(refusal).__name__
        return "ok" if outcome.facts else "-"


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


def table(text: str) -> dict[str, list[str]]:
    return {line.split()[0]: line.split()[1:] for line in text.strip().splitlines()}


def private() -> dict[str, list[str]]:
    members = table(PUBLIC)
    return {operation: refusal * 4 + members[operation][4:] for operation, refusal in table(PRIVATE).items()}


@pytest.mark.parametrize(
    ("expected", "is_private", "is_archived"),
    [(table(PUBLIC), False, False), (private(), True, False), (table(ARCHIVED), False, True)],
    ids=["public", "private", "archived"],
)
async def test_every_operation_by_every_relation(
    database_url: str, expected: dict[str, list[str]], is_private: bool, is_archived: bool
) -> None:
    async with ledger(database_url) as (_, _, desk):
        founder, member, asking, outsider = [await person(desk) for _ in range(4)]
        answered: dict[str, list[str]] = {operation: [] for operation in expected}
        for operation in expected:
            for relation in RELATIONS:
                scene = Scene(desk, founder, member, asking, outsider)
                await scene.set(relation, is_private=is_private, is_archived=is_archived)
                answered[operation].append(await scene.told(operation))
        assert answered == expected


async def test_the_last_owner_neither_leaves_nor_steps_down(database_url: str) -> None:
    async with ledger(database_url) as (_, _, desk):
        founder, member = await person(desk), await person(desk)
        scene = Scene(desk, founder, member, founder, await person(desk))
        await scene.set("stranger", is_private=False, is_archived=False)
        assert await scene.told("leave") == "LastOwner"
        assert await scene.told("demote_owner") == "LastOwner"
        assert await scene.told("remove_self") == "RoleTooLow"
        await desk.do(PutMember(scene.room_id, scene.member_id, "owner"), founder)
        assert await scene.told("leave") == "ok"


async def test_what_does_not_exist_is_not_found(database_url: str) -> None:
    async with ledger(database_url) as (_, _, desk):
        founder, member, asking, outsider = [await person(desk) for _ in range(4)]
        nowhere = Scene(desk, founder, member, asking, outsider)
        told = {operation: await nowhere.told(operation) for operation in OPERATIONS}
        assert {told.pop("edit"), told.pop("delete")} == {"MessageNotFound"}
        assert set(told.values()) == {"RoomNotFound"}
        room = Scene(desk, founder, member, founder, Caller(user_id=UserId(uuid4())))
        await room.set("stranger", is_private=False, is_archived=False)
        assert await room.told("add") == "AccountNotFound"
