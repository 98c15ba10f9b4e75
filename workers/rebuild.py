"""Rebuild: a group's read tables made anew from position 1 while the old ones serve, compared, and swapped by rename.

One rebuild of a group runs at a time: it holds an advisory lock from beginning to end. Its tables stand beside the
served ones as `<table>__next_<its connection>`, with the same owner and the same grants. When they have caught up, both
are compared by checksum at the same position, and exchanged (`table_swap.py`). The old tables stay as `<table>__old`
until the next rebuild. A rebuild publishes no frames: the publisher did, from the record, once. Events that the new
tables cannot take are parked like those of the served ones, and replace them in the exchange: an event that can be
taken now is parked no longer.
"""

from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial

from msgspec import Struct

from adapters.postgres.database import Database, Session
from domain.ports.database import Db
from domain.ports.record import Record, RecordLockedError
from projections import parked
from projections.parked import Parked
from projections.tables import Group, Table
from workers.differences import Side, differences, snapshot
from workers.rebuild_reports import Differences, Progress, Verdict
from workers.table_filling import Filling
from workers.table_swap import (
    DROP_TABLE,
    SELECT_INDEXES,
    VACUUM,
    Index,
    alone,
    bare,
    drop_old,
    exchange,
    swap,
    tell_losses,
)

SELECT_ME = "SELECT to_hex(pg_backend_pid())"
SELECT_LEFTOVERS = """
    SELECT c.oid::regclass::text FROM pg_catalog.pg_class c
    WHERE c.relnamespace = to_regnamespace('read') AND c.relkind = 'r'
        AND EXISTS (SELECT FROM unnest($1::text[]) t WHERE starts_with(c.relname, t || '__next'))
"""
# Whose the served table is, who may do what with it, and how it is vacuumed: said of another table.
SELECT_RIGHTS = """
    SELECT said FROM (
        SELECT 1, format('ALTER TABLE %s OWNER TO %I', $2::text, pg_get_userbyid(c.relowner))
        FROM pg_catalog.pg_class c WHERE c.oid = $1::text::regclass
        UNION ALL SELECT 2, format('GRANT %s ON %s TO %s', a.privilege_type, $2::text,
            CASE WHEN a.grantee = 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(a.grantee)) END)
        FROM pg_catalog.pg_class c, aclexplode(c.relacl) a WHERE c.oid = $1::text::regclass AND a.grantee <> c.relowner
        UNION ALL SELECT 3, format('ALTER TABLE %s SET (%s)', $2::text, array_to_string(c.reloptions, ', '))
        FROM pg_catalog.pg_class c WHERE c.oid = $1::text::regclass AND c.reloptions IS NOT NULL
    ) rights (i, said) ORDER BY i, said
"""
# The names in braces are those that tables declare, with a suffix, and those of their indexes.
CREATE_TABLE = "CREATE TABLE {made} (LIKE {table} INCLUDING DEFAULTS INCLUDING COMMENTS)"
ADD_KEY = "ALTER TABLE {made} ADD CONSTRAINT {name} PRIMARY KEY ({key})"
# Of the columns that the table declares: a column that is on its way out differs from nothing.
SELECT_CHECKSUM = """
    SELECT {number} AS number, (SELECT position FROM read.checkpoints WHERE name = $1 ORDER BY position DESC LIMIT 1) AS position,
        coalesce(sum(hashtextextended(r::text, 0)), 0)::text AS checksum, count(*) AS rows
    FROM (SELECT {columns} FROM {table}) r
"""


class Checksum(Struct, frozen=True):
    """What a table holds at a position, and which of its group's tables it is."""

    number: int
    position: int | None
    checksum: str
    rows: int

    @property
    def digits(self) -> str:
        """The checksum as 16 hex digits."""
        return f"{int(self.checksum) % 2**64:016x}"

    def equals(self, other: "Checksum") -> bool:
        """Return whether both hold the same rows."""
        return (self.digits, self.rows) == (other.digits, other.rows)


class Rebuild:
    """One rebuild of one group. Interrupted, it leaves the served tables alone; the next one begins afresh."""

    def __init__(self, group: Group, record: Record, db: Database, *, progress: Callable[[Progress], None]) -> None:
        self._group = group
        self._record = record
        self._db = db
        self._progress = progress
        self._next = ""
        self._filling = self._new_filling()

    async def run(self, *, swap: bool) -> list[Verdict]:
        """Build, compare and, with `swap`, exchange; the record is right, so a difference is no reason not to.

        Raise `RebuildRefusedError` if another rebuild of the group runs, or if the exchange is not possible.
        """
        async with alone(self._db, self._group) as session:
            self._next = f"__next_{await session.value(SELECT_ME)}"
            self._filling = self._new_filling()
            await self._clear()
            await self._create()
            await self._filling.catch_up()
            for table in self._group.tables:
                await self._index(table)
            verdicts, missing = await self._compare(session, swapped=swap)
            if swap:
                await self._filling.catch_up()
                await self._swap(session, missing)
            else:
                await self._clear()
        return verdicts

    def _new_filling(self) -> Filling:
        return Filling(self._group, self._record, self._db, self._next, note=self._note, progress=self._progress)

    async def _note(self, db: Db, events: Sequence[Parked], position: int) -> None:
        await parked.park(db, self._group.name, events, is_building=True)

    async def _clear(self) -> None:
        """Drop what this rebuild made, and one that was interrupted; what of the latter somebody reads just now (`pg_dump`
        locks all tables) is left to the next one."""
        found = await self._db.all(str, SELECT_LEFTOVERS, [bare(table) for table in self._group.tables])
        ours = [table for table in found if table.endswith(self._next)]
        for table in ours:
            await self._db.run(DROP_TABLE.format(table=table))
        with suppress(RecordLockedError):
            for table in found:
                await self._db.run(DROP_TABLE.format(table=table))
        await parked.forget(self._db, self._group.name, is_building=True)

    async def _compare(self, session: Session, *, swapped: bool) -> tuple[list[Verdict], dict[str, int]]:
        """Compare with the served tables, both at the position at which those were read. Return the verdicts, and how
        many rows are missing in each rebuilt table."""
        async with snapshot(session) as moment:
            served = await self._checksums(moment, "")
            position = served[0].position or 0
            await self._filling.until(position, self._db)
            rebuilt = await self._checksums(self._db, self._next)
            pairs = list(zip(self._group.tables, served, rebuilt, strict=True))
            verdicts = [
                Verdict(
                    table.name, new.rows, old.equals(new), swapped, position, old.digits, new.digits,
                    None if swapped or old.equals(new) else await self._differences(table, moment, max(old.rows, new.rows)),
                )
                for table, old, new in pairs
            ]  # fmt: skip
        return verdicts, {table.name: old.rows - new.rows for table, old, new in pairs}

    async def _differences(self, table: Table, moment: Db, rows: int) -> Differences:
        return await differences(table, Side(moment, ""), Side(self._db, self._next), rows=rows)

    async def _swap(self, session: Session, missing: dict[str, int]) -> None:
        async def exchange_once(transaction: Db) -> None:
            await tell_losses(transaction, self._group, self._next, missing)
            await exchange(transaction, self._group, self._next)

        await swap(session, self._group, self._filling, exchange_once, prepare=partial(drop_old, self._db, self._group))

    async def _checksums(self, db: Db, suffix: str) -> list[Checksum]:
        """Return the checksum and the number of rows of each table, all of one moment, in the group's order."""
        each = (
            SELECT_CHECKSUM.format(
                number=number, columns=", ".join((*table.key, *table.columns)), table=table.name + suffix
            )
            for number, table in enumerate(self._group.tables)
        )
        found = await db.all(Checksum, " UNION ALL ".join(each), self._group.name)
        return sorted(found, key=lambda checksum: checksum.number)

    async def _create(self) -> None:
        """Make the new tables with their keys, owner and grants; the other indexes come when the rows are in."""
        for table in self._group.tables:
            made = f"{table.name}{self._next}"
            name = f"{bare(table)}_pkey{self._next}"
            await self._db.run(CREATE_TABLE.format(made=made, table=table.name))
            await self._db.run(ADD_KEY.format(made=made, name=name, key=", ".join(table.key)))
            for right in await self._db.all(str, SELECT_RIGHTS, table.name, made):
                await self._db.run(right)

    async def _index(self, table: Table) -> None:
        """Make the served table's other indexes on the new one, then VACUUM it, so that index-only scans work at once."""
        for index in await self._db.all(Index, SELECT_INDEXES, table.name):
            if not index.is_primary:
                served = f"INDEX {index.name} ON {table.name} "
                await self._db.run(
                    index.definition.replace(served, f"INDEX {index.name}{self._next} ON {table.name}{self._next} ")
                )
        await self._db.run(VACUUM.format(table=table.name + self._next))
