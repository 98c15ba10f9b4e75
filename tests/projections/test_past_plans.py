"""How Postgres reads the past: what it touches is bounded by the page, however large a room was, and however long ago."""

from itertools import product
from uuid import UUID, uuid4

import asyncpg

from adapters.postgres import past
from domain.authorization import standings
from projections import (
    mentions,
    past_member_queries,
    past_message_queries,
    past_room_queries,
    past_threads,
    room_history,
)
from projections.mentions import EVERYBODY
from projections.rooms import UNREAD_COUNTED_MAX
from projections.threads import THREAD_UNREAD_COUNTED_MAX
from tests.deployments import PLAN_MODES, pages_met, rows_met

POSITIONS = 60_000
PASSED_BY = 20_000  # members who had left before, and as many who came later
LIMIT = 50
READER, ROOM = UUID(int=1), UUID(int=2)
ROOMS = """
    INSERT INTO read.rooms (id, name, name_folded, is_private, history, owner_id, is_archived, member_count, activity, created_at,
        updated_at, version, last_posted)
    VALUES ($2, 'A room', 'a room', false, 'shared', $1, false, 2, 0, now(), now(), 1, 60000)
"""
MEMBERS = "INSERT INTO read.room_members VALUES ($2, $1, 'member', now(), 1, false, 0)"
MESSAGES = """
    INSERT INTO read.messages (room_id, position, id, sender_id, message_type, content, is_edited, created_at, updated_at, version,
        deleted, root_position, in_room)
    SELECT $1::uuid, n, gen_random_uuid(), gen_random_uuid(), 'text', 'words', false, now(), now(), 1, n % 7 = 0,
        CASE WHEN n > 500 AND n % 2 = 0 THEN 500 END, CASE WHEN n > 500 AND n % 2 = 0 THEN n % 4 = 0 END
    FROM generate_series(1, 60000) n
"""
# Who left long before the middle, who came after it, and who was there: each hundredth.
STAYS = """
    INSERT INTO read.past_stays SELECT $1::uuid, gen_random_uuid(), CASE WHEN n % 100 = 0 THEN 9223372036854775807 ELSE n + 40 END, n,
        now() FROM generate_series(1, 20000) n
    UNION ALL SELECT $1::uuid, gen_random_uuid(), n + 5, n, now() FROM generate_series(40001, 60000) n
"""
ROLES = "INSERT INTO read.past_roles SELECT room_id, user_id, joined_position, 'member' FROM read.past_stays"
ROLE = "INSERT INTO read.past_roles SELECT $2::uuid, $1::uuid, n, 'member' FROM generate_series(1, 60000) n"
COUNTS = """
    INSERT INTO read.past_member_counts SELECT room_id, level, joined_position >> 10 * level, count(*)
    FROM read.past_stays, generate_series(0, 3) level GROUP BY 1, 2, 3
"""
NAMES = """
    INSERT INTO read.past_rooms SELECT $2::uuid, n, now(), n, CASE WHEN n = 1 OR n % 3 = 0 THEN 'A room' END, 'a room', NULL, false,
        'shared', NULL, CASE WHEN n = 1 OR n % 3 = 1 THEN $1::uuid END, NULL FROM generate_series(1, 60000) n
"""
CHANGES = "INSERT INTO read.room_changes SELECT $1::uuid, n FROM generate_series(1, 60000) n"
REACTIONS = """
    INSERT INTO read.past_reactions SELECT 500, '👍', n, gen_random_uuid(), true, n FROM generate_series(501, 60000) n
"""
EMOJI = "INSERT INTO read.reaction_counts VALUES (500, '👍', 59500, 501)"
MENTIONS = "INSERT INTO read.mentions SELECT $2::uuid, $1::uuid, n FROM generate_series(1, 60000) n"
PINS = "INSERT INTO read.past_pins SELECT 500, n, n % 2 = 0 FROM generate_series(501, 60000) n"
EVENTS = """
    INSERT INTO record.events SELECT n, $1::uuid, n, 'reading.marked', '{}', '{}', NULL, now() + n * interval '1 s'
    FROM generate_series(1, 60000) n
"""
ANALYZE = """
    ANALYZE read.rooms; ANALYZE read.room_members; ANALYZE read.messages; ANALYZE read.past_stays; ANALYZE read.past_roles;
    ANALYZE read.past_member_counts; ANALYZE read.past_rooms; ANALYZE read.room_changes; ANALYZE read.past_reactions;
    ANALYZE read.past_pins; ANALYZE record.events; ANALYZE read.mentions
"""
STATEMENTS_OF = (
    (ROOMS, 2),
    (MEMBERS, 2),
    (NAMES, 2),
    (MESSAGES, 1),
    (STAYS, 1),
    (CHANGES, 1),
    (ROLE, 2),
    (MENTIONS, 2),
)


async def filled(database_url: str) -> asyncpg.Connection:
    """A room that was renamed, joined and written in all the time."""
    db = await asyncpg.connect(database_url)
    for sql, count in STATEMENTS_OF:
        await db.execute(sql, *((READER, ROOM) if count == 2 else (ROOM,)))
    for sql in (ROLES, COUNTS, REACTIONS, EMOJI, PINS):
        await db.execute(sql)
    await db.execute(EVENTS, ROOM)
    await db.execute(ANALYZE)
    return db


async def test_the_past_costs_what_is_shown_however_long_ago_and_however_large(database_url: str) -> None:
    db = await filled(database_url)
    for mode, position in product(PLAN_MODES, (1_000, 30_000, 59_000)):
        then = (READER, position)
        page = (*then, ROOM, 0, LIMIT, past_member_queries.LENGTHS, standings("member.list"), 2 * LIMIT)
        met = await rows_met(db, mode, "past_stays", past_member_queries.SELECT_PAGE, *page)
        assert 5 < met <= 4 * LIMIT, (mode, position)
        assert await rows_met(db, mode, "past_roles", past_member_queries.SELECT_PAGE, *page) <= LIMIT
        assert await pages_met(db, mode, past_member_queries.SELECT_PAGE, *page) < 1_500

        room = (*then, [ROOM])
        assert await rows_met(db, mode, "past_rooms", past_room_queries.SELECT_ROOMS, *room) <= 3
        assert await rows_met(db, mode, "messages", past_room_queries.SELECT_ROOMS, *room) <= 1
        assert await rows_met(db, mode, "past_member_counts", past_room_queries.SELECT_ROOMS, *room) <= 3 * 1024
        assert await rows_met(db, mode, "past_stays", past_room_queries.SELECT_ROOMS, *room) <= 1
        unread = (*then, [ROOM], [0], UNREAD_COUNTED_MAX, [READER, EVERYBODY])
        assert await rows_met(db, mode, "mentions", past_room_queries.SELECT_UNREAD, *unread) <= 2 * UNREAD_COUNTED_MAX
        assert await rows_met(db, mode, "messages", past_room_queries.SELECT_UNREAD, *unread) <= 4 * UNREAD_COUNTED_MAX

        today = (READER, [ROOM], [0], [READER, EVERYBODY], UNREAD_COUNTED_MAX)
        assert await rows_met(db, mode, "mentions", mentions.SELECT_COUNTS, *today) <= 2 * UNREAD_COUNTED_MAX

        replies = (READER, [500], [ROOM], [500], position, THREAD_UNREAD_COUNTED_MAX)
        met = await rows_met(db, mode, "messages", past_threads.SELECT_UNREAD, *replies)
        assert 100 < met <= 2 * THREAD_UNREAD_COUNTED_MAX, (mode, position)
        assert await rows_met(db, mode, "past_roles", past_threads.SELECT_UNREAD, *replies) <= 1

        seen = (READER, [500], position)
        assert await rows_met(db, mode, "past_reactions", past_message_queries.SELECT_REACTIONS, *seen) <= 3
        assert await rows_met(db, mode, "past_pins", past_message_queries.SELECT_PINNED, [500], position) <= 1
        for streams in ([ROOM], [ROOM, uuid4()]):
            assert await rows_met(db, mode, "events", past.SELECT_LAST_UNTIL, streams, position) <= 20
            assert await pages_met(db, mode, past.SELECT_LAST_UNTIL, streams, position) < 120
        changed = (READER, ROOM, standings("room.history"), position, LIMIT)
        assert await rows_met(db, mode, "room_changes", room_history.SELECT_PAGE, *changed) <= LIMIT
        assert await rows_met(db, mode, "past_rooms", room_history.SELECT_PAGE, *changed) <= LIMIT
        moment = await db.fetchval("SELECT recorded_at FROM record.events WHERE position = $1", position)
        assert await db.fetchval(past.SELECT_POSITION_AT, moment) == position
        assert await rows_met(db, mode, "events", past.SELECT_POSITION_AT, moment) <= 25
    await db.close()


async def test_pins_of_messages_that_one_may_not_read_are_passed_over_page_by_page(database_url: str) -> None:
    db = await asyncpg.connect(database_url)
    for sql, count in STATEMENTS_OF[:3]:
        await db.execute(sql, *((READER, ROOM) if count == 2 else (ROOM,)))
    await db.execute("UPDATE read.rooms SET history = 'joined'")
    await db.execute("UPDATE read.room_members SET joined_position = 1000")
    await db.execute("INSERT INTO read.room_changes SELECT $1::uuid, n, 500 FROM generate_series(1001, 20000) n", ROOM)
    await db.execute("ANALYZE read.room_changes; ANALYZE read.past_rooms")
    for mode in PLAN_MODES:
        changed = (READER, ROOM, standings("room.history"), POSITIONS, LIMIT)
        assert await rows_met(db, mode, "room_changes", room_history.SELECT_PAGE, *changed) == LIMIT
        found = await db.fetch(room_history.SELECT_PAGE, *changed)
        assert [row["is_hidden"] for row in found] == [True] * LIMIT
    await db.close()
