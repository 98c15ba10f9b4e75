"""How Postgres reads a room's events: what it touches is bounded by the answer, however loud other rooms are."""

from itertools import product
from uuid import UUID, uuid4

import asyncpg

from adapters.postgres import event_store
from adapters.postgres.event_store import REPLAY_PAGE_BYTES_MAX
from tests.deployments import PLAN_MODES, rows_met

LOUD_EVENTS = 30_000
LIMIT = 100
EVENTS = """
    INSERT INTO record.events SELECT n, gen_random_uuid(), 1, 'message.posted', '{}', '{}', ($1::uuid[])[1 + n % $2], now()
    FROM generate_series(1, $3::int) n
"""


async def test_a_room_s_events_are_found_without_those_of_others(database_url: str) -> None:
    db = await asyncpg.connect(database_url)
    loud, quiet = [uuid4(), uuid4(), uuid4()], uuid4()
    await db.execute(EVENTS, loud, len(loud), LOUD_EVENTS)
    await db.execute("ANALYZE record.events")
    seen: set[float] = set()

    async def met(mode: str, sql: str, *args: object) -> float:
        found = await rows_met(db, mode, "events", sql, *args)
        seen.add(found)
        return found

    for mode, position in product(PLAN_MODES, (1, LOUD_EVENTS // 2, LOUD_EVENTS)):
        after = (position, LOUD_EVENTS, LIMIT, REPLAY_PAGE_BYTES_MAX)
        assert await met(mode, event_store.SELECT_ROOM_AFTER, loud[0], *after) <= LIMIT
        assert await met(mode, event_store.SELECT_ROOM_AFTER, quiet, *after) == 0
        before = (position, LIMIT, REPLAY_PAGE_BYTES_MAX)
        assert await met(mode, event_store.SELECT_ROOM_BEFORE, loud[0], *before) <= LIMIT
        assert await met(mode, event_store.SELECT_ROOM_BEFORE, quiet, *before) == 0
        rooms: list[UUID] = [*loud, quiet]
        # Before version 18 Postgres rounds rows a loop: three of four rooms are shown as four.
        assert await met(mode, event_store.SELECT_PREVIOUS, rooms, [position] * len(rooms)) <= len(rooms)
    assert LIMIT in seen
    await db.close()
