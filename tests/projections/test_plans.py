"""How Postgres reads a page: what it touches is bounded by the page, however loud other rooms are.

A planner that believes every room to be as loud as the loudest walks all messages backwards for those of a quiet one.
"""

from collections.abc import AsyncIterator
from itertools import product
from uuid import UUID, uuid4

import asyncpg
import pytest

from domain.bounds import UNREAD_COUNTED_MAX
from domain.rights import file_relations, standings
from projections import files, messages, rooms, users
from tests.houses import PLAN_MODES, pages_met, rows_met

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
PEOPLE = """
    INSERT INTO read.users SELECT gen_random_uuid(), n || '@x.y', '', n, n, NULL, n % 10000 > 0, true, now(), now(), 1
    FROM generate_series(1, $1::int) n
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
        asked = (READER, UNREAD_COUNTED_MAX, [], [], False, joined, None, *last)
        met = await rows_met(db, mode, "messages", rooms.SELECT_PAGE, *asked)
        assert shown * 290 < met < shown * 310
        assert await pages_met(db, mode, rooms.SELECT_PAGE, *asked) < 200 + shown * 20
    await db.close()


async def test_a_page_of_messages_touches_no_more_than_it_shows(talk: tuple[asyncpg.Connection, list[UUID]]) -> None:
    db, ids = talk
    reads = standings("message.list")
    for mode, which in product(PLAN_MODES, ("BEFORE", "AFTER", "AROUND", "BEFORE_HTML", "AFTER_HTML", "AROUND_HTML")):
        sql = getattr(messages, f"SELECT_{which}")
        limits = (LIMIT // 2, LIMIT // 2) if which.startswith("AROUND") else (LIMIT,)
        for start in (0, LOUD_MESSAGES // 2, messages.POSITION_MAX):
            assert await rows_met(db, mode, "messages", sql, READER, ids[0], reads, start, *limits) <= LIMIT
            for quiet in ids[-2:]:
                assert await rows_met(db, mode, "messages", sql, READER, quiet, reads, start, *limits) == 0


async def test_who_may_download_a_file_is_found_without_messages_that_show_others(
    talk: tuple[asyncpg.Connection, list[UUID]],
) -> None:
    db, _ = talk
    reposted, shown_nowhere = uuid4(), uuid4()
    for file_id in (reposted, shown_nowhere):
        await db.execute(FILE, file_id, uuid4())
    await db.execute("UPDATE read.messages SET file_id = $1 WHERE position % 2 = 0", reposted)
    await db.execute("VACUUM ANALYZE read.messages")
    sees = (standings("file.read"), file_relations("file.read"))
    for mode in PLAN_MODES:
        assert await rows_met(db, mode, "messages", files.SELECT_SEEN, READER, shown_nowhere, *sees) == 0
        assert 0 < await rows_met(db, mode, "messages", files.SELECT_SEEN, READER, reposted, *sees) < LIMIT


async def test_who_is_deactivated_is_found_without_a_look_at_the_others(database_url: str) -> None:
    db = await asyncpg.connect(database_url)
    await db.execute(PEOPLE, 20_000)
    await db.execute("ANALYZE read.users")
    for mode in PLAN_MODES:
        assert await rows_met(db, mode, "users", users.SELECT_INACTIVE) == 2
    await db.close()
