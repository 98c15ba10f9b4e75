"""Rebuild: a group's read tables made anew from position 1 while the old ones serve, compared, and swapped by rename.

One rebuild of a group runs at a time: it holds an advisory lock from beginning to end. Its tables stand beside the
served ones as `<table>__next_<digits>`, with the same owner and the same grants. When they have caught up, both
are compared by checksum at the same position, and exchanged (`table_swap.py`). The old tables stay as `<table>__old`
until the next rebuild. A rebuild publishes no frames: the publisher did, from the record, once. Events that the new
tables cannot take are parked like those of the served ones, and replace them in the exchange: an event that can be
taken now is parked no longer.

How far the new tables are is committed with their rows (`projections/building_tables.py`). A rebuild that is killed leaves
them, and the next one goes on from there, if the same code makes them from the same record; each step after the filling
finds what is done of it already.

Tables of a higher version than is served are made in the same way, beside followers and gateways of the release before, and
take over when a follower of the new one stands by.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from functools import partial
from secrets import token_hex

import structlog
from msgspec import Struct

from adapters.postgres.database import Database, Session
from domain.ports.database import Db
from domain.ports.record import DivisibleRecord
from projections import building_parts, building_tables, checkpoints, followers, parked
from projections.checkpoints import LeaseLostError
from projections.parked import Parked
from projections.tables import Group, Table
from workers.begun_tables import begun
from workers.code_version import code_version
from workers.differences import Side, differences, snapshot
from workers.folding import PoisonedError
from workers.rebuild_parts import AGAIN, FillPart, Part, fill_part, fill_side_by_side
from workers.rebuild_reports import Differences, Progress, Verdict
from workers.side_by_side import side_by_side
from workers.table_filling import Filling
from workers.table_indexes import make_indexes
from workers.table_swap import (
    RebuildRefusedError,
    RowsLostError,
    alone,
    bare,
    drop_old,
    exchange,
    swap,
    tell_losses,
)
from workers.unserved_tables import drop_begun

CONNECTIONS_SPARED = 3  # for the group's lock, for what is told once a second, and for one statement besides
DIVIDED_EVENTS_MIN = 20_000  # fewer take no longer than processes need to start
SUFFIX_BYTES = 3  # an index name with it stays below the 63 bytes of Postgres
FOLLOWER_PAUSE_SECONDS = 0.5
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
    SELECT {number} AS number, coalesce(sum(hashtextextended(r::text, 0)), 0)::text AS checksum, count(*) AS rows FROM (SELECT {columns} FROM {table}) r
"""


log = structlog.get_logger()


class Checksum(Struct, frozen=True):
    """What a table holds, and which of its group's tables it is."""

    number: int
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
    """One rebuild of one group. Interrupted, it leaves the served tables alone, and what it made to the next one."""

    def __init__(
        self,
        group: Group,
        record: DivisibleRecord,
        db: Database,
        *,
        progress: Callable[[Progress], None],
        say: Callable[[str], None] | None = None,
        step: Callable[[str], None] = lambda step: None,
        jobs: int = 1,
        fill: FillPart | None = None,
    ) -> None:
        """`say` is given a sentence if something of before is gone on with, or is of no use any more; by default the log is. `step` is
        told what begins. With several `jobs` the record is divided by room, and so many parts are filled at a time, by `fill`;
        None: here. So many statements run at a time, as far as connections are free for them."""
        self._group = group
        self._record = record
        self._db = db
        self._progress = progress
        self._say = say or (lambda sentence: log.info(sentence))  # the logger as it is then
        self._step = step
        self._next = ""
        self._epoch = 0
        self.doing = ""  # the step that it is at; "" before it is alone
        self._jobs = jobs
        free = max(1, db.pool.size_max - CONNECTIONS_SPARED)
        self._statements = min(jobs, free)  # at a time: each takes a connection
        self._fill = fill or partial(fill_part, group, record, db)
        self._filling = self._new_filling(0, None)

    async def run(self, *, swap: bool, afresh: bool = False) -> list[Verdict]:
        """Build, compare and, with `swap`, exchange; the record is right, so a difference is no reason not to. `afresh`: do not
        go on with what was begun before.

        Raise `RebuildRefusedError` if another rebuild of the group runs, or if the exchange is not possible.
        """
        async with alone(self._db, self._group) as session:
            return await self.run_alone(session, swap=swap, afresh=afresh)

    async def run_alone(self, session: Session, *, swap: bool, afresh: bool = False) -> list[Verdict]:
        """The same, for who holds the group's lock on this connection."""
        try:
            return await self._run(session, swap=swap, afresh=afresh)
        except RowsLostError:
            await drop_begun(self._db, self._group)
            raise
        except PoisonedError as error:
            raise RebuildRefusedError(f"{self._group.name} is not rebuilt. {error} {AGAIN}") from None
        except LeaseLostError:
            raise RebuildRefusedError(
                f"What was built of {self._group.name} is somebody else's by now: this rebuild had lost its connection."
            ) from None

    async def _run(self, session: Session, *, swap: bool, afresh: bool) -> list[Verdict]:
        self._begin("filling")
        await self._require_no_later()
        building = None if afresh else await begun(self._db, self._record, self._group, self._say)
        if building is None:
            await drop_begun(self._db, self._group)
            await self._create()
        else:
            self._next = building.suffix
        self._epoch = await building_tables.take(self._db, self._group.name, self._next)
        self._filling = await self._fill_parts(await self._position())
        await self._filling.catch_up()
        self._begin("indexing")
        await make_indexes(self._db, self._group, self._next, at_once=self._statements)
        self._begin("comparing")
        verdicts, missing = await self._compare(session, swapped=swap)
        if swap:
            self._begin("exchanging")
            await self._filling.catch_up()
            await self._wait_for_a_follower()
            await self._swap(session, missing)
        else:
            await drop_begun(self._db, self._group)
        return verdicts

    async def _position(self) -> int:
        """Return how far the tables are. Until the epoch was taken another run may have moved them."""
        building = await building_tables.of(self._db, self._group.name)
        if building is None or building.epoch != self._epoch:
            raise LeaseLostError
        return building.position

    def _begin(self, doing: str) -> None:
        self.doing = doing
        self._step(doing)

    async def _require_no_later(self) -> None:
        """Raise `RebuildRefusedError` if what is served is of a later version than this code makes."""
        served = await checkpoints.version(self._db, self._group.name)
        if served is not None and served > self._group.version:
            raise RebuildRefusedError(
                f"{self._group.name} is served in version {served}, and this release makes version {self._group.version}: "
                "rebuild it with the release that serves it."
            )

    async def _wait_for_a_follower(self) -> None:
        """Stay with the record until somebody stands by who follows tables of this version. Those of an earlier one stop when
        they are served, and frames come from whoever follows."""
        version, began = self._group.version, self.doing
        while not await followers.may_serve(self._db, self._group.name, version):
            if self.doing == began:
                self.doing = f"waiting for a follower of version {version}"
                self._say(f"{self._group.name}: version {version} is made, and waits for a follower of this release.")
            await asyncio.sleep(FOLLOWER_PAUSE_SECONDS)
            await self._filling.catch_up()
        self.doing = began

    async def _fill_parts(self, position: int) -> Filling:
        """Go on with the parts that were begun, or divide what is to be filled. Return what fills the tables from there on."""
        name, suffix, epoch = self._group.name, self._next, self._epoch
        parts = await building_parts.of(self._db, name)
        checkpoint = await checkpoints.position(self._db, name)
        if self._jobs > 1 and self._group.prepare is not None:
            self._say(f"{name}: it is made of what was true at each event, in all rooms, so one process rebuilds it.")
        elif not parts and self._jobs > 1 and checkpoint - position >= DIVIDED_EVENTS_MIN:
            await building_parts.divide(self._db, name, suffix, epoch, parts=self._jobs, until=checkpoint)
            parts = await building_parts.of(self._db, name)
        if not parts:
            return self._new_filling(position, None)
        until, began, started = parts[0].until_position, building_parts.done(parts), time.perf_counter()

        def come_to(done: int) -> None:
            self._progress(Progress(name, done, until, time.perf_counter() - started, began))

        come_to(began)
        wanted = [Part(name, suffix, epoch, part.part, part.parts, part.position, until) for part in parts]
        await fill_side_by_side(wanted, self._jobs, self._fill, come_to)
        async with self._db.transaction() as transaction:
            await building_parts.join(transaction, name, suffix, epoch, until)
        return self._new_filling(until, (began, started))

    def _new_filling(self, position: int, since: tuple[int, float] | None) -> Filling:
        return Filling(
            self._group, self._record, self._db, self._next, note=self._note, progress=self._progress, position=position,
            since=since,
        )  # fmt: skip

    async def _note(self, db: Db, events: Sequence[Parked], position: int) -> None:
        await building_tables.move(db, self._group.name, self._next, self._epoch, position)
        await parked.park(db, self._group.name, events, is_building=True)

    async def _compare(self, session: Session, *, swapped: bool) -> tuple[list[Verdict], dict[str, int]]:
        """Compare with the served tables, both at the position at which those were read. Return the verdicts, and how
        many rows are missing in each rebuilt table."""
        async with snapshot(session) as moment:
            position = await checkpoints.position(moment, self._group.name)
            version = await checkpoints.version(moment, self._group.name) or self._group.version
            raised_from = version if version < self._group.version else None
            await self._filling.until(position, self._db)
            both = partial(self._checksums, moment, ""), partial(self._checksums, self._db, self._next)
            served, rebuilt = await side_by_side(both, self._statements)
            pairs = list(zip(self._group.tables, served, rebuilt, strict=True))
            verdicts = [
                Verdict(
                    table.name, new.rows, old.equals(new), swapped, position, old.digits, new.digits,
                    None if swapped or old.equals(new) else await self._differences(table, moment, max(old.rows, new.rows)),
                    raised_from,
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
            await building_tables.forget(transaction, self._group.name)

        await swap(session, self._group, self._filling, exchange_once, prepare=partial(drop_old, self._db, self._group))

    async def _checksums(self, db: Db, suffix: str) -> list[Checksum]:
        """Return the checksum and the number of rows of each table, all of one moment, in the group's order."""
        each = (
            SELECT_CHECKSUM.format(
                number=number, columns=", ".join((*table.key, *table.columns)), table=table.name + suffix
            )
            for number, table in enumerate(self._group.tables)
        )
        found = await db.all(Checksum, " UNION ALL ".join(each))
        return sorted(found, key=lambda checksum: checksum.number)

    async def _create(self) -> None:
        """Make the new tables with their keys, owner and grants, all of them or none; the other indexes come when the rows are
        in."""
        self._next = f"__next_{token_hex(SUFFIX_BYTES)}"
        record = (await self._record.head()).record
        async with self._db.transaction() as transaction:
            await building_tables.begin(
                transaction,
                self._group.name,
                self._next,
                version=self._group.version,
                code=code_version(),
                record=record,
            )
            for table in self._group.tables:
                made = f"{table.name}{self._next}"
                name = f"{bare(table)}_pkey{self._next}"
                await transaction.run(CREATE_TABLE.format(made=made, table=table.name))
                await transaction.run(ADD_KEY.format(made=made, name=name, key=", ".join(table.key)))
                for right in await transaction.all(str, SELECT_RIGHTS, table.name, made):
                    await transaction.run(right)
