"""The record as it is at one moment: one connection in one transaction that sees no later one, and lends its sight to
pg_dump by the snapshot's name.

Nothing is locked by it; what is written meanwhile is simply not seen.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from uuid import UUID

from msgspec import Struct

from adapters.postgres.data_keys import StoredKey
from adapters.postgres.database import Session, connect
from adapters.postgres.master_key_check import NAME, SELECT_ANY_KEY, SELECT_CHECK

STATEMENT_SECONDS = 600.0  # the longest counts a stretch of events
SEE_ONE_MOMENT = "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY"
# It rests while pg_dump works, for hours where the record is large.
STAY = "SET LOCAL idle_in_transaction_session_timeout = 0"
SELECT_SNAPSHOT = "SELECT pg_export_snapshot()"
SELECT_HEAD = "SELECT record, position, recorded_at FROM record.head"
SELECT_TABLES = """
    SELECT c.oid::regclass::text AS name, pg_table_size(c.oid) AS row_bytes, pg_total_relation_size(c.oid) AS all_bytes
    FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname = ANY ($1::text[]) AND c.relkind = 'r' ORDER BY name
"""
SELECT_DESTROYED = "SELECT key_id::text FROM vault.data_keys WHERE wrapped IS NULL ORDER BY key_id"
SELECT_CHECKPOINT = "SELECT note FROM notary.checkpoints WHERE origin = $1 AND size <= $2 ORDER BY size DESC LIMIT 1"


class MomentHead(Struct, frozen=True):
    """Which record it is, its last position, and the time of the last event."""

    record: UUID
    position: int
    recorded_at: datetime


class TableSize(Struct, frozen=True):
    """A table, and how much its rows take, and all of it with indexes."""

    name: str
    row_bytes: int
    all_bytes: int


class StoredSample(Struct, frozen=True):
    """Something that the master key wrapped, and the name that is bound to it."""

    name: str
    wrapped: bytes


class Moment(Session):
    """Queries that all see one moment. `snapshot` is its name, for others who shall see the same at `url`."""

    url = ""
    snapshot = ""

    @asynccontextmanager
    async def session(self) -> AsyncIterator[Session]:
        """Lend the connection: there is only this one."""
        yield self

    async def head(self) -> MomentHead:
        found = await self.one(MomentHead, SELECT_HEAD)
        assert found is not None, "the migrations make the head's row"
        return found

    async def tables(self, schemas: list[str]) -> list[TableSize]:
        """Return all tables of these schemas."""
        return await self.all(TableSize, SELECT_TABLES, schemas)

    async def destroyed(self) -> list[str]:
        """Return the ids of the data keys that were destroyed."""
        return await self.all(str, SELECT_DESTROYED)

    async def checkpoint(self, origin: str, position: int) -> str | None:
        """Return the newest note that was signed of this record, up to a position."""
        note = await self.value(SELECT_CHECKPOINT, origin, position)
        return None if note is None else str(note)

    async def wrapped(self) -> list[StoredSample]:
        """Return what tells the right master key from another one: the check, and one data key, as far as they are there."""
        check = await self.value(SELECT_CHECK)
        key = await self.one(StoredKey, SELECT_ANY_KEY)
        found = [] if check is None else [StoredSample(NAME.decode(), check)]
        if key is not None and key.wrapped is not None:
            found.append(StoredSample(str(key.key_id), key.wrapped))
        return found


@asynccontextmanager
async def one_moment(url: str) -> AsyncIterator[Moment]:
    """Give the record as it is now, for as long as this is open."""
    connection = await connect(url, statement_seconds=STATEMENT_SECONDS)
    try:
        moment = Moment(connection)
        moment.url = url
        async with moment.transaction():
            await moment.run(SEE_ONE_MOMENT)
            await moment.run(STAY)
            moment.snapshot = await moment.value(SELECT_SNAPSHOT)
            yield moment
    finally:
        await connection.close()
