"""The exchange of a group's read tables with rebuilt ones: one transaction, for a moment, and nobody sees half of it.

What could wait comes first, while everybody reads: vacuum is sent away, the checkpoint is locked (its owner's next commit
waits, nothing else does), the last events are added and the rows counted. Then all tables are locked before the first is
renamed. A reader may hold one of them and wait for the next, so each lock is given up far below Postgres'
`deadlock_timeout`, and the caller tries again: no reader is ever the one that is sent away.
"""

from collections.abc import Mapping

from msgspec import Struct

from domain.errors import ReadableError
from domain.ports.database import Db
from projections import parked
from projections.tables import Group, Table

OLD = "__old"
LOCK_CHECKPOINT = "SELECT position FROM read.checkpoints WHERE name = $1 ORDER BY position DESC FOR UPDATE"
SET_VERSION = "UPDATE read.checkpoints SET version = $2 WHERE name = $1"
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
RENAME_TABLE = "ALTER TABLE {table} RENAME TO {name}"
RENAME_INDEX = "ALTER INDEX read.{index} RENAME TO {name}"


class Index(Struct, frozen=True):
    name: str
    definition: str
    is_primary: bool


class RebuildRefusedError(ReadableError):
    """A group's tables are not rebuilt, or not exchanged; the sentence says why."""


async def drop_old(db: Db, group: Group) -> None:
    """Drop what the rebuild before replaced."""
    for table in group.tables:
        await db.run(DROP_TABLE.format(table=table.name + OLD))


async def hold_still(transaction: Db, group: Group) -> int:
    """Keep vacuum and the group's owner off until this transaction ends; return the checkpoint. Readers go on."""
    await transaction.value(LOCK_PAST_VACUUM)
    await transaction.run(LOCK_OUT_VACUUM.format(tables=_names(group)))
    return await transaction.value(LOCK_CHECKPOINT, group.name) or 0


async def tell_losses(transaction: Db, group: Group, suffix: str, missing: Mapping[str, int]) -> None:
    """Raise `RebuildRefusedError` if the exchange would remove rows that the comparison did not find missing.

    Rows of read tables are never deleted, so what was missing then is what is missing now.
    """
    for table in group.tables:
        served = await transaction.value(COUNT_ROWS.format(table=table.name))
        rebuilt = await transaction.value(COUNT_ROWS.format(table=table.name + suffix))
        if served - rebuilt > max(0, missing[table.name]):
            raise RebuildRefusedError(
                f"{table.name} would lose {served - rebuilt:,} of {served:,} rows where the comparison found "
                f"{max(0, missing[table.name]):,} missing: nothing was exchanged. Rebuild it again."
            )


async def exchange(transaction: Db, group: Group, suffix: str) -> None:
    """Lock all served tables, then give the rebuilt ones their names. Raise `RecordLockedError`."""
    indexes = {table: await transaction.all(Index, SELECT_INDEXES, table.name) for table in group.tables}
    await transaction.value(LOCK_SHORTLY)
    await transaction.run(LOCK_OUT_READERS.format(tables=_names(group)))
    for table in group.tables:
        await transaction.run(RENAME_TABLE.format(table=table.name, name=bare(table) + OLD))
        for index in indexes[table]:
            await transaction.run(RENAME_INDEX.format(index=index.name, name=index.name + OLD))
        await transaction.run(RENAME_TABLE.format(table=table.name + suffix, name=bare(table)))
        for index in indexes[table]:
            await transaction.run(RENAME_INDEX.format(index=index.name + suffix, name=index.name))
    await parked.serve_rebuilt(transaction, group.name)
    await transaction.run(SET_VERSION, group.name, group.version)


def bare(table: Table) -> str:
    """Return a table's name without its schema."""
    return table.name.partition(".")[2]


def _names(group: Group) -> str:
    return ", ".join(table.name for table in group.tables)
