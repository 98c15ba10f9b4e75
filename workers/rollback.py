"""Rollback: the tables that a rebuild replaced are served again, brought up to the record first.

They stayed as `<table>__old` and miss what was written since; how far they are is committed with their rows
(`projections/kept_tables.py`), so a rollback that is interrupted goes on from there. Then they are exchanged as a rebuild
exchanges: those that were served until now are kept, and another rollback brings them back.
"""

from collections.abc import Callable, Sequence

from adapters.postgres.database import Database
from domain.ports.database import Db
from domain.ports.record import Record
from projections import building_tables, kept_tables, parked
from projections.kept_tables import Kept
from projections.parked import Parked
from projections.tables import Group
from workers.rebuild_reports import Progress, ServedAgain
from workers.table_filling import Filling
from workers.table_swap import OLD, VACUUM, RebuildRefusedError, alone, count_rows, exchange, step_aside, swap

BACK = "__back"
# Whether a kept table ($2) has the columns and indexes of the served one ($1); its indexes have its suffix ($3).
SELECT_IS_ALIKE = """
    SELECT to_regclass($2::text) IS NOT NULL AND array(
        SELECT format('%s %s', a.attname, format_type(a.atttypid, a.atttypmod)) FROM pg_catalog.pg_attribute a
        WHERE a.attrelid = to_regclass($1::text) AND a.attnum > 0 AND NOT a.attisdropped ORDER BY 1
    ) = array(
        SELECT format('%s %s', a.attname, format_type(a.atttypid, a.atttypmod)) FROM pg_catalog.pg_attribute a
        WHERE a.attrelid = to_regclass($2::text) AND a.attnum > 0 AND NOT a.attisdropped ORDER BY 1
    ) AND array(
        SELECT c.relname || $3::text FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid
        WHERE i.indrelid = to_regclass($1::text) ORDER BY 1
    ) = array(
        SELECT c.relname::text FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid
        WHERE i.indrelid = to_regclass($2::text) ORDER BY 1
    )
"""


class Rollback:
    """One rollback of one group."""

    def __init__(self, group: Group, record: Record, db: Database, *, progress: Callable[[Progress], None]) -> None:
        self._group = group
        self._record = record
        self._db = db
        self._progress = progress
        self._epoch = 0

    async def run(self) -> list[ServedAgain]:
        """Bring the kept tables up to the record, then serve them. Raise `RebuildRefusedError` if there are none, or none
        that this release can bring there, or if the exchange is not possible."""
        async with alone(self._db, self._group) as session:
            kept = await self._require_kept()
            self._epoch = await kept_tables.take(self._db, self._group.name)
            # What a rebuild began and did not end is of no use: what it parked would be taken for what the kept tables go without.
            await building_tables.forget(self._db, self._group.name)
            await parked.forget(self._db, self._group.name, is_building=True)
            filling = Filling(
                self._group, self._record, self._db, OLD, note=self._note, progress=self._progress, position=kept.position
            )  # fmt: skip
            await filling.catch_up()
            for table in self._group.tables:
                await self._db.run(VACUUM.format(table=table.name + OLD))
            await filling.catch_up()
            served: list[ServedAgain] = []

            async def exchange_once(transaction: Db) -> None:
                served[:] = await self._rows(transaction, filling.position)
                await kept_tables.serve_parked(transaction, self._group.name)
                await step_aside(transaction, self._group, OLD, BACK)
                await exchange(transaction, self._group, BACK)

            await swap(session, self._group, filling, exchange_once, besides=OLD)
        return served

    async def _require_kept(self) -> Kept:
        name = self._group.name
        kept = await kept_tables.of(self._db, name)
        if kept is None:
            raise RebuildRefusedError(
                f"No tables of {name} are kept that could be served again: a rebuild keeps those that it replaces, and the "
                "next one drops them."
            )
        if kept.version != self._group.version:
            raise RebuildRefusedError(
                f"The tables of {name} that are kept are of version {kept.version}, and this release writes version "
                f"{self._group.version}: it cannot bring them up to the record. Roll back with the release that wrote them."
            )
        for table in self._group.tables:
            if not await self._db.value(SELECT_IS_ALIKE, table.name, table.name + OLD, OLD):
                raise RebuildRefusedError(
                    f"{table.name}{OLD} is not there, or has other columns or indexes than {table.name}: the tables of "
                    f"{name} that are kept cannot be served again. 'hansard rebuild {name}' makes them anew."
                )
        return kept

    async def _note(self, db: Db, events: Sequence[Parked], position: int) -> None:
        await kept_tables.move(db, self._group.name, self._epoch, events, position)

    async def _rows(self, db: Db, position: int) -> list[ServedAgain]:
        return [
            ServedAgain(
                table.name,
                position,
                await count_rows(db, table.name + OLD),
                await count_rows(db, table.name),
            )
            for table in self._group.tables
        ]
