"""What the nemesis does to Postgres as its owner: the clock that is moved, keys taken away, a snapshot held.

The clock is the database's own: `clock_timestamp()` is another function of that name, put before the real one, so that
all SQL that is parsed from then on asks it. Everything is tried until it is done: Postgres may be down just then.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from typing import Any, TypeVar

import asyncpg

T = TypeVar("T")
RETRY_SECONDS = 0.1
INSIST_SECONDS = 60.0
CONNECT_SECONDS = 2.0

MAKE_CLOCK = """
    CREATE SCHEMA chaos;
    CREATE TABLE chaos.clock (ahead interval NOT NULL);
    INSERT INTO chaos.clock VALUES ('0');
    GRANT USAGE ON SCHEMA chaos TO PUBLIC;
    GRANT SELECT ON chaos.clock TO PUBLIC;
    ALTER FUNCTION pg_catalog.clock_timestamp() RENAME TO true_clock;
    CREATE FUNCTION pg_catalog.clock_timestamp() RETURNS timestamptz LANGUAGE sql VOLATILE
        AS 'SELECT pg_catalog.true_clock() + ahead FROM chaos.clock';
"""
SET_CLOCK = "UPDATE chaos.clock SET ahead = $1"
COUNT_AHEAD = "SELECT count(*) FROM record.events WHERE recorded_at > pg_catalog.true_clock() + $1::interval"
SELECT_KEYS = "SELECT key_id, subject, room_id, day, wrapped FROM vault.data_keys WHERE subject = $1"
TAKE_KEYS = "DELETE FROM vault.data_keys WHERE subject = $1"
PUT_KEYS = """
    INSERT INTO vault.data_keys (key_id, subject, room_id, day, wrapped)
    SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::date[], $5::bytea[])
    ON CONFLICT (key_id) DO UPDATE SET wrapped = excluded.wrapped
"""
SELECT_FOLLOWED = """
    SELECT max(position), (SELECT position FROM record.head) FROM read.checkpoints WHERE name = 'live'
"""
SELECT_TABLES = "SELECT format('%I.%I', schemaname, tablename) FROM pg_tables WHERE schemaname IN ('record', 'read')"
AWAY = (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError)


class Owner:
    """Postgres as its owner has it."""

    def __init__(self, url: str) -> None:
        self._url = url

    async def make_clock(self) -> None:
        async with self._connected() as db:
            await db.execute(MAKE_CLOCK)

    async def set_clock(self, ahead: timedelta) -> None:
        await self._insist(lambda db: db.execute(SET_CLOCK, ahead))

    async def ahead(self, bound: timedelta) -> int:
        """Count the events that were recorded at times that are still to come."""
        return int(await self._insist(lambda db: db.fetchval(COUNT_AHEAD, bound)))

    async def followed(self) -> tuple[int, int]:
        """Return up to where the read tables that people are told from follow the record, and where that ends."""
        place, head = await self._insist(lambda db: db.fetchrow(SELECT_FOLLOWED))
        return int(place), int(head)

    async def take_keys(self, subject: str) -> Sequence[Any]:
        """Take the keys of a subject away; answers them."""
        rows = await self._insist(lambda db: db.fetch(SELECT_KEYS, subject))
        await self._insist(lambda db: db.execute(TAKE_KEYS, subject))
        return list(rows)

    async def put_keys(self, rows: Sequence[Any]) -> None:
        """Restore keys as an operator would: what stands there instead is replaced."""
        columns = [list(column) for column in zip(*rows, strict=True)]
        await self._insist(lambda db: db.execute(PUT_KEYS, *columns))

    @asynccontextmanager
    async def snapshot(self) -> AsyncIterator[None]:
        """Hold one snapshot and a lock on every table meanwhile, as `pg_dump` does; a crash of Postgres ends it."""
        async with self._connected() as db:
            await db.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
            for row in await db.fetch(SELECT_TABLES):
                await db.execute(f"LOCK TABLE {row[0]} IN ACCESS SHARE MODE")
                await db.fetch(f"SELECT FROM {row[0]} LIMIT 1")
            yield

    @asynccontextmanager
    async def _connected(self) -> AsyncIterator[Any]:
        db = await asyncpg.connect(self._url, timeout=CONNECT_SECONDS)
        try:
            yield db
        finally:
            db.terminate()

    async def _insist(self, ask: Callable[[Any], Awaitable[T]]) -> T:
        async with asyncio.timeout(INSIST_SECONDS):
            while True:
                with suppress(*AWAY):
                    async with self._connected() as db:
                        return await ask(db)
                await asyncio.sleep(RETRY_SECONDS)
