"""The exchange of a group's read tables with rebuilt ones: one transaction, for a moment, and nobody sees half of it.

What could wait comes first, while everybody reads: vacuum is sent away, the checkpoint is locked (its owner's next commit
waits, nothing else does), the last events are added and the rows counted. Then all tables are locked before the first is
renamed. A reader may hold one of them and wait for the next, so each lock is given up far below Postgres'
`deadlock_timeout`, and the caller tries again: no reader is ever the one that is sent away.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress

from msgspec import Struct

from adapters.postgres.database import Database, Session
from domain.errors import ReadableError
from domain.ports.database import Db
from domain.ports.record import RecordLockedError, RecordUnavailableError
from projections import kept_tables, parked
from projections.tables import Group, Table
from workers.table_filling import Filling

SWAP_TRIES_MAX = 100
SWAP_PAUSE_SECONDS = 0.2
OLD = "__old"
TAKE_GROUP = "SELECT pg_try_advisory_lock(hashtext('hansard rebuild'), hashtext($1))"
LET_GROUP_GO = "SELECT pg_advisory_unlock(hashtext('hansard rebuild'), hashtext($1))"
LOCK_CHECKPOINT = "SELECT position FROM read.checkpoints WHERE name = $1 ORDER BY position DESC FOR UPDATE"
# With another version comes another owner: the epoch of whoever wrote the tables that go is over.
SET_VERSION = """
    UPDATE read.checkpoints SET version = $2,
        epoch = CASE WHEN version = $2 THEN epoch ELSE epoch + 1 END,
        leased_to = CASE WHEN version = $2 THEN leased_to ELSE '-infinity' END
    WHERE name = $1
"""
# 100 ms, or half of what Postgres waits before it looks for deadlocks; vacuum is sent away after the whole of that.
LOCK_SHORTLY = """
    SELECT set_config('lock_timeout', least(100, setting::int / 2)::text, true)
    FROM pg_catalog.pg_settings WHERE name = 'deadlock_timeout'
"""
LOCK_PAST_VACUUM = """
    SELECT set_config('lock_timeout', (setting::int + 2000)::text, true)
    FROM pg_catalog.pg_settings WHERE name = 'deadlock_timeout'
"""
SELECT_INDEXES = """
    SELECT c.relname::text AS name, pg_catalog.pg_get_indexdef(i.indexrelid) AS definition, i.indisprimary AS is_primary
    FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid
    WHERE i.indrelid = $1::text::regclass ORDER BY c.relname
"""
# The names in braces are those that tables declare, with a suffix, and those of their indexes: no parameter can stand for
# them.
DROP_TABLE = "DROP TABLE IF EXISTS {table}"
LOCK_OUT_VACUUM = "LOCK TABLE {tables} IN SHARE UPDATE EXCLUSIVE MODE"
LOCK_OUT_READERS = "LOCK TABLE {tables} IN ACCESS EXCLUSIVE MODE"
COUNT_ROWS = "SELECT count(*) FROM {table}"
VACUUM = "VACUUM ANALYZE {table}"
RENAME_TABLE = "ALTER TABLE {table} RENAME TO {name}"
RENAME_INDEX = "ALTER INDEX read.{index} RENAME TO {name}"


class Index(Struct, frozen=True):
    name: str
    definition: str
    is_primary: bool


class RebuildRefusedError(ReadableError):
    """A group's tables are not rebuilt, or not exchanged; the sentence says why."""


class RebuildUnderWayError(RebuildRefusedError):
    """Somebody else rebuilds this group, or rolls it back."""


class RowsLostError(RebuildRefusedError):
    """The rebuilt tables are not what was compared: they are of no use, and to be made anew."""


@asynccontextmanager
async def alone(db: Database, group: Group) -> AsyncIterator[Session]:
    """Hold the group's lock on a connection of its own: without that connection there is no exchange."""
    async with db.session() as session:
        if not await session.value(TAKE_GROUP, group.name):
            raise RebuildUnderWayError(
                f"{group.name} is being rebuilt already, by somebody else: wait until that has ended."
            )
        try:
            yield session
        finally:
            with suppress(RecordUnavailableError):  # then the lock went with the connection
                await session.value(LET_GROUP_GO, group.name)


async def swap(
    session: Session,
    group: Group,
    filling: Filling,
    exchange_once: Callable[[Db], Awaitable[None]],
    *,
    prepare: Callable[[], Awaitable[None]] | None = None,
    besides: str = "",
) -> None:
    """Fold the last events and exchange, and try again while readers hold what is needed; each try makes them wait for
    a moment at most. `prepare` is a part of each try, before its transaction. Vacuum is kept off the tables with the
    suffix `besides`, too."""
    for _ in range(SWAP_TRIES_MAX):
        position = filling.position
        try:
            if prepare is not None:
                await prepare()
            async with session.transaction() as transaction:
                await filling.until(await hold_still(transaction, group, besides), transaction)
                await exchange_once(transaction)
            return
        except RecordLockedError:
            filling.position = position
            await asyncio.sleep(SWAP_PAUSE_SECONDS)
    raise RebuildRefusedError(
        f"The tables of {group.name} are ready and could not be exchanged in {SWAP_TRIES_MAX} tries: somebody "
        "reads them all the time (pg_stat_activity says who). Those that were served are; try again when that has ended."
    )


async def drop_old(db: Db, group: Group) -> None:
    """Drop what the rebuild before replaced."""
    await kept_tables.forget(db, group.name)
    for table in group.tables:
        await db.run(DROP_TABLE.format(table=table.name + OLD))


async def hold_still(transaction: Db, group: Group, besides: str = "") -> int:
    """Keep vacuum and the group's owner off until this transaction ends; return the checkpoint. Readers go on."""
    await transaction.value(LOCK_PAST_VACUUM)
    await transaction.run(LOCK_OUT_VACUUM.format(tables=_names(group)))
    if besides:
        await transaction.run(LOCK_OUT_VACUUM.format(tables=_names(group, besides)))
    return await transaction.value(LOCK_CHECKPOINT, group.name) or 0


async def tell_losses(transaction: Db, group: Group, suffix: str, missing: Mapping[str, int]) -> None:
    """Raise `RowsLostError` if the exchange would remove rows that the comparison did not find missing.

    Rows of read tables are never deleted, so what was missing then is what is missing now.
    """
    for table in group.tables:
        served = await count_rows(transaction, table.name)
        rebuilt = await count_rows(transaction, table.name + suffix)
        if served - rebuilt > max(0, missing[table.name]):
            raise RowsLostError(
                f"{table.name} would lose {served - rebuilt:,} of {served:,} rows where the comparison found "
                f"{max(0, missing[table.name]):,} missing: nothing was exchanged. Rebuild it again."
            )


async def count_rows(db: Db, table: str) -> int:
    """Return how many rows a table has that is declared, whatever its suffix."""
    return int(await db.value(COUNT_ROWS.format(table=table)))


async def exchange(transaction: Db, group: Group, suffix: str) -> None:
    """Lock all served tables, then give the rebuilt ones their names, and keep those. Raise `RecordLockedError`."""
    renames = [rename for table in group.tables for rename in await _renames(transaction, table, suffix)]
    await transaction.value(LOCK_SHORTLY)
    await transaction.run(LOCK_OUT_READERS.format(tables=_names(group)))
    await transaction.run("; ".join(renames))  # at once: everybody waits
    await kept_tables.keep(transaction, group.name)
    await parked.serve_rebuilt(transaction, group.name)
    await transaction.run(SET_VERSION, group.name, group.version)


async def _renames(db: Db, table: Table, suffix: str) -> list[str]:
    """Return what keeps a served table under another name, and gives its own to that with a suffix; and so their indexes."""
    indexes = [index.name for index in await db.all(Index, SELECT_INDEXES, table.name)]
    return [
        RENAME_TABLE.format(table=table.name, name=bare(table) + OLD),
        *(RENAME_INDEX.format(index=index, name=index + OLD) for index in indexes),
        RENAME_TABLE.format(table=table.name + suffix, name=bare(table)),
        *(RENAME_INDEX.format(index=index + suffix, name=index) for index in indexes),
    ]


async def step_aside(transaction: Db, group: Group, suffix: str, other: str) -> None:
    """Give tables that nobody is served from, and their indexes, another suffix. Raise `RecordLockedError`."""
    await transaction.value(LOCK_SHORTLY)
    await transaction.run(LOCK_OUT_READERS.format(tables=_names(group, suffix)))
    for table in group.tables:
        for index in await transaction.all(Index, SELECT_INDEXES, table.name + suffix):
            await transaction.run(RENAME_INDEX.format(index=index.name, name=index.name.removesuffix(suffix) + other))
        await transaction.run(RENAME_TABLE.format(table=table.name + suffix, name=bare(table) + other))


def bare(table: Table) -> str:
    """Return a table's name without its schema."""
    return table.name.partition(".")[2]


def _names(group: Group, suffix: str = "") -> str:
    return ", ".join(table.name + suffix for table in group.tables)
