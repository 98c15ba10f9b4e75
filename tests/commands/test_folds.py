"""Folds: only what is new is read, long streams are read in pages and from snapshots, and nothing wrong is believed."""

import json
from collections.abc import Mapping
from datetime import timedelta
from hashlib import sha256
from typing import Any
from uuid import uuid4

import asyncpg
import msgspec
import pytest
from msgspec.structs import replace

from adapters.clock import now
from adapters.postgres.data_keys import Vault
from adapters.postgres.database import Database
from adapters.postgres.snapshots import PostgresSnapshots
from commands import HANDLERS
from commands.command_bus import CommandBus
from commands.folds import FOLD_PAGE_EVENTS, SNAPSHOT_EVENTS
from commands.message import EditMessage, PostMessage
from commands.room import ChangeRoom
from domain.errors import RecordNewerError
from domain.events import Meta, Recorded
from domain.ids import EventId, MessageId, SessionId, StreamId, UserId
from domain.message import MESSAGE, digest_of
from domain.ports.record import EventPage, Record, Snapshot
from domain.reading import READING
from domain.room import ROOM
from domain.session import SESSIONS, Listed, SessionListed, SessionsUnlisted
from domain.topics import FEATURES
from tests.commands.test_desk import person, room_of
from tests.deployments import MASTER, ledger

MARKS = """
    INSERT INTO record.events (position, stream, version, topic, data, meta, recorded_at)
    SELECT head.position + n, $1, $2::int + n, 'reading.marked', convert_to(json_build_object(
        'room_id', $3::uuid, 'user_id', $4::uuid, 'position', n)::text, 'UTF8'),
        convert_to(json_build_object('id', gen_random_uuid(), 'command', 'MarkRead')::text, 'UTF8'), clock_timestamp()
    FROM record.head head, generate_series(1, $5::int) n
"""
# The version of each fold, and a digest of its state's JSON schema.
FOLDS = {
    "account": (3, "0ee4253e5831"),
    "session": (1, "c2ce1428a367"),
    "sessions": (2, "d13b3dc26b90"),
    "letter": (1, "9aae29894fc4"),
    "room": (3, "742ae4ff7ed4"),
    "blocks": (1, "31eb0498828f"),
    "membership": (2, "f4431c7e47df"),
    "message": (3, "6c18c4f60756"),
    "pins": (1, "8a43cabaaa99"),
    "mail_notices": (1, "e9efc1b72f44"),
    "own_webhook": (1, "0b83ba62364d"),
    "push": (1, "537f10852b53"),
    "reactions": (1, "39b2b116c558"),
    "thread": (1, "451f1b6fecba"),
    "thread-following": (1, "b577ec630110"),
    "notification_settings": (1, "5b8584c5f9ad"),
    "inbox": (1, "b7b719e7353d"),
    "operations-read": (1, "7cd5f2d43ff3"),
    "export": (2, "8ec0dffd3d24"),
    "task-retry": (1, "89c39c2c5031"),
    "rebuild": (1, "69bbc4d47b00"),
    "restorations": (1, "daf06cbdef50"),
    "notary_keys": (1, "a78501bf7bd5"),
    "parking": (1, "73354e937d51"),
    "reading": (1, "2ffa33ca9ddd"),
    "file": (3, "a7ce84094f2e"),
    "holds": (1, "df2b88075374"),
    "retention": (2, "fe9e29694b7a"),
    "disposals": (1, "4ac4a3b551bf"),
    "audit-forwarding": (1, "175c29941240"),
    "audit-read": (1, "25d91f295246"),
    "security": (1, "7b5ef93f9762"),
    "approval": (1, "ec485a169141"),
    "clock": (1, "2644ba647f34"),
    "erasure": (1, "cbbd35b9c6f5"),
}
SNAPSHOTS = "SELECT version FROM record.snapshots WHERE stream = $1"


class Watching:
    """A record that counts the events that are read of streams."""

    def __init__(self, record: Record) -> None:
        self.events = 0
        self.most = 0
        self._record = record

    def __getattr__(self, name: str) -> Any:
        return getattr(self._record, name)

    async def stream_pages(self, after: Mapping[StreamId, int], *, limit: int) -> Mapping[StreamId, EventPage]:
        found = await self._record.stream_pages(after, limit=limit)
        self.most = max(self.most, *(len(page.events) for page in found.values()))
        self.events += sum(len(page.events) for page in found.values())
        return found


def desk_on(record: Any, db: Database) -> CommandBus:
    snapshots = PostgresSnapshots(db, Vault(db, MASTER))
    return CommandBus(record, HANDLERS, now=now, chance=lambda n: uuid4().bytes[:n], snapshots=snapshots)


async def as_owner(database_url: str, *statements: tuple[Any, ...]) -> None:
    """Write to the record past its own function, which only whoever migrates may."""
    connection = await asyncpg.connect(database_url)
    for statement, *args in statements:
        await connection.execute(statement, *args)
    await connection.close()


async def test_after_a_conflict_only_what_is_new_is_read(database_url: str) -> None:
    async with ledger(database_url) as (db, record, other):
        watching = Watching(record)
        command_bus = desk_on(watching, db)
        ada = await person(command_bus)
        room_id = await room_of(command_bus, ada)
        for i in range(40):
            await command_bus.do(ChangeRoom(room_id, name=f"Room {i}"), ada)
        await other.do(ChangeRoom(room_id, name="elsewhere"), ada)
        watching.events = 0
        assert (await command_bus.do(ChangeRoom(room_id, name="here"), ada)).events
        assert watching.events <= 6, "of each of three streams the last event known, and what came since"
        assert (await command_bus.see(ROOM, room_id)).version == 43


async def test_a_stream_of_many_events_is_read_in_pages_and_the_next_time_from_a_snapshot(database_url: str) -> None:
    count = 5 * FOLD_PAGE_EVENTS + 17
    async with ledger(database_url) as (db, record, command_bus):
        ada = await person(command_bus)
        room_id = await room_of(command_bus, ada)
        assert ada.user_id is not None
        stream_id = READING.id(room_id, ada.user_id)
        await as_owner(database_url, (MARKS, stream_id, 0, room_id, ada.user_id, count))
        watching = Watching(record)
        read = await desk_on(watching, db).see(READING, room_id, ada.user_id)
        assert (read.version, read.state.position) == (count, count)  # type: ignore[union-attr]
        assert watching.most == FOLD_PAGE_EVENTS and watching.events >= count
        assert await db.value(SNAPSHOTS, stream_id) >= count - FOLD_PAGE_EVENTS
        watching.events = 0
        assert await desk_on(watching, db).see(READING, room_id, ada.user_id) == read
        assert watching.events <= FOLD_PAGE_EVENTS + SNAPSHOT_EVENTS


async def test_a_fold_of_a_record_that_is_no_more_is_not_believed(database_url: str) -> None:
    """The last events of the record are lost, as in a failover to a standby that was behind, and others took their place."""
    async with ledger(database_url) as (db, record, other):
        command_bus = desk_on(record, db)
        ada = await person(command_bus)
        room_id = await room_of(command_bus, ada)
        kept = await command_bus.see(ROOM, room_id)
        await command_bus.do(ChangeRoom(room_id, name="lost"), ada)
        await as_owner(
            database_url,
            ("ALTER TABLE record.events DISABLE TRIGGER append_only",),
            ("DELETE FROM record.events WHERE stream = $1 AND version > 1", ROOM.id(room_id)),
        )
        assert await command_bus.see(ROOM, room_id) == kept
        await command_bus.do(ChangeRoom(room_id, name="lost again"), ada)
        await as_owner(database_url, ("DELETE FROM record.events WHERE stream = $1 AND version > 1", ROOM.id(room_id)))
        await other.do(ChangeRoom(room_id, name="in its place"), ada)
        found = (await command_bus.see(ROOM, room_id)).state
        assert found is not None and found.name == "in its place"


async def test_a_snapshot_that_cannot_be_read_is_passed_over(database_url: str) -> None:
    async with ledger(database_url) as (db, _, command_bus):
        ada = await person(command_bus)
        room_id, message_id = await room_of(command_bus, ada), MessageId(uuid4())
        await command_bus.do(PostMessage(room_id, message_id, "0"), ada)
        folded = await command_bus.see(MESSAGE, message_id)
        vault = Vault(db, MASTER)
        snapshots = PostgresSnapshots(db, vault)
        stream_id = MESSAGE.id(message_id)
        assert folded.state is not None and folded.at is not None
        forged = Snapshot(replace(folded.state, digest=digest_of("forged")), 1, folded.position, folded.at)
        await snapshots.keep(MESSAGE, stream_id, forged)
        assert (await snapshots.newest({stream_id: MESSAGE}))[stream_id] == forged
        sealed = await db.value("SELECT state FROM record.snapshots WHERE stream = $1", stream_id)
        assert str(ada.user_id).encode() not in sealed, "what is personal is sealed"
        for broken in (
            ("UPDATE record.snapshots SET fold = fold + 1",),
            ("UPDATE record.snapshots SET fold = fold - 1, version = version + 1",),
            ("UPDATE record.snapshots SET version = version - 1, state = 'x'",),
        ):
            await as_owner(database_url, broken)
            assert await snapshots.newest({stream_id: MESSAGE}) == {}
        await snapshots.keep(MESSAGE, stream_id, replace(forged, version=2))
        await as_owner(database_url, ("UPDATE vault.data_keys SET wrapped = NULL",))
        assert await PostgresSnapshots(db, Vault(db, MASTER)).newest({stream_id: MESSAGE}) == {}


async def test_edits_of_a_message_make_snapshots_as_they_come(database_url: str) -> None:
    async with ledger(database_url) as (db, _, command_bus):
        ada = await person(command_bus)
        room_id, message_id = await room_of(command_bus, ada), MessageId(uuid4())
        await command_bus.do(PostMessage(room_id, message_id, "0"), ada)
        for i in range(1, SNAPSHOT_EVENTS):
            await command_bus.do(EditMessage(message_id, str(i)), ada)
        assert await db.value(SNAPSHOTS, MESSAGE.id(message_id)) == SNAPSHOT_EVENTS


async def test_nothing_is_decided_on_a_stream_with_an_event_of_a_newer_version(database_url: str) -> None:
    async with ledger(database_url) as (_, _, command_bus), ledger(database_url) as (_, _, elsewhere):
        ada = await person(command_bus)
        room_id = await room_of(command_bus, ada)
        append = (
            "INSERT INTO record.events SELECT position + 1, $1, 2, 'room.frozen', '{}', $2, $3, now() FROM record.head",
            ROOM.id(room_id),
            json.dumps({"id": str(uuid4()), "command": "FreezeRoom"}).encode(),
            room_id,
        )
        await as_owner(database_url, append)
        for at in (command_bus, elsewhere):
            with pytest.raises(RecordNewerError):
                await at.do(ChangeRoom(room_id, name="still"), ada)
            with pytest.raises(RecordNewerError):
                await at.do(PostMessage(room_id, MessageId(uuid4()), "still"), ada)
        elsewhere_room = await room_of(command_bus, ada)
        assert (await command_bus.do(PostMessage(elsewhere_room, MessageId(uuid4()), "hi"), ada)).events


def undescribed(schema: Any) -> Any:
    """Return a schema without its descriptions: docstrings are no shape, and Python 3.13 indents them otherwise."""
    if isinstance(schema, dict):
        return {key: undescribed(value) for key, value in schema.items() if key != "description"}
    return [undescribed(each) for each in schema] if isinstance(schema, list) else schema


@pytest.mark.parametrize("stream", [stream for stream, _ in FEATURES], ids=lambda stream: stream.kind)
def test_a_state_of_another_shape_is_another_fold(stream: Any) -> None:
    """A snapshot is read as the type that wrote it: whoever changes the type raises `fold`, and writes both down here."""
    schema = json.dumps(undescribed(msgspec.json.schema(stream.state)), sort_keys=True)
    assert (stream.fold, sha256(schema.encode()).hexdigest()[:12]) == FOLDS[stream.kind]


def test_ten_thousand_log_ins_fold_in_a_moment_and_ended_ones_leave_the_list() -> None:
    user_id, at = UserId(uuid4()), now()
    listed: Listed | None = None
    ids = [SessionId(uuid4()) for _ in range(10_000)]
    for i, session_id in enumerate(ids, 1):
        event = SessionListed(session_id, user_id, at + timedelta(days=7))
        recorded = Recorded(i, SESSIONS.id(user_id), i, at, event, Meta(EventId(uuid4()), "OpenSession"))
        listed = SESSIONS.evolve(listed, recorded)
    assert listed is not None and listed.ids == tuple(ids)
    gone = SessionsUnlisted(user_id, tuple(ids[:-3]))
    fact_of_end = Recorded(1, SESSIONS.id(user_id), 1, at, gone, Meta(EventId(uuid4()), "EndSession"))
    assert SESSIONS.evolve(listed, fact_of_end).ids == tuple(ids[-3:])
