"""Rebuild: a group's read tables made anew from position 1 while the old ones serve, compared, and swapped by rename.

The new tables stand beside the old as `<table>__next`. When they have caught up, both are compared by checksum at one
and the same position. Then the group's checkpoint is locked for a moment (its owner's next commit waits, nothing else
does), the last events are added and the names exchanged, in one transaction. The old tables stay as `<table>__old`
until the next rebuild. Frames are told by the publisher, from the record, once: a rebuild tells none. Events that the new tables
cannot take are parked as those of the served ones are, and take their place in the swap: what can be taken now is healed.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from msgspec import Struct

from domain.facts import Event, Recorded
from domain.limits import REBUILD_BATCH_EVENTS_MAX
from domain.ports import Db, Record
from projections import parked
from projections.tables import Group, Table
from workers.folding import Folded, batch_of, fold, parked_of, say_parked, write

NEXT, OLD = "__next", "__old"
LAST_STRETCH_EVENTS = 2_000
SAVEPOINT, RELEASE, ROLL_BACK = "SAVEPOINT part", "RELEASE SAVEPOINT part", "ROLLBACK TO SAVEPOINT part"
LOCK_CHECKPOINT = "SELECT position FROM read.checkpoints WHERE name = $1 FOR UPDATE"
SELECT_CHECKPOINT = "SELECT position FROM read.checkpoints WHERE name = $1"
SET_VERSION = "UPDATE read.checkpoints SET version = $2 WHERE name = $1"
SELECT_INDEXES = """
    SELECT c.relname::text, pg_catalog.pg_get_indexdef(i.indexrelid), i.indisprimary
    FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid
    WHERE i.indrelid = $1::text::regclass ORDER BY c.relname
"""


class Progress(Struct, frozen=True):
    group: str
    done: int
    total: int
    seconds: float

    def sentence(self) -> str:
        rate = self.done / self.seconds if self.seconds else 0
        share = self.done / self.total if self.total else 1
        return f"{self.group}: {self.done:,} of {self.total:,} events ({share:.0%}), {rate:,.0f}/s"


class Verdict(Struct, frozen=True):
    """How a rebuilt table compares with the one that was served, both at `position`."""

    table: str
    rows: int
    is_equal: bool
    swapped: bool
    position: int
    served: str
    rebuilt: str

    def sentence(self) -> str:
        found = "equals what was served" if self.is_equal else "DIFFERS from what was served"
        done = "swapped in" if self.swapped else "not swapped"
        sums = self.rebuilt if self.is_equal else f"{self.served} -> {self.rebuilt}"
        return f"{self.table}: {self.rows:,} rows at position {self.position:,}, {found} ({sums}), {done}."


class Rebuild:
    """One rebuild of one group. Interrupted, it leaves the served tables alone; the next one begins afresh."""

    def __init__(self, group: Group, record: Record, db: Db, *, progress: Callable[[Progress], None]) -> None:
        self._group = group
        self._handlers = group.handlers()
        self._record = record
        self._db = db
        self._progress = progress
        self._position = 0
        self._started = time.perf_counter()

    async def run(self, *, swap: bool) -> list[Verdict]:
        """Build, compare and, with `swap`, exchange; the record is right, so a difference is no reason not to."""
        await self._create()
        await self._catch_up()
        for table in self._group.tables:
            await self._index(table)
        verdicts = await self._compare(swapped=swap)
        if swap:
            await self._catch_up()
            await self._swap()
        else:
            for table in self._group.tables:
                await self._db.run(f"DROP TABLE IF EXISTS {table.name}{NEXT}")
            await parked.forget(self._db, self._group.name, is_building=True)
        return verdicts

    async def _compare(self, *, swapped: bool) -> list[Verdict]:
        """Compare with what is served, both at the position that one look at the served tables shows."""
        position, *served = await self._look("")
        await self._apply_until(position, self._db)
        _, *rebuilt = await self._look(NEXT)
        return [
            Verdict(table.name, rows, (was, had) == (now, rows), swapped, position, was, now)
            for table, (was, had), (now, rows) in zip(self._group.tables, _pairs(served), _pairs(rebuilt), strict=True)
        ]

    async def _swap(self) -> None:
        """Lock the checkpoint (its owner's next commit waits, nothing else does), add the last events, exchange names."""
        async with self._db.transaction() as transaction:
            position = await transaction.value(LOCK_CHECKPOINT, self._group.name) or 0
            await self._apply_until(position, transaction)
            for table in self._group.tables:
                await _exchange(transaction, table)
            await parked.serve_rebuilt(transaction, self._group.name)
            await transaction.run(SET_VERSION, self._group.name, self._group.version)

    async def _look(self, suffix: str) -> tuple[Any, ...]:
        """Return the checkpoint, and a checksum and the number of rows of each table, all of one moment."""
        sums = ", ".join(
            f"(SELECT coalesce(sum(hashtextextended(r::text, 0)), 0)::text FROM {rows} r), (SELECT count(*) FROM {rows} r)"
            for rows in (_rows(table, suffix) for table in self._group.tables)
        )
        found = await self._db.one(_row, f"SELECT coalesce(({SELECT_CHECKPOINT}), 0), {sums}", self._group.name)
        assert found is not None, "a list of values has a row"
        return found

    async def _create(self) -> None:
        """Make the new tables with their keys; the other indexes come when the rows are in."""
        await parked.forget(self._db, self._group.name, is_building=True)
        for table in self._group.tables:
            await self._db.run(f"DROP TABLE IF EXISTS {table.name}{NEXT}")
            await self._db.run(
                f"CREATE TABLE {table.name}{NEXT} (LIKE {table.name} INCLUDING DEFAULTS INCLUDING COMMENTS)"
            )
            key = ", ".join(table.key)
            name = f"{_bare(table)}_pkey{NEXT}"
            await self._db.run(f"ALTER TABLE {table.name}{NEXT} ADD CONSTRAINT {name} PRIMARY KEY ({key})")

    async def _catch_up(self) -> None:
        """Fold the record until little is left before the checkpoint."""
        while True:
            checkpoint = await self._db.value(SELECT_CHECKPOINT, self._group.name) or 0
            if checkpoint - self._position <= LAST_STRETCH_EVENTS:
                self._tell(checkpoint)
                return
            await self._apply_until(checkpoint, self._db)

    async def _apply_until(self, until: int, db: Db) -> None:
        """Fold the record up to a position; the next page is read while one is written."""
        reading = asyncio.create_task(self._page(self._position, until))
        try:
            while facts := await reading:
                self._position = facts[-1].position
                reading = asyncio.create_task(self._page(self._position, until))
                await self._write(facts, db)
                self._tell(until)
        finally:
            reading.cancel()

    async def _page(self, position: int, until: int) -> Sequence[Recorded[Event]]:
        return await self._record.after(position, until=until, limit=REBUILD_BATCH_EVENTS_MAX)

    async def _write(self, facts: Sequence[Recorded[Event]], db: Db) -> None:
        folded = await fold(facts, self._handlers, between=_goes_on)
        await write(folded, self._commit if db is self._db else partial(self._commit_within, db))

    async def _commit(self, folded: Sequence[Folded]) -> None:
        async with self._db.transaction(durable=False) as transaction:
            await self._put(transaction, folded, bulk=True)
        say_parked(f"{self._group.name}, rebuilt", folded)

    async def _commit_within(self, transaction: Db, folded: Sequence[Folded]) -> None:
        """Write within the swap's transaction, which goes on where the database refuses a part."""
        await transaction.run(SAVEPOINT)
        try:
            await self._put(transaction, folded, bulk=False)
        except Exception:
            await transaction.run(ROLL_BACK)
            raise
        await transaction.run(RELEASE)
        say_parked(f"{self._group.name}, rebuilt", folded)

    async def _put(self, db: Db, folded: Sequence[Folded], *, bulk: bool) -> None:
        await batch_of(folded).write(db, suffix=NEXT, bulk=bulk)
        await parked.park(db, self._group.name, parked_of(folded), is_building=True)

    async def _index(self, table: Table) -> None:
        """Make the served table's other indexes on the new one."""
        for name, definition, is_primary in await self._db.all(_row, SELECT_INDEXES, table.name):
            if not is_primary:
                made = definition.replace(
                    f"INDEX {name} ON {table.name} ", f"INDEX {name}{NEXT} ON {table.name}{NEXT} "
                )
                await self._db.run(made)
        await self._db.run(f"ANALYZE {table.name}{NEXT}")

    def _tell(self, total: int) -> None:
        self._progress(Progress(self._group.name, self._position, total, time.perf_counter() - self._started))


def _pairs(flat: Sequence[Any]) -> list[tuple[str, int]]:
    """Turn sum, count, sum, count … into pairs; a sum as 16 hex digits."""
    return [(f"{int(flat[i]) % 2**64:016x}", int(flat[i + 1])) for i in range(0, len(flat), 2)]


def _rows(table: Table, suffix: str) -> str:
    return f"(SELECT {', '.join((*table.key, *table.columns))} FROM {table.name}{suffix})"


async def _exchange(db: Db, table: Table) -> None:
    """Give the new table and its indexes the served names, and the served ones another."""
    name = _bare(table)
    await db.run(f"DROP TABLE IF EXISTS {table.name}{OLD}")
    await db.run(f"LOCK TABLE {table.name} IN ACCESS EXCLUSIVE MODE")
    indexes = [row[0] for row in await db.all(_row, SELECT_INDEXES, table.name)]
    await db.run(f"ALTER TABLE {table.name} RENAME TO {name}{OLD}")
    for index in indexes:
        await db.run(f"ALTER INDEX read.{index} RENAME TO {index}{OLD}")
    await db.run(f"ALTER TABLE {table.name}{NEXT} RENAME TO {name}")
    for index in indexes:
        await db.run(f"ALTER INDEX read.{index}{NEXT} RENAME TO {index}")


def _bare(table: Table) -> str:
    return table.name.partition(".")[2]


async def _goes_on(used_seconds: float) -> bool:
    """A rebuild has no lease, and takes the time it needs."""
    return True


def _row(*columns: Any) -> tuple[Any, ...]:
    return columns
