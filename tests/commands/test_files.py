"""Files on a real record: a post shows one atomically, races have one outcome, and erased names leave rows behind."""

import asyncio
from uuid import uuid4

import asyncpg
import pytest

from commands.command_bus import CommandBus
from commands.file import FailFile, NoteProcessing, NoteScan, ReceiveFile, RetryFile
from commands.message import PostMessage
from commands.room import OpenRoom
from domain.errors import FilePendingError, NoSuchFileError, NotAMemberError
from domain.events import Caller
from domain.file import FILE, FileCompleted, FileFailed, FileReceived, FileShared, Variant
from domain.ids import FileId, MessageId, RoomId
from domain.message import MESSAGE, MessagePosted
from tests.commands.test_desk import person
from tests.deployments import ledger

BLOB, SAGA = "ab" * 32, Caller(agent="test")
ORIGINAL = Variant("original", 4, 3, "image/webp", 90, "cd" * 32)


async def received(command_bus: CommandBus, who: Caller, mime_type: str = "image/png") -> FileId:
    file_id = FileId(uuid4())
    await command_bus.do(ReceiveFile(file_id, "cat.png", mime_type, 100, BLOB), who)
    return file_id


async def room_of(command_bus: CommandBus, who: Caller) -> RoomId:
    room_id = RoomId(uuid4())
    await command_bus.do(OpenRoom(room_id, "Room"), who)
    return room_id


async def test_a_post_shows_its_file_in_the_same_append_and_once(database_url: str) -> None:
    async with ledger(database_url) as (_, _, command_bus):
        ada = await person(command_bus)
        room_id, file_id = await room_of(command_bus, ada), await received(command_bus, ada)
        post = PostMessage(room_id, MessageId(uuid4()), "look", "image", file_id)
        outcome = await command_bus.do(post, ada)
        posted, shared = outcome.events
        assert isinstance(posted.event, MessagePosted) and isinstance(shared.event, FileShared)
        assert shared.position == posted.position + 1
        assert (shared.event.room_id, shared.event.message_id) == (room_id, post.message_id)
        assert (await command_bus.do(post, ada)).events == ()
        again = await command_bus.do(PostMessage(room_id, MessageId(uuid4()), "again", "file", file_id), ada)
        assert [type(recorded.event) for recorded in again.events] == [MessagePosted]


async def test_nobody_shows_another_s_file_or_one_that_is_not_there(database_url: str) -> None:
    async with ledger(database_url) as (_, _, command_bus):
        ada, ben = await person(command_bus), await person(command_bus)
        file_id, room_id = await received(command_bus, ada), await room_of(command_bus, ben)
        for wanted in (file_id, FileId(uuid4())):
            with pytest.raises(NoSuchFileError):
                await command_bus.do(PostMessage(room_id, MessageId(uuid4()), "", "file", wanted), ben)
        with pytest.raises(NotAMemberError):
            await command_bus.do(ReceiveFile(FileId(uuid4()), "x", "text/plain", 1, BLOB, for_room=room_id), ada)


async def test_of_two_rooms_that_are_shown_a_pending_file_at_once_one_gets_it(database_url: str) -> None:
    async with ledger(database_url) as (_, record, command_bus):
        ada = await person(command_bus)
        rooms = [await room_of(command_bus, ada) for _ in range(8)]
        for _ in range(5):
            file_id = await received(command_bus, ada)
            posts = [PostMessage(room_id, MessageId(uuid4()), "", "file", file_id) for room_id in rooms]
            outcomes = await asyncio.gather(*(command_bus.do(post, ada) for post in posts), return_exceptions=True)
            refused = [outcome for outcome in outcomes if isinstance(outcome, FilePendingError)]
            assert len(refused) == len(rooms) - 1
            streams = await record.streams([MESSAGE.id(post.message_id) for post in posts])
            assert sum(map(len, streams.values())) == 1, "a post that was refused left no message"


async def test_verdicts_that_race_end_a_file_once(database_url: str) -> None:
    async with ledger(database_url) as (_, record, command_bus):
        ada = await person(command_bus)
        for _ in range(5):
            file_id = await received(command_bus, ada)
            await asyncio.gather(
                *(command_bus.do(NoteScan(file_id, "basic"), SAGA) for _ in range(3)),
                *(command_bus.do(FailFile(file_id, "gave_up"), SAGA) for _ in range(2)),
                *(command_bus.do(NoteProcessing(file_id, (ORIGINAL,)), SAGA) for _ in range(3)),
            )
            await command_bus.do(NoteProcessing(file_id, (ORIGINAL,)), SAGA)
            events = (await record.streams([FILE.id(file_id)]))[FILE.id(file_id)]
            assert (
                len([recorded for recorded in events if isinstance(recorded.event, (FileCompleted, FileFailed))]) == 1
            )


async def test_what_was_given_up_goes_on_where_it_was(database_url: str) -> None:
    async with ledger(database_url) as (_, _, command_bus):
        ada = await person(command_bus)
        file_id = await received(command_bus, ada)
        await command_bus.do(NoteScan(file_id, "basic"), SAGA)
        await command_bus.do(FailFile(file_id, "gave_up"), SAGA)
        retried = (await command_bus.do(RetryFile(file_id), SAGA)).folded(FILE, file_id).state
        assert retried is not None and retried.status == "processing"
        outcome = await command_bus.do(NoteProcessing(file_id, (ORIGINAL,)), SAGA)
        completed = outcome.recorded(FileCompleted)
        assert completed and completed.event.blob == ORIGINAL.blob


async def test_what_is_personal_of_a_file_is_sealed_and_its_erasure_leaves_a_file_without_a_name(
    database_url: str,
) -> None:
    async with ledger(database_url) as (db, record, command_bus):
        ada = await person(command_bus)
        file_id = await received(command_bus, ada)
        await command_bus.do(NoteScan(file_id, "basic"), SAGA)
        await command_bus.do(NoteProcessing(file_id, (ORIGINAL,)), SAGA)
        rows = await db.all(
            bytes, "SELECT data FROM record.events WHERE stream = $1 ORDER BY version", FILE.id(file_id)
        )
        assert len(rows) == 4
        for row in rows:
            assert BLOB.encode() not in row and ORIGINAL.blob.encode() not in row and b"cat.png" not in row
    owner = await asyncpg.connect(database_url)
    await owner.execute("UPDATE vault.data_keys SET wrapped = NULL WHERE subject = $1", ada.user_id)
    await owner.close()
    async with ledger(database_url) as (_, record, _):
        events = (await record.streams([FILE.id(file_id)]))[FILE.id(file_id)]
        recorded = events[0]
        assert isinstance(recorded.event, FileReceived)
        assert (recorded.event.original_name, recorded.event.blob, recorded.erased) == ("", "", True)
        done = events[-1].event
        assert isinstance(done, FileCompleted) and (done.blob, done.variants) == ("", ())
