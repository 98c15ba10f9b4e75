"""Rebuild: a group's read tables made anew from position 1 while the old ones serve, compared, and swapped by rename.

One rebuild of a group runs at a time: it holds an advisory lock from beginning to end. Its tables stand beside the
served ones as `<table>__next_<its connection>`, with the same owner and the same grants. When they have caught up, both
are compared by checksum at the same position, and exchanged (`table_swap.py`). The old tables stay as `<table>__old`
until the next rebuild. A rebuild publishes no frames: the publisher did, from the record, once. Events that the new
tables cannot take are parked like those of the served ones, and replace them in the exchange: an event that can be
taken now is parked no longer.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from functools import partial

from msgspec import Struct

from adapters.postgres.database import Database, Session
from domain.events import Event, Recorded
from domain.ports.database import Db
from domain.ports.record import Record, RecordLockedError, RecordUnavailableError
from projections import parked
from projections.tables import Group, Table
from workers.folding import Folded, batch_of, fold, parked_of, say_parked, write
from workers.rebuild_reports import Progress, Verdict
from workers.table_swap import (
    DROP_TABLE,
    SELECT_INDEXES,
    Index,
    RebuildRefusedError,
    bare,
    drop_old,
    exchange,
    hold_still,
    tell_losses,
)

REBUILD_BATCH_EVENTS_MAX = 5_000

LAST_STRETCH_EVENTS = 2_000
SWAP_TRIES_MAX = 100
SWAP_PAUSE_SECONDS = 0.2
TAKE_GROUP = "SELECT pg_try_advisory_lock(hashtext('hansard rebuild'), hashtext($1))"
LET_GROUP_GO = "SELECT pg_advisory_unlock(hashtext('hansard rebuild'), hashtext($1))"
SELECT_ME = "SELECT to_hex(pg_backend_pid())"
SAVEPOINT, RELEASE, ROLL_BACK = "SAVEPOINT part", "RELEASE SAVEPOINT part", "ROLLBACK TO SAVEPOINT part"
SELECT_CHECKPOINT = "SELECT position FROM read.checkpoints WHERE name = $1 ORDER BY position DESC LIMIT 1"
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
VACUUM = "VACUUM ANALYZE {table}"
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


class Rebuild:
    """One rebuild of one group. Interrupted, it leaves the served tables alone; the next one begins afresh."""

    def __init__(self, group: Group, record: Record, db: Database, *, progress: Callable[[Progress], None]) -> None:
        self._group = group
        self._handlers = group.handlers()
        self._record = record
        self._db = db
        self._progress = progress
        self._next = ""
        self._position = 0
        self._started = time.perf_counter()

    async def run(self, *, swap: bool) -> list[Verdict]:
        """Build, compare and, with `swap`, exchange; the record is right, so a difference is no reason not to.

        Raise `RebuildRefusedError` if another rebuild of the group runs, or if the exchange is not possible.
        """
        async with self._alone() as session:
            self._next = f"__next_{await session.value(SELECT_ME)}"
            await self._clear()
            await self._create()
            await self._catch_up()
            for table in self._group.tables:
                await self._index(table)
            verdicts, missing = await self._compare(swapped=swap)
            if swap:
                await self._catch_up()
                await self._swap(session, missing)
            else:
                await self._clear()
        return verdicts

    @asynccontextmanager
    async def _alone(self) -> AsyncIterator[Session]:
        """Hold the group's lock on a connection of its own: without that connection there is no exchange."""
        async with self._db.session() as session:
            if not await session.value(TAKE_GROUP, self._group.name):
                raise RebuildRefusedError(
                    f"{self._group.name} is being rebuilt already, by somebody else: wait until that has ended."
                )
            try:
                yield session
            finally:
                with suppress(RecordUnavailableError):  # then the lock went with the connection
                    await session.value(LET_GROUP_GO, self._group.name)

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

    async def _compare(self, *, swapped: bool) -> tuple[list[Verdict], dict[str, int]]:
        """Compare with the served tables, both at the position at which those were read. Return the verdicts, and how
        many rows are missing in each rebuilt table."""
        served = await self._checksums("")
        position = served[0].position or 0
        await self._apply_until(position, self._db)
        rebuilt = await self._checksums(self._next)
        pairs = list(zip(self._group.tables, served, rebuilt, strict=True))
        verdicts = [
            Verdict(
                table.name, new.rows, (old.digits, old.rows) == (new.digits, new.rows), swapped, position, old.digits,
                new.digits,
            )
            for table, old, new in pairs
        ]  # fmt: skip
        return verdicts, {table.name: old.rows - new.rows for table, old, new in pairs}

    async def _swap(self, session: Session, missing: dict[str, int]) -> None:
        """Exchange, and try again while readers hold what is needed; each try makes them wait for a moment at most."""
        for _ in range(SWAP_TRIES_MAX):
            position = self._position
            try:
                await drop_old(self._db, self._group)
                async with session.transaction() as transaction:
                    until = await hold_still(transaction, self._group)
                    await self._apply_until(until, transaction)
                    await tell_losses(transaction, self._group, self._next, missing)
                    await exchange(transaction, self._group, self._next)
                return
            except RecordLockedError:
                self._position = position
                await asyncio.sleep(SWAP_PAUSE_SECONDS)
        raise RebuildRefusedError(
            f"The tables of {self._group.name} are rebuilt and could not be exchanged in {SWAP_TRIES_MAX} tries: somebody "
            "reads them all the time (pg_stat_activity says who). Those that were served are; try again when that has ended."
        )

    async def _checksums(self, suffix: str) -> list[Checksum]:
        """Return the checksum and the number of rows of each table, all of one moment, in the group's order."""
        each = (
            SELECT_CHECKSUM.format(
                number=number, columns=", ".join((*table.key, *table.columns)), table=table.name + suffix
            )
            for number, table in enumerate(self._group.tables)
        )
        found = await self._db.all(Checksum, " UNION ALL ".join(each), self._group.name)
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
            while events := await reading:
                self._position = events[-1].position
                reading = asyncio.create_task(self._page(self._position, until))
                await self._write(events, db)
                self._tell(until)
        finally:
            reading.cancel()

    async def _page(self, position: int, until: int) -> Sequence[Recorded[Event]]:
        return await self._record.after(position, until=until, limit=REBUILD_BATCH_EVENTS_MAX)

    async def _write(self, events: Sequence[Recorded[Event]], db: Db) -> None:
        folded = await fold(events, self._handlers, between=_goes_on)
        await write(folded, self._commit if db is self._db else partial(self._commit_within, db))

    async def _commit(self, folded: Sequence[Folded]) -> None:
        async with self._db.transaction(durable=False) as transaction:
            await self._put(transaction, folded, bulk=True)
        say_parked(f"{self._group.name}, rebuilt", folded)

    async def _commit_within(self, transaction: Db, folded: Sequence[Folded]) -> None:
        """Write within the transaction of the exchange, which goes on if the database refuses a part."""
        await transaction.run(SAVEPOINT)
        try:
            await self._put(transaction, folded, bulk=False)
        except Exception:
            await transaction.run(ROLL_BACK)
            raise
        await transaction.run(RELEASE)
        say_parked(f"{self._group.name}, rebuilt", folded)

    async def _put(self, db: Db, folded: Sequence[Folded], *, bulk: bool) -> None:
        await batch_of(folded).write(db, suffix=self._next, bulk=bulk)
        await parked.park(db, self._group.name, parked_of(folded), is_building=True)

    async def _index(self, table: Table) -> None:
        """Make the served table's other indexes on the new one, then VACUUM it, so that index-only scans work at once."""
        for index in await self._db.all(Index, SELECT_INDEXES, table.name):
            if not index.is_primary:
                served = f"INDEX {index.name} ON {table.name} "
                await self._db.run(
                    index.definition.replace(served, f"INDEX {index.name}{self._next} ON {table.name}{self._next} ")
                )
        await self._db.run(VACUUM.format(table=table.name + self._next))

    def _tell(self, total: int) -> None:
        self._progress(Progress(self._group.name, self._position, total, time.perf_counter() - self._started))


async def _goes_on(used_seconds: float) -> bool:
    """A rebuild has no lease, and takes the time it needs."""
    return True
