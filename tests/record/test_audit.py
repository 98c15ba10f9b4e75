"""The auditor's entries: of whatever changes something they show what was before, under the names of the contract."""

from typing import Any
from uuid import uuid4

from adapters.postgres.audit import AuditReader
from adapters.postgres.audit_index import Filter
from adapters.postgres.data_keys import Vault
from commands.account import Activate, ChangeProfile, Deactivate, GrantRole, RegisterAccount, RevokeRole
from commands.block import BlockUser, UnblockUser
from commands.membership import LeaveRoom, PutMember, RemoveMember
from commands.message import DeleteMessage, EditMessage, PostMessage
from commands.pin import PinMessage, UnpinMessage
from commands.reaction import AddReaction, RemoveReaction
from commands.reading import MarkRead
from commands.room import ArchiveRoom, ChangeRoom, OpenRoom
from domain.events import Caller
from domain.ids import MessageId, RoomId, UserId
from tests.deployments import MASTER, ledger

EMPTY_ROOM = {"description": None, "history": "shared", "is_private": False}
# Type, what of its data matters, and what was before.
EXPECTED: list[tuple[str, dict[str, Any], dict[str, Any] | None]] = [
    ("account.registered", {"username": "ada"}, None),
    ("account.registered", {"username": "ben"}, None),
    ("account.profile_changed", {"username": "ada", "avatar_url": "https://a.example/1"}, {"avatar_url": None}),
    ("account.profile_changed", {"username": "countess"}, {"username": "ada"}),
    ("account.role_granted", {"role": "auditor"}, {"roles": []}),
    ("account.role_granted", {"role": "admin"}, {"roles": ["auditor"]}),
    ("account.role_revoked", {"role": "admin"}, {"roles": ["admin", "auditor"]}),
    ("account.deactivated", {}, {"is_active": True}),
    ("account.activated", {}, {"is_active": False}),
    ("room.opened", {"name": "Lobby"}, None),
    ("member.joined", {"role": "owner"}, None),
    ("room.changed", {"name": "Foyer", **EMPTY_ROOM}, {"name": "Lobby"}),
    ("room.changed", {"is_private": True, "history": "joined"}, {"is_private": False, "history": "shared"}),
    ("member.joined", {"role": "member"}, None),
    ("member.role_changed", {"role": "admin"}, {"role": "member"}),
    ("member.role_changed", {"role": "member"}, {"role": "admin"}),
    ("message.posted", {"content": "one"}, None),
    ("message.edited", {"content": "two"}, {"content": "one"}),
    ("message.edited", {"content": "three"}, {"content": "two"}),
    ("reaction.added", {"emoji": "👍", "count": 1}, None),
    ("reaction.added", {"emoji": "🎉", "count": 1}, {}),
    ("reaction.removed", {"emoji": "👍", "count": 0}, {}),
    ("message.pinned", {}, None),
    ("message.unpinned", {}, {}),
    ("message.pinned", {}, {}),
    ("message.deleted", {"is_edited": True}, {"content": "three"}),
    ("message.unpinned", {}, {}),
    ("reading.marked", {"position": 11}, None),
    ("member.removed", {"banned": False}, {"role": "member"}),
    ("member.joined", {"role": "admin"}, {"role": None}),
    ("member.left", {}, {"role": "admin"}),
    ("room.archived", {}, {"is_archived": False}),
    ("user.blocked", {}, None),
    ("user.unblocked", {}, {}),
]


async def test_what_changed_is_shown_with_what_was_before(database_url: str) -> None:
    async with ledger(database_url) as (db, _, command_bus):
        ada, ben, room_id, message_id = UserId(uuid4()), UserId(uuid4()), RoomId(uuid4()), MessageId(uuid4())
        as_ada, as_ben, operator = Caller(user_id=ada), Caller(user_id=ben), Caller()
        for command, caller in (
            (RegisterAccount(ada, "ada@example.com", "ada", "hash"), operator),
            (RegisterAccount(ben, "ben@example.com", "ben", "hash"), operator),
            (ChangeProfile(avatar_url="https://a.example/1"), as_ada),
            (ChangeProfile(username="countess"), as_ada),
            (GrantRole(ben, "auditor"), operator),
            (GrantRole(ben, "admin"), operator),
            (RevokeRole(ben, "admin"), operator),
            (Deactivate(ben), operator),
            (Activate(ben), operator),
            (OpenRoom(room_id, "Lobby"), as_ada),
            (ChangeRoom(room_id, name="Foyer"), as_ada),
            (ChangeRoom(room_id, is_private=True, history="joined"), as_ada),
            (PutMember(room_id, ben, "member"), as_ada),
            (PutMember(room_id, ben, "admin"), as_ada),
            (PutMember(room_id, ben, "member"), as_ada),
            (PostMessage(room_id, message_id, "one"), as_ben),
            (EditMessage(message_id, "two"), as_ben),
            (EditMessage(message_id, "three"), as_ben),
            (AddReaction(message_id, "👍"), as_ada),
            (AddReaction(message_id, "🎉"), as_ben),
            (RemoveReaction(message_id, "👍"), as_ada),
            (PinMessage(message_id), as_ada),
            (UnpinMessage(message_id), as_ada),
            (PinMessage(message_id), as_ada),
            (DeleteMessage(message_id), as_ada),
            (MarkRead(room_id, 11), as_ben),
            (RemoveMember(room_id, ben), as_ada),
            (PutMember(room_id, ben, "admin"), as_ada),
            (LeaveRoom(room_id), as_ben),
            (ArchiveRoom(room_id), as_ada),
            (BlockUser(ben), as_ada),
            (UnblockUser(ben), as_ada),
        ):
            assert (await command_bus.do(command, caller)).events
        page = await AuditReader(db, Vault(db, MASTER)).page(Filter(), after=0, limit=100)
    found = [
        (entry.type, {name: entry.data[name] for name in expected[1]}, _sorted(entry.before))
        for entry, expected in zip(page.entries, EXPECTED, strict=True)
    ]
    assert found == EXPECTED
    assert "hash" not in {str(value) for entry in page.entries for value in (*entry.data.values(), entry.before)}


def _sorted(before: dict[str, Any] | None) -> dict[str, Any] | None:
    """Roles are a set: their order says nothing."""
    if before is None:
        return None
    return {name: sorted(value) if isinstance(value, list) else value for name, value in before.items()}
