"""Which rows differ between a group's served tables and the rebuilt ones, once the checksums of a table do.

The served tables are read in one snapshot, and the rebuilt ones stand at its checkpoint: nothing that is written meanwhile
can look like a difference, and nobody waits. Rows are put into buckets by a hash of their key, and Postgres sums up each
bucket. One that differs holds at least one row that does, so no more buckets are looked into than rows are to be told. Of
these, checksums of rows are compared here, and only the rows that differ are read whole: memory stays flat, and each side
is walked through twice, however large it is.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager

from msgspec import Struct

from adapters.postgres.database import Session
from domain.ports.database import Db
from projections.tables import Table
from workers.rebuild_reports import Difference, Differences

ROWS_TOLD_MAX = 100  # of a table
BUCKET_ROWS = 64
BUCKETS_MAX = 65_536
# The snapshot waits while the rebuilt tables come to its checkpoint.
SEE_ONE_MOMENT = "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY"
STAY = "SET LOCAL idle_in_transaction_session_timeout = '600s'"
# The names in braces are those that tables declare, with a suffix; $1 is the number of buckets.
SELECT_BUCKETS = """
    SELECT bucket, sum(checksum)::text AS checksum FROM (
        SELECT (hashtextextended(ROW({key})::text, 0) & 9223372036854775807) % $1::bigint AS bucket,
            hashtextextended(r::text, 0) AS checksum
        FROM (SELECT {columns} FROM {table}) r
    ) each GROUP BY bucket
"""
SELECT_KEYS = """
    SELECT ARRAY[{key_texts}] AS key, hashtextextended(r::text, 0) AS checksum FROM (SELECT {columns} FROM {table}) r
    WHERE (hashtextextended(ROW({key})::text, 0) & 9223372036854775807) % $1::bigint = ANY ($2::bigint[])
"""
SELECT_ROWS = """
    SELECT ARRAY[{key_texts}] AS key, ARRAY[{column_texts}]::text[] AS values FROM {table}
    WHERE ({key}) IN (SELECT * FROM unnest({arrays}))
"""

Key = tuple[str, ...]


class Bucket(Struct, frozen=True):
    bucket: int
    checksum: str


class KeyFound(Struct, frozen=True):
    key: list[str]
    checksum: int


class RowFound(Struct, frozen=True):
    key: list[str]
    values: list[str | None]


class Side(Struct, frozen=True):
    """A table as one side has it: where to ask, and the suffix of its name there."""

    db: Db
    suffix: str


@asynccontextmanager
async def snapshot(session: Session) -> AsyncIterator[Db]:
    """Give the tables as they are at one moment, for as long as this is open. Nothing is locked but DROP and rename."""
    async with session.transaction() as transaction:
        await transaction.run(SEE_ONE_MOMENT)
        await transaction.run(STAY)
        yield transaction


async def differences(table: Table, served: Side, rebuilt: Side, *, rows: int) -> Differences:
    """Return what differs of at most `ROWS_TOLD_MAX` rows, in the order of their keys. `rows`: how many the table has."""
    count = min(max(1, rows // BUCKET_ROWS), BUCKETS_MAX)
    ours, theirs = await _buckets(table, served, count), await _buckets(table, rebuilt, count)
    differing = sorted(bucket for bucket in ours.keys() | theirs.keys() if ours.get(bucket) != theirs.get(bucket))
    looked_into = differing[:ROWS_TOLD_MAX]
    before = await _checksums(table, served, count, looked_into)
    after = await _checksums(table, rebuilt, count, looked_into)
    keys = sorted((key for key in before.keys() | after.keys() if before.get(key) != after.get(key)), key=_in_order)
    told = keys[:ROWS_TOLD_MAX]
    are_more = len(keys) > len(told) or len(differing) > len(looked_into)
    old, new = await _rows(table, served, told), await _rows(table, rebuilt, told)
    return Differences([each for key in told for each in _of_row(table, key, old.get(key), new.get(key))], are_more)


def _of_row(
    table: Table, key: Key, served: Sequence[str | None] | None, rebuilt: Sequence[str | None] | None
) -> list[Difference]:
    name = ", ".join(f"{column} {value}" for column, value in zip(table.key, key, strict=True))
    if served is None or rebuilt is None:
        is_served, is_rebuilt = served is not None, rebuilt is not None
        return [Difference(table.name, name, None, "", "row" if is_served else None, "row" if is_rebuilt else None)]
    return [
        Difference(table.name, name, column, table.types[column], old, new)
        for column, old, new in zip(table.columns, served, rebuilt, strict=True)
        if old != new
    ]


async def _buckets(table: Table, side: Side, count: int) -> Mapping[int, str]:
    found = await side.db.all(Bucket, SELECT_BUCKETS.format(**_names(table, side)), count)
    return {each.bucket: each.checksum for each in found}


async def _checksums(table: Table, side: Side, count: int, buckets: Sequence[int]) -> Mapping[Key, int]:
    found = await side.db.all(KeyFound, SELECT_KEYS.format(**_names(table, side)), count, buckets)
    return {tuple(each.key): each.checksum for each in found}


async def _rows(table: Table, side: Side, keys: Sequence[Key]) -> Mapping[Key, Sequence[str | None]]:
    arrays = [[key[i] for key in keys] for i in range(len(table.key))]
    found = await side.db.all(RowFound, SELECT_ROWS.format(**_names(table, side)), *arrays)
    return {tuple(each.key): each.values for each in found}


def _names(table: Table, side: Side) -> dict[str, str]:
    return {
        "table": table.name + side.suffix,
        "key": ", ".join(table.key),
        "columns": ", ".join((*table.key, *table.columns)),
        "key_texts": ", ".join(f"{name}::text" for name in table.key),
        "column_texts": ", ".join(f"{name}::text" for name in table.columns),
        "arrays": ", ".join(f"${i}::text[]::{table.types[name]}[]" for i, name in enumerate(table.key, 1)),
    }


def _in_order(key: Key) -> list[tuple[int, str]]:
    """Positions by their number, and ids, all of one length, by their digits."""
    return [(len(part), part) for part in key]
