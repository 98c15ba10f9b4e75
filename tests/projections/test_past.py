"""Time travel: what is answered of a position is what was answered when the record ended there.

Histories are generated, and the live tables brought through them event by event; at each position everything that can be asked
of the past is asked of the present, and kept. In the end it is asked again, as of each position.
"""

import random
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any, NamedTuple
from uuid import uuid4

import asyncpg
import pytest
from msgspec import Struct
from msgspec.structs import replace

from adapters.postgres.data_keys import Vault
from adapters.postgres.database import Database
from adapters.postgres.event_store import PostgresRecord
from adapters.postgres.past import PostgresPast
from commands.account import RegisterAccount
from commands.command_bus import CommandBus
from commands.file import NoteProcessing, NoteScan, ReceiveFile
from commands.membership import LeaveRoom, PutMember, RemoveMember
from commands.message import DeleteMessage, EditMessage, PostMessage
from commands.pin import PinMessage, UnpinMessage
from commands.reaction import AddReaction, RemoveReaction
from commands.reading import MarkRead
from commands.room import ArchiveRoom, ChangeRoom, OpenRoom
from commands.thread import FollowThread, MarkThreadRead, UnfollowThread
from domain.errors import DomainError
from domain.events import Caller
from domain.file import FileReceived, Variant
from domain.ids import FileId, MessageId, RoomId, UserId
from domain.membership import MemberJoined, MemberLeft, MemberRemoved, MemberRoleChanged
from domain.message import MessageDeleted, MessageEdited, MessagePosted
from domain.pin import MessagePinned, MessageUnpinned
from domain.reaction import ReactionAdded, ReactionRemoved
from domain.reading import ReadMarked
from domain.room import RoomChanged
from domain.thread import ThreadFollowed, ThreadRead, ThreadReplied, ThreadReplyDeleted, ThreadUnfollowed
from projections import (
    LIVE,
    PAST,
    file_queries,
    members,
    mentions,
    message_additions,
    message_pages,
    past_files,
    past_member_queries,
    past_message_queries,
    past_room_queries,
    rooms,
)
from projections.files import FileView
from projections.members import MemberView
from projections.messages import MessageView
from projections.past_message_queries import Then, Wanted
from projections.past_room_pages import Asked
from projections.rooms import RoomView
from tests.deployments import MASTER, ledger
from tests.projections.test_read_models import make_history, project, small_step
from workers.projector import Follower

ALL = 200
FILTERS: tuple[dict[str, Any], ...] = (
    {}, {"archived": True}, {"joined": True, "archived": True}, {"q": "room 1", "archived": True},
)  # fmt: skip
CHANGES = (
    MemberJoined, MemberLeft, MemberRemoved, MemberRoleChanged, MessageDeleted, MessageEdited, MessagePinned,
    MessagePosted, MessageUnpinned, ReactionAdded, ReactionRemoved, ReadMarked, RoomChanged, FileReceived,
    ThreadFollowed, ThreadRead, ThreadReplied, ThreadReplyDeleted, ThreadUnfollowed,
)  # fmt: skip
DESTROY = "UPDATE vault.data_keys SET wrapped = NULL"
SELECT_IDS = "SELECT id FROM read.rooms ORDER BY id"
SELECT_PEOPLE = "SELECT id FROM read.users ORDER BY id"
SELECT_FILES = "SELECT id FROM read.files ORDER BY id"


class WithGuest:
    """Makes a guest an owner of every room as soon as it is opened, who does something after everything that others do. Nobody
    ever does anything to them."""

    def __init__(self, command_bus: CommandBus, guest: UserId, seed: int) -> None:
        self._command_bus = command_bus
        self._caller = Caller(user_id=guest)
        self._chance = random.Random(f"guest {seed}")
        self._guest = guest
        self._rooms: list[RoomId] = []
        self._people: list[UserId] = []
        self._messages = [MessageId(uuid4())]

    async def do(self, command: Struct, caller: Caller) -> None:
        await self._command_bus.do(command, caller)
        if isinstance(command, RegisterAccount):
            self._people.append(command.user_id)
        if isinstance(command, OpenRoom):
            self._rooms.append(command.room_id)
            await self._command_bus.do(PutMember(command.room_id, self._guest, "owner"), caller)
        elif len(self._rooms) == 4:
            with suppress(DomainError):
                await self._command_bus.do(self._deed(), self._caller)

    async def finish(self) -> None:
        """Have everything happen that chance may have left out."""
        room_id, person, message_id, file_id = RoomId(uuid4()), self._people[0], MessageId(uuid4()), FileId(uuid4())
        quiet_id = RoomId(uuid4())
        deeds: list[Struct] = [
            OpenRoom(quiet_id, "A quiet room"), OpenRoom(room_id, "The last room"), PutMember(room_id, person, "member"), PutMember(room_id, person, "admin"),
            ReceiveFile(file_id, "a.png", "image/png", 10, "ab" * 32), PostMessage(room_id, message_id, "words", "file", file_id),
            NoteScan(file_id, "basic"), NoteProcessing(file_id, (Variant("original", 1, 1, "image/webp", 9, "cd" * 32),)),
            AddReaction(message_id, "👎"), AddReaction(message_id, "👍"), RemoveReaction(message_id, "👎"),
            AddReaction(message_id, "👎"), PinMessage(message_id), EditMessage(message_id, "other words"),
            UnpinMessage(message_id), EditMessage(message_id, "at last"), MarkRead(room_id, 10**6),
            ChangeRoom(room_id, name="Renamed", is_private=True), RemoveMember(room_id, person, False),
            PutMember(room_id, person, "member"),
        ]  # fmt: skip
        for deed in deeds:
            await self._command_bus.do(deed, self._caller)
        other = Caller(user_id=person)
        aside, too = MessageId(uuid4()), MessageId(uuid4())
        for who, talk in (
            (self._caller, PostMessage(quiet_id, MessageId(uuid4()), "listed before what is only said aside")),
            (other, PostMessage(room_id, aside, f"aside, @guest {person}", thread_id=message_id)), (self._caller, MarkThreadRead(message_id, 10**6)),
            (other, PostMessage(room_id, too, "aside, and to all", thread_id=message_id, in_room=True)),
            (other, PostMessage(room_id, MessageId(uuid4()), "aside once more", thread_id=message_id)),
            (other, DeleteMessage(aside)), (self._caller, UnfollowThread(message_id)), (self._caller, FollowThread(message_id)),
        ):  # fmt: skip
            await self._command_bus.do(talk, who)
        await self._command_bus.do(PostMessage(room_id, MessageId(uuid4()), f"@guest {person}"), other)
        await self._command_bus.do(PostMessage(room_id, gone := MessageId(uuid4()), "a slip"), other)
        await self._command_bus.do(DeleteMessage(gone), other)
        await self._command_bus.do(LeaveRoom(room_id), other)
        await self._command_bus.do(ChangeRoom(room_id, is_private=False), self._caller)
        await self._command_bus.do(ArchiveRoom(room_id), self._caller)

    def _deed(self) -> Struct:
        chance = self._chance
        room_id, person, message_id = (
            chance.choice(self._rooms),
            chance.choice(self._people),
            chance.choice(self._messages),
        )
        new_id, word = MessageId(uuid4()), f"{chance.random()}"
        post: Struct = PostMessage(room_id, new_id, word)
        deed = chance.choice(
            [
                *[post] * 3, *[EditMessage(message_id, word)] * 3, DeleteMessage(message_id), AddReaction(message_id, "👍"),
                PutMember(room_id, person, chance.choice(["admin", "member"])), RemoveMember(room_id, person, False),
                ChangeRoom(room_id, name=f"Room {word}"), ChangeRoom(room_id, is_private=chance.random() < 0.5),
                PinMessage(message_id), UnpinMessage(message_id), MarkRead(room_id, 10**6),
            ]
        )  # fmt: skip
        if deed is post:
            self._messages.append(new_id)
        return deed


class Seen(NamedTuple):
    """All that somebody is answered."""

    lists: list[list[RoomView]]
    rooms: dict[RoomId, RoomView]
    members: dict[RoomId, list[MemberView]]
    messages: dict[RoomId, dict[int, MessageView]]
    files: dict[FileId, FileView]


@asynccontextmanager
async def history(
    database_url: str, seed: int, steps: int
) -> AsyncIterator[tuple[Database, PostgresRecord, PostgresPast, CommandBus, UserId]]:
    async with ledger(database_url) as (db, record, command_bus):
        guest = UserId(uuid4())
        await command_bus.do(RegisterAccount(guest, "guest@example.com", "guest", "hash"), Caller())
        world = WithGuest(command_bus, guest, seed)
        await make_history(world, seed, steps)  # type: ignore[arg-type]
        await world.finish()
        yield db, record, PostgresPast(db, Vault(db, MASTER)), command_bus, guest


async def now_seen(db: Database, viewer: UserId) -> Seen:
    """Ask the present."""
    seen = Seen([], {}, {}, {}, {})
    for asked in FILTERS:
        found = await rooms.page(db, viewer, limit=ALL, **asked)
        seen.lists.append(await complete_rooms(db, viewer, [room for room, _ in found]))
    for room_id in await db.all(RoomId, SELECT_IDS):
        try:
            seen.rooms[room_id] = (await complete_rooms(db, viewer, [await rooms.one(db, viewer, room_id)]))[0]
        except DomainError:
            continue
        found_members = await members.page(db, viewer, room_id, after=None, limit=ALL)
        seen.members[room_id] = [member for member, _ in found_members]
        page = (await message_pages.page(db, viewer, room_id, limit=ALL)).messages
        complete = await message_additions.complete(db, viewer, page)
        seen.messages[room_id] = {message.position: message for message in complete}
    seen.files.update(await file_queries.views(db, await db.all(FileId, SELECT_FILES)))
    return seen


async def complete_rooms(db: Database, viewer: UserId, found: list[RoomView]) -> list[RoomView]:
    counted = await mentions.counted(db, viewer, found)
    return await message_additions.complete_last(db, viewer, counted)


async def then_seen(db: Database, past: PostgresPast, then: Then) -> Seen:
    """Ask the past."""
    seen = Seen([], {}, {}, {}, {})
    for asked in FILTERS:
        seen.lists.append(await listed(db, past, then, Asked(**asked), ALL))
    for room_id in await db.all(RoomId, SELECT_IDS):
        try:
            seen.rooms[room_id] = await past_room_queries.one(db, past, then, room_id)
        except DomainError:
            continue
        seen.members[room_id] = await members_then(db, then, room_id, ALL)
        complete, _ = await past_message_queries.page(db, past, then, room_id, Wanted(None, None, None, ALL, False))
        seen.messages[room_id] = {message.position: message for message in complete}
    seen.files.update(await past_files.views(past, await db.all(FileId, SELECT_FILES), then.position))
    return seen


async def listed(db: Database, past: PostgresPast, then: Then, asked: Asked, limit: int) -> list[RoomView]:
    """Ask for all pages of the list of rooms."""
    found, following = await past_room_queries.page(db, past, then, asked, limit=limit)
    while following is not None:
        more, following = await past_room_queries.page(db, past, then, asked, before=following, limit=limit)
        found += more
    return found


async def members_then(db: Database, then: Then, room_id: RoomId, limit: int) -> list[MemberView]:
    """Ask for all pages of the members of a room."""
    found, following = await past_member_queries.page(db, then, room_id, after=None, limit=limit)
    while following is not None:
        more, following = await past_member_queries.page(db, then, room_id, after=following, limit=limit)
        found += more
    return found


def expected(was: Seen, today: Seen) -> Seen:
    """What was seen, but for messages that are deleted today: of them today's tombstone is seen, with the thread of then."""
    deleted = {
        position: message for found in today.messages.values() for position, message in found.items() if message.deleted
    }

    def seen(message: MessageView) -> MessageView:
        return replace(deleted.get(message.position, message), thread=message.thread)

    def room(view: RoomView) -> RoomView:
        return view if view.last_message is None else replace(view, last_message=seen(view.last_message))

    return Seen(
        [[room(each) for each in listed] for listed in was.lists],
        {room_id: room(each) for room_id, each in was.rooms.items()},
        was.members,
        {
            room_id: {position: seen(message) for position, message in found.items()}
            for room_id, found in was.messages.items()
        },
        was.files,
    )


@pytest.mark.parametrize("seed", [41])
async def test_as_of_every_position_is_what_was_answered_there(database_url: str, seed: int) -> None:
    async with history(database_url, seed, 40) as (db, record, past, _, guest):
        live, people = Follower(LIVE, record, db, owner="test"), await everybody(record)
        other = next(person for person in people if person != guest)
        head = (await record.head()).position
        was: dict[tuple[UserId, int], Seen] = {}
        while live.lease is None or live.lease.position < head:
            await small_step(live, record, 1)
            for viewer in (guest, other):
                assert live.lease is not None
                was[viewer, live.lease.position] = await now_seen(db, viewer)
        follower = Follower(PAST, record, db, owner="test")
        while follower.lease is None or follower.lease.position < head:
            await small_step(follower, record, 7)

        today = {viewer: await now_seen(db, viewer) for viewer in (guest, other)}
        events = await record.after(0, limit=1_000)
        happened = Counter(type(recorded.event) for recorded in events)
        assert not set(CHANGES) - happened.keys()
        settled = max(
            recorded.position
            for recorded in events
            if isinstance(recorded.event, MemberJoined) and recorded.event.user_id == guest
        )
        # Within an append, today's row does not say yet that there is a thread of a message: the first followers are noted last.
        within = {recorded.position - 1 for recorded in events if isinstance(recorded.event, ThreadFollowed)}
        for (viewer, position), seen in was.items():
            if position in within:
                continue
            then = await then_seen(db, past, Then(viewer, position))
            should = expected(seen, today[guest])
            compare_what_both_show(then, should, today[viewer])
            if viewer == guest and position >= settled:  # they are in every room, from that time until today
                assert then == should, position
                for asked, whole in zip(FILTERS, then.lists, strict=True):
                    paged = await listed(db, past, Then(viewer, position), Asked(**asked), 1 + position % 3)
                    assert paged == whole, position
                for room_id, all_members in then.members.items():
                    assert await members_then(db, Then(viewer, position), room_id, 1) == all_members, (
                        position,
                        room_id,
                    )


async def test_what_is_erased_or_deleted_is_told_to_nobody_though_the_tables_have_not_heard_of_it(
    database_url: str,
) -> None:
    ada, room_id = UserId(uuid4()), RoomId(uuid4())
    caller, wanted = Caller(user_id=ada), Wanted(None, None, None, ALL, False)
    first, second = MessageId(uuid4()), MessageId(uuid4())
    async with ledger(database_url) as (db, record, command_bus):
        await command_bus.do(RegisterAccount(ada, "ada@example.com", "ada", "hash"), Caller())
        await command_bus.do(OpenRoom(room_id, "Lobby"), caller)
        for message_id in (first, second):
            await command_bus.do(PostMessage(room_id, message_id, "words"), caller)
        position = (await record.head()).position
        for message_id in (first, second):
            await command_bus.do(EditMessage(message_id, "other words"), caller)
        await project(record, db)
        await command_bus.do(DeleteMessage(second), caller)
        then = Then(ada, position)
        found, _ = await past_message_queries.page(db, PostgresPast(db, Vault(db, MASTER)), then, room_id, wanted)
        assert {message.id: (message.content, message.deleted) for message in found} == {
            first: ("words", False), second: ("", True),
        }  # fmt: skip
        owner = await asyncpg.connect(database_url)
        await owner.execute(DESTROY)
        await owner.close()
        found, _ = await past_message_queries.page(db, PostgresPast(db, Vault(db, MASTER)), then, room_id, wanted)
        assert {(message.content, message.deleted, message.file_id) for message in found} == {("", True, None)}


def compare_what_both_show(then: Seen, should: Seen, today: Seen) -> None:
    """Hold the past to what somebody saw then, where they may see it today; and to seeing nothing that they may not."""
    assert then.rooms.keys() <= today.rooms.keys()
    for room_id in then.rooms.keys() & should.rooms.keys():
        one, other = then.rooms[room_id], should.rooms[room_id]
        assert replace(one, last_message=None) == replace(other, last_message=None)
        assert then.members[room_id] == should.members[room_id]
        shown, was = then.messages[room_id], should.messages[room_id]
        assert shown.keys() <= today.messages[room_id].keys()
        assert [shown[position] for position in shown.keys() & was.keys()] == [
            was[position] for position in shown.keys() & was.keys()
        ]


async def everybody(record: PostgresRecord) -> list[UserId]:
    return [
        recorded.event.user_id  # type: ignore[attr-defined]
        for recorded in await record.after(0, limit=1_000)
        if recorded.event.topic == "account.registered"
    ]
