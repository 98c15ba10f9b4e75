"""How Postgres reads a page: what it touches is bounded by the page, however loud other rooms are.

A planner that believes every room to be as loud as the loudest walks all messages backwards for those of a quiet one.
"""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from itertools import product
from uuid import UUID, uuid4, uuid5

import asyncpg
import pytest

from adapters.postgres import standing_tasks
from adapters.postgres.database import Database
from adapters.postgres.standing_tasks import TaskState
from domain.authorization import file_relationships, standings
from domain.ids import MessageId
from domain.message import MESSAGE
from projections import file_queries, message_pages, message_queries, page_states, rooms, thread_pages, threads, users
from projections.message_pages import PAGE_TEXT_BYTES_MAX
from projections.rooms import UNREAD_COUNTED_MAX
from tests.deployments import PLAN_MODES, pages_met, rows_met

LOUD_MESSAGES = 60_000
QUIET_ROOMS = 30
UNREAD_ROOMS = 200
LIMIT = 50
READER = UUID(int=1)
ROOMS = """
    INSERT INTO read.rooms SELECT id, 'A room', NULL, false, CASE i % 2 WHEN 0 THEN 'joined' ELSE 'shared' END, $1, false, 2,
        0, now(), now(), 1 FROM unnest($2::uuid[]) WITH ORDINALITY asked (id, i)
"""
MEMBERS = """
    INSERT INTO read.room_members SELECT id, $1, 'member', now(), 1, false, 0 FROM unnest($2::uuid[]) id
"""
MESSAGES = """
    INSERT INTO read.messages SELECT ($1::uuid[])[1 + n % $2], n, gen_random_uuid(), $3, 'text', 'words', NULL, NULL, false,
        now(), now(), 1, false, NULL, NULL FROM generate_series(2, $4::int) n
"""
# All but the first and last hundred are replies that threads alone show: some of the second message, the others of the third.
ASIDE = """
    WITH followed AS (
        INSERT INTO read.thread_followers SELECT 2, $2, room_id, id, true, 0 FROM read.messages WHERE position = 2
    )
    UPDATE read.messages SET thread_id = id, root_position = CASE WHEN position % 200 = 0 THEN 2 ELSE 3 END, in_room = false
    WHERE position BETWEEN 100 AND $1::int - 100
"""
REPLIES = LOUD_MESSAGES // 200
FIRST_EVENT = "INSERT INTO record.events VALUES (2, $1, 1, 'message.posted', '{}', '{}', $2, now())"
# The event of each of those; that of 40,000 is of this stream.
EVENTS = """
    INSERT INTO record.events SELECT n, CASE n WHEN 40000 THEN $3 ELSE gen_random_uuid() END, 1, 'message.posted', '{}', '{}',
        $1, now() FROM generate_series(2, $2::int) n
"""
# What a message adds, from one number to another, in the room $3, by $4.
ADDED = {
    "record.events": """
        INSERT INTO record.events SELECT n, gen_random_uuid(), 1, 'message.posted', $4::uuid::text::bytea, '{}', $3, now()
        FROM generate_series($1::int, $2::int) n
    """,
    "read.messages": """
        INSERT INTO read.messages SELECT $3, n, gen_random_uuid(), $4, 'text', 'words', NULL, NULL, false, now(), now(), 1,
            false, NULL, NULL FROM generate_series($1::int, $2::int) n
    """,
    "read.audit_entries": """
        INSERT INTO read.audit_entries SELECT n, $4, $4, $3, 'message.posted', true FROM generate_series($1::int, $2::int) n
    """,
}
MORE = 400
STATES: tuple[TaskState, ...] = ("queued", "running", "failed", "dead")
TASK_KINDS = ("scan", "image", "document", "rebuild", "export", "push", "mail", "webhook", "erasure")
SELECT_SCATTERED = """
    SELECT oid::regclass::text FROM pg_get_wal_block_info($1, $2) block JOIN pg_class ON pg_relation_filenode(oid) = block.relfilenode
    WHERE reldatabase = (SELECT oid FROM pg_database WHERE datname = current_database())
    GROUP BY oid HAVING count(DISTINCT relblocknumber) > $3 ORDER BY 1
"""
PEOPLE = """
    INSERT INTO read.users SELECT gen_random_uuid(), n || '@x.y', '', n, n, NULL, n % 10000 > 0, true, now(), now(), 1
    FROM generate_series(1, $1::int) n
"""
# Of one moment in hundred; the first hundred are dead, the second hundred were tried, the third are told.
DELIVERIES = """
    INSERT INTO notify.deliveries (account_id, position, channel, target_id, kind, at, due_at, state, tries, changed_at)
    SELECT gen_random_uuid(), n, 'push', gen_random_uuid(), 'room', now(), now() + interval '1 day',
        CASE (n - 1) / 100 WHEN 0 THEN 'dead' WHEN 2 THEN 'telling' ELSE 'pending' END, ((n - 1) / 100 = 1)::int,
        now() - (n / 100) * interval '1 second'
    FROM generate_series(1, $1::int) n ORDER BY random()
"""
DELIVERED = """
    INSERT INTO notify.deliveries (account_id, position, channel, target_id, kind, at, due_at, state, changed_at)
    SELECT gen_random_uuid(), n, 'push', gen_random_uuid(), 'room', now(), now(), 'told', now() FROM generate_series(1, $1::int) n
"""
FILE = """
    INSERT INTO read.files
    VALUES ($1, 'f', 'f', 'image/png', 1, '', 'completed', $2, now(), now(), 'clean', NULL, NULL, 1)
"""


@pytest.fixture(params=[1, 5], ids=["one loud room", "five loud rooms"])
async def talk(
    database_url: str, request: pytest.FixtureRequest
) -> AsyncIterator[tuple[asyncpg.Connection, list[UUID]]]:
    """A loud room or five, and thirty without a word, in the order in which they were opened."""
    db = await asyncpg.connect(database_url)
    ids = [uuid4() for _ in range(request.param + QUIET_ROOMS)]
    await db.execute(ROOMS, READER, ids)
    await db.execute(MEMBERS, READER, ids)
    await db.execute(MESSAGES, ids[: request.param], request.param, uuid4(), LOUD_MESSAGES)
    await db.execute("ANALYZE read.rooms; ANALYZE read.room_members; ANALYZE read.messages")
    yield db, ids
    await db.close()


async def test_a_page_of_rooms_touches_no_message_of_others(talk: tuple[asyncpg.Connection, list[UUID]]) -> None:
    db, ids = talk
    marks = (ids, [1] * len(ids))
    last = (*rooms.FIRST, LIMIT, standings("room.list"))
    most = (len(ids) - QUIET_ROOMS) * (1 + UNREAD_COUNTED_MAX)
    for mode in PLAN_MODES:
        page = await rows_met(
            db, mode, "messages", rooms.SELECT_PAGE, READER, UNREAD_COUNTED_MAX, *marks, False, True, None, *last
        )
        assert 0 < page <= most
        assert await rows_met(db, mode, "messages", rooms.SELECT_ONE, READER, UNREAD_COUNTED_MAX, *marks, ids[-1]) == 0


async def test_a_page_of_rooms_counts_what_is_unread_without_reading_it(database_url: str) -> None:
    """Of rooms that it shows, in the index alone: a few pages a room, wherever the messages stand."""
    db = await asyncpg.connect(database_url)
    ids = [uuid4() for _ in range(UNREAD_ROOMS)]
    await db.execute(ROOMS, READER, ids)
    await db.execute(MEMBERS, READER, ids)
    await db.execute(MESSAGES, ids, UNREAD_ROOMS, uuid4(), LOUD_MESSAGES)
    await db.execute(
        "UPDATE read.rooms SET last_posted = (SELECT max(position) FROM read.messages WHERE room_id = rooms.id)"
    )
    await db.execute("UPDATE read.messages SET deleted = true WHERE position % 1000 = 1")
    await db.execute("VACUUM ANALYZE read.messages")
    await db.execute("ANALYZE read.rooms; ANALYZE read.room_members")
    for mode, joined, shown in product(PLAN_MODES, (True, False), (LIMIT, 5)):
        last = (*rooms.FIRST, shown, standings("room.list"))
        asked: tuple[object, ...] = (READER, UNREAD_COUNTED_MAX, [], [], False, joined, None, *last)
        met = await rows_met(db, mode, "messages", rooms.SELECT_PAGE, *asked)
        assert shown * 290 < met < shown * 310
        assert await pages_met(db, mode, rooms.SELECT_PAGE, *asked) < 200 + shown * 20
    await db.close()


async def test_a_page_of_messages_touches_no_more_than_it_shows(talk: tuple[asyncpg.Connection, list[UUID]]) -> None:
    db, ids = talk
    reads = standings("message.list")
    for mode, which in product(PLAN_MODES, ("BEFORE", "AFTER", "AROUND", "BEFORE_HTML", "AFTER_HTML", "AROUND_HTML")):
        sql = getattr(message_pages, f"SELECT_{which}")
        limits: tuple[int, ...] = (LIMIT // 2, LIMIT // 2) if which.startswith("AROUND") else (LIMIT,)
        limits += (PAGE_TEXT_BYTES_MAX,)
        for start in (0, LOUD_MESSAGES // 2, message_pages.POSITION_MAX):
            assert await rows_met(db, mode, "messages", sql, READER, ids[0], reads, start, *limits) <= LIMIT
            for quiet in ids[-2:]:
                assert await rows_met(db, mode, "messages", sql, READER, quiet, reads, start, *limits) == 0


async def test_the_state_of_a_page_touches_no_more_than_the_page(talk: tuple[asyncpg.Connection, list[UUID]]) -> None:
    db, ids = talk
    reads = standings("message.list")
    states = (page_states.SELECT_STATE, page_states.SELECT_STATE_HTML)
    for mode, sql, start in product(PLAN_MODES, states, (0, LOUD_MESSAGES // 2, message_pages.POSITION_MAX)):
        assert await rows_met(db, mode, "messages", sql, READER, ids[0], reads, start, LIMIT) <= LIMIT
        for quiet in ids[-2:]:
            assert await rows_met(db, mode, "messages", sql, READER, quiet, reads, start, LIMIT) == 0


async def test_rooms_and_threads_pass_over_nothing_of_each_other(
    talk: tuple[asyncpg.Connection, list[UUID]],
) -> None:
    db, ids = talk
    root = MESSAGE.id(MessageId(uuid4()))
    await db.execute(FIRST_EVENT, root, ids[0])
    await db.execute(ASIDE, LOUD_MESSAGES, READER)
    await db.execute("VACUUM ANALYZE read.messages")
    room = (READER, ids[0], standings("message.list"), message_pages.POSITION_MAX, LIMIT, PAGE_TEXT_BYTES_MAX)
    thread = (READER, uuid4(), root, standings("thread.list"), 0, LIMIT, False, PAGE_TEXT_BYTES_MAX)
    for mode in PLAN_MODES:
        assert 0 < await rows_met(db, mode, "messages", message_pages.SELECT_BEFORE, *room) <= LIMIT
        assert 0 < await rows_met(db, mode, "messages", thread_pages.SELECT_REPLIES, *thread) <= LIMIT + 1
        unread = (READER, [2, 3], threads.THREAD_UNREAD_COUNTED_MAX)
        assert 0 < await rows_met(db, mode, "messages", threads.SELECT_THREADS, *unread) <= REPLIES


async def test_who_may_download_a_file_is_found_without_messages_that_show_others(
    talk: tuple[asyncpg.Connection, list[UUID]],
) -> None:
    db, _ = talk
    reposted, shown_nowhere = uuid4(), uuid4()
    for file_id in (reposted, shown_nowhere):
        await db.execute(FILE, file_id, uuid4())
    await db.execute("UPDATE read.messages SET file_id = $1 WHERE position % 2 = 0", reposted)
    await db.execute("VACUUM ANALYZE read.messages")
    sees = (standings("file.read"), file_relationships("file.read"))
    for mode in PLAN_MODES:
        assert await rows_met(db, mode, "messages", file_queries.SELECT_SEEN, READER, shown_nowhere, *sees) == 0
        assert 0 < await rows_met(db, mode, "messages", file_queries.SELECT_SEEN, READER, reposted, *sees) < LIMIT


async def test_who_is_deactivated_is_found_without_a_look_at_the_others(database_url: str) -> None:
    db = await asyncpg.connect(database_url)
    await db.execute(PEOPLE, 20_000)
    await db.execute("ANALYZE read.users")
    for mode in PLAN_MODES:
        assert await rows_met(db, mode, "users", users.SELECT_INACTIVE) == 2
    await db.close()


async def test_a_message_is_found_by_its_id_whoever_made_that(database_url: str) -> None:
    db = await asyncpg.connect(database_url)
    room, posted, system = uuid4(), uuid4(), uuid5(uuid4(), "a position")
    await db.execute(ROOMS, READER, [room])
    await db.execute(MEMBERS, READER, [room])
    await db.execute(MESSAGES, [room], 1, uuid4(), LOUD_MESSAGES)
    await db.execute("UPDATE read.messages SET id = $1 WHERE position = 40000", posted)
    await db.execute("UPDATE read.messages SET id = $1, sender_id = NULL WHERE position = 50000", system)
    await db.execute(EVENTS, room, LOUD_MESSAGES, MESSAGE.id(MessageId(posted)))
    await db.execute("ANALYZE read.messages; ANALYZE record.events")
    for mode, message_id, table in product(PLAN_MODES, (posted, system, uuid4()), ("messages", "events")):
        asked: tuple[object, ...] = (READER, message_id, MESSAGE.id(MessageId(message_id)))
        assert await rows_met(db, mode, table, message_queries.SELECT_ONE, *asked) <= 2
        assert await pages_met(db, mode, message_queries.SELECT_ONE, *asked) < 20
    found = [
        await db.fetchrow(message_queries.SELECT_ONE, READER, i, MESSAGE.id(MessageId(i))) for i in (posted, system)
    ]
    assert [row["position"] for row in found] == [40_000, 50_000]
    await db.close()


async def test_a_message_more_touches_one_page_that_no_other_does(database_url: str) -> None:
    """The one of its stream, whose id is random: each such page is written whole to the log after a checkpoint. All else
    that a message adds stands where others of its room, or of its time, do."""
    db = await asyncpg.connect(database_url)
    await db.execute("CREATE EXTENSION pg_walinspect")
    room, sender, last = uuid4(), uuid4(), LOUD_MESSAGES + MORE
    for sql in ADDED.values():
        await db.execute(sql, 1, LOUD_MESSAGES, room, sender)
    began = await db.fetchval("SELECT pg_current_wal_insert_lsn()")
    for sql in ADDED.values():
        await db.execute(sql, LOUD_MESSAGES + 1, last, room, sender)
    ended = await db.fetchval("SELECT pg_current_wal_insert_lsn()")
    await db.execute("SELECT pg_switch_wal()")
    scattered = [row[0] for row in await db.fetch(SELECT_SCATTERED, began, ended, MORE // 4)]
    assert scattered == ["record.events_stream_version_key"]
    await db.close()


async def test_a_page_of_tasks_touches_a_page_of_notices_of_each_state(database_url: str) -> None:
    """However many are queued, and wherever the page begins."""
    db = await asyncpg.connect(database_url)
    await db.execute(DELIVERIES, LOUD_MESSAGES)
    await db.execute(DELIVERED, LOUD_MESSAGES)
    await db.execute("VACUUM ANALYZE notify.deliveries")
    now = datetime.now(UTC)
    places = ((datetime(9999, 1, 1, tzinfo=UTC), ""), (now - timedelta(seconds=LOUD_MESSAGES / 200), "8"))
    for mode, state, before in product(PLAN_MODES, (None, *STATES), places):
        asked: tuple[object, ...] = (list(TASK_KINDS), list(STATES) if state is None else [state], *before, LIMIT)
        met = await rows_met(db, mode, "deliveries", standing_tasks.SELECT_PAGE, *asked)
        assert met <= 4 * (LIMIT + 100), (mode, state, before)
        if before == places[0]:
            assert met >= LIMIT, (mode, state)
    await db.close()


async def test_a_page_of_tasks_of_one_kind_passes_over_none_of_others(database_url: str) -> None:
    """Though there are as many of each as there may be, and those of others are newer."""
    db = await asyncpg.connect(database_url)
    await db.execute(DELIVERIES, LOUD_MESSAGES)
    await db.execute("UPDATE notify.deliveries SET channel = 'mail' WHERE position > 30000")
    await db.execute("VACUUM ANALYZE notify.deliveries")
    first = (datetime(9999, 1, 1, tzinfo=UTC), "")
    for mode, kinds in product(PLAN_MODES, (["mail"], ["webhook"], ["mail", "webhook"], ["mail", "push"])):
        asked: tuple[object, ...] = (kinds, list(STATES), *first, LIMIT)
        met = await rows_met(db, mode, "deliveries", standing_tasks.SELECT_PAGE, *asked)
        assert met <= len(kinds) * 4 * (LIMIT + 1), (mode, kinds)
    await db.close()


async def test_a_page_of_tasks_goes_on_where_the_one_before_ended(database_url: str) -> None:
    db = await Database.open(database_url, size=1)
    await db.run(DELIVERIES, 1_000)
    place, found = (datetime(9999, 1, 1, tzinfo=UTC), ""), list[tuple[datetime, str]]()
    while some := await standing_tasks.page(db, TASK_KINDS, STATES, before=place, limit=70):
        found += [(each.at, each.key) for each in some]
        place = found[-1]
    assert len(found) == 1_000 and found == sorted(set(found), reverse=True)
    await db.close()
