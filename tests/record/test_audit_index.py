"""The auditor's index: what is found by it is what the record holds, as far as it goes and beyond; and it is found at once."""

import random
from collections.abc import AsyncIterator
from datetime import timedelta
from itertools import product
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest

from adapters.postgres import audit, audit_index
from adapters.postgres.audit import AuditReader
from adapters.postgres.audit_index import COMMONEST, LEADS, LISTS, POSITION, SCAN_ENTRIES, Filter, Way
from adapters.postgres.data_keys import Vault
from adapters.postgres.database import Database
from commands.account import RegisterAccount
from commands.membership import JoinRoom
from commands.message import EditMessage, PostMessage
from commands.room import OpenRoom
from domain.events import Caller
from domain.ids import MessageId, RoomId, UserId
from projections import AUDIT_INDEX
from tests.deployments import MASTER, PLAN_MODES, ledger, pages_met, rows_met
from tests.projections.test_read_models import make_history, small_step
from workers.projector import Follower

ENTRIES = 60_000
STRETCH = 500
SUBJECT, ROOM = 1, 2  # of LEADS
EVENT = """
    INSERT INTO record.events SELECT position + 1, gen_random_uuid(), 1, 'thing.of_tomorrow',
        convert_to(json_build_object('user_id', $1::text, 'room_id', $2::text)::text, 'UTF8'),
        convert_to((convert_from(meta, 'UTF8')::jsonb - 'sealed')::text, 'UTF8'), NULL, recorded_at
    FROM record.events ORDER BY position DESC LIMIT 1
"""
FILL_RECORD = """
    INSERT INTO record.events SELECT position, gen_random_uuid(), 1, topic, '{}', '{}', room_id, now()
    FROM read.audit_entries WHERE topic = 'message.posted'
"""
FILL = """
    INSERT INTO read.audit_entries SELECT n, ($1::uuid[])[1 + n % 7], ($1::uuid[])[1 + n % 3], ($1::uuid[])[1 + n % 5],
        (ARRAY['message.posted', 'reading.marked'])[1 + n % 2], true FROM generate_series(1, $2::int) n
"""


async def found(reader: AuditReader, wanted: Filter, limit: int = 7) -> list[int]:
    """Return the positions of all pages."""
    positions: list[int] = []
    after: int | None = 0
    while after is not None:
        page = await reader.page(wanted, after=after, limit=limit)
        positions += [entry.position for entry in page.entries]
        after = page.next_after
    return positions


@pytest.mark.parametrize("seed", [1, 2])
async def test_the_index_finds_what_the_record_holds(
    database_url: str, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As far as it goes, and what came since; of topics too that nobody knew when it was written."""
    monkeypatch.setattr(audit_index, "SCAN_ENTRIES", 10)
    async with ledger(database_url) as (db, record, command_bus):
        await make_history(command_bus, seed, 80)
        stranger, elsewhere = uuid4(), uuid4()
        owner = await asyncpg.connect(database_url)
        await owner.execute(EVENT, str(stranger), str(elsewhere))
        await owner.close()
        await make_history(command_bus, seed + 10, 40)
        reader = AuditReader(db, Vault(db, MASTER))
        entries = (await reader.page(Filter(), after=0, limit=10_000)).entries
        chance = random.Random(seed)
        some = chance.sample(entries, 12)
        subjects = [UUID(entry.data["user_id"]) for entry in entries if "user_id" in entry.data]
        rooms = [entry.room_id for entry in some if entry.room_id]
        middle = entries[len(entries) // 2].recorded_at
        asked = [
            *(Filter(actor=entry.actor) for entry in some if entry.actor),
            *(Filter(type=entry.type) for entry in some),
            *(Filter(room=room) for room in rooms),
            *(Filter(subject=subject) for subject in chance.sample(subjects, 6)),
            *(Filter(room=room, type="message.posted", from_=middle) for room in rooms),
            *(Filter(room=room, actor=entry.actor, to=middle) for room, entry in zip(rooms, some, strict=False)),
            Filter(subject=stranger),
            Filter(room=elsewhere, type="thing.of_tomorrow"),
            Filter(subject=stranger, actor=uuid4()),
            Filter(from_=middle),
            Filter(to=middle),
            Filter(from_=middle + timedelta(days=1), type="message.posted"),
        ]
        expected = [await found(reader, wanted) for wanted in asked]
        assert sum(map(len, expected)) > 100
        assert [len(positions) for positions in expected[-6:-3]] == [1, 1, 0]
        follower = Follower(AUDIT_INDEX, record, db, owner="index")
        steps = 0
        while (follower.lease.position if follower.lease else 0) < entries[-1].position:
            await small_step(follower, record, 1 + len(entries) // 3)
            assert [await found(reader, wanted) for wanted in asked] == expected
            steps += 1
        assert steps == 3


@pytest.fixture
async def index(database_url: str) -> AsyncIterator[tuple[asyncpg.Connection, dict[str, Any]]]:
    """An index of some busy people and rooms, and of one, once, of each that is rare."""
    db = await asyncpg.connect(database_url)
    rare = {"actor": uuid4(), "subject": uuid4(), "room_id": uuid4(), "topic": "account.role_granted"}
    await db.execute(FILL, [UUID(int=i) for i in range(1, 8)], ENTRIES)
    for place, (column, value) in enumerate(rare.items(), 1):
        await db.execute(f"UPDATE read.audit_entries SET {column} = $1 WHERE position = $2", value, place * 10_000)
    await db.execute(FILL_RECORD)
    await db.execute("VACUUM ANALYZE read.audit_entries, record.events")
    yield db, rare
    await db.close()


async def test_what_is_rare_is_found_without_looking_at_the_rest(
    index: tuple[asyncpg.Connection, dict[str, Any]],
) -> None:
    db, rare = index
    busy = (UUID(int=1), UUID(int=1), UUID(int=1), "reading.marked")
    nothing: list[None] = [None] * 4

    async def met(mode: str, sql: str, *args: object) -> float:
        return sum([await rows_met(db, mode, table, sql, *args) for table in ("audit_entries", "events")])

    for mode, place in product(PLAN_MODES, range(4)):
        value = list(rare.values())[place]
        only: list[Any] = [*nothing[:place], value, *nothing[place + 1 :]]
        # A message in a room stands in the record's index of rooms, and its entry is looked up by its key.
        assert await met(mode, LEADS[place], value, 0, ENTRIES, SCAN_ENTRIES, *only) == (2 if place == ROOM else 1)
        assert await met(mode, LISTS[place], value, 0, ENTRIES, SCAN_ENTRIES) == 1
        most = STRETCH * {SUBJECT: 2, ROOM: 3}.get(place, 1)
        for sql, more in ((LEADS[place], busy), (LISTS[place], ())):
            assert STRETCH <= await met(mode, sql, busy[place], 0, ENTRIES, STRETCH, *more) <= most


async def test_the_commonest_topic_is_found_without_an_index_of_it(
    index: tuple[asyncpg.Connection, dict[str, Any]], database_url: str
) -> None:
    db, _ = index
    for mode in PLAN_MODES:
        asked = (COMMONEST, 0, ENTRIES, STRETCH, None, None, None, COMMONEST)
        assert await rows_met(db, mode, "audit_entries", LEADS[POSITION], *asked) == STRETCH
    assert await db.fetchval("SELECT pg_relation_size('read.audit_entries_by_topic')") > 0
    own = await Database.open(database_url, size=1)
    wanted = Filter(type=COMMONEST)
    assert await audit_index.way(own, wanted, 0, ENTRIES) == Way(POSITION)
    stretch = await audit_index.sought(own, wanted, POSITION, 0, ENTRIES, entries=STRETCH)
    assert stretch == ([n for n in range(1, STRETCH + 1) if n % 2 == 0], STRETCH)
    await own.close()


async def test_the_rarest_of_what_is_asked_for_leads(
    index: tuple[asyncpg.Connection, dict[str, Any]], database_url: str
) -> None:
    _, rare = index
    db = await Database.open(database_url, size=1)
    some = UUID(int=1)
    for place, wanted in enumerate(
        (
            Filter(actor=rare["actor"], subject=some, room=some, type="message.posted"),
            Filter(actor=some, subject=rare["subject"], room=some),
            Filter(actor=some, room=rare["room_id"], type="message.posted"),
            Filter(actor=some, subject=some, type=rare["topic"]),
        )
    ):
        assert await audit_index.way(db, wanted, 0, ENTRIES) == Way(place)
    await db.close()


async def test_what_two_rare_things_share_is_found_in_their_indexes(
    index: tuple[asyncpg.Connection, dict[str, Any]], database_url: str
) -> None:
    """However many entries each has: they are scattered over the table, a page for each."""
    owner, rare = index
    await owner.execute("UPDATE read.audit_entries SET room_id = $1 WHERE position % 40 = 0", rare["room_id"])
    await owner.execute("UPDATE read.audit_entries SET topic = $1 WHERE position % 31 = 0", rare["topic"])
    await owner.execute("VACUUM ANALYZE read.audit_entries")
    db = await Database.open(database_url, size=1)
    wanted = Filter(room=rare["room_id"], type=rare["topic"])
    shared = sorted([*range(1_240, ENTRIES + 1, 1_240), 40_000])
    assert await audit_index.way(db, wanted, 0, ENTRIES) == Way(2, shared)
    for mode, place in product(PLAN_MODES, (2, 3)):
        sql, value = LISTS[place], wanted.indexed()[place]
        assert await pages_met(owner, mode, sql, value, 0, ENTRIES, SCAN_ENTRIES) < 60
    await owner.execute("UPDATE read.audit_entries SET is_known = false WHERE position = 7")
    assert 7 in ((await audit_index.way(db, wanted, 0, ENTRIES)).shared or ())
    await db.close()


async def test_what_was_before_is_read_from_the_last_events_of_a_long_stream(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audit, "BEFORE_EVENTS_MAX", 5)
    async with ledger(database_url) as (db, _, command_bus):
        ada, room_id, message_id = UserId(uuid4()), RoomId(uuid4()), MessageId(uuid4())
        caller = Caller(user_id=ada)
        await command_bus.do(RegisterAccount(ada, "ada@example.com", "ada", "hash"), Caller())
        await command_bus.do(OpenRoom(room_id, "Lobby"), caller)
        await command_bus.do(JoinRoom(room_id), caller)
        await command_bus.do(PostMessage(room_id, message_id, "0"), caller)
        for i in range(1, 61):
            await command_bus.do(EditMessage(message_id, str(i)), caller)
        read: list[int] = []

        class Counting(Database):
            async def all(self, row: Any, sql: str, *args: object) -> list[Any]:
                rows = await super().all(row, sql, *args)
                read.append(len(rows))
                return rows

        reader = AuditReader(Counting(db.pool, db.url), Vault(db, MASTER))
        first = (await reader.page(Filter(type="message.edited"), after=0, limit=1)).entries[0]
        place, read[:] = first.position + 49, []
        page = await reader.page(Filter(type="message.edited"), after=place, limit=10)
        entry = await reader.entry(page.entries[4].position)
        assert read == [10, 14, 1, 5]
        assert [(entry.data["content"], entry.before) for entry in page.entries] == [
            (str(i), {"content": str(i - 1)}) for i in range(51, 61)
        ]
        assert entry is not None and entry.before == {"content": "54"}
