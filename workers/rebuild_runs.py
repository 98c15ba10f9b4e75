"""One run of a rebuild as an operation: how far it is and what came of it is written where administrators look.

Nothing of it decides anything: a run that is killed leaves a row that says `running` and is silent, and whoever rebuilds the
group next goes on under the same id.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from uuid import UUID, uuid4

from adapters.postgres.database import Database
from domain.ports.database import Db
from domain.ports.record import DivisibleRecord, RecordUnavailableError
from projections import rebuilds
from projections.rebuilds import Compared
from projections.tables import Group
from workers.rebuild import Rebuild
from workers.rebuild_parts import FillPart
from workers.rebuild_reports import Progress, Verdict
from workers.table_swap import RebuildRefusedError, RebuildUnderWayError, alone

TELL_SECONDS = 1.0
DIFFERENCES_KEPT_MAX = 100


class Run:
    """One run, under the id of whoever asked for it, or else of one that was begun, or a new one."""

    def __init__(
        self,
        group: Group,
        record: DivisibleRecord,
        db: Database,
        *,
        run_by: str,
        progress: Callable[[Progress], None] = lambda progress: None,
        say: Callable[[str], None] | None = None,
        step: Callable[[str], None] = lambda step: None,
        jobs: int = 1,
        fill: FillPart | None = None,
    ) -> None:
        self._group = group
        self._db = db
        self._run_by = run_by
        self._progress = progress
        self._id = UUID(int=0)
        self._last = Progress(group.name, 0, 0, 0.0)
        self._rebuild = Rebuild(group, record, db, progress=self._hear, say=say, step=step, jobs=jobs, fill=fill)

    async def run(self, *, swap: bool, afresh: bool = False, rebuild_id: UUID | None = None) -> list[Verdict]:
        """Rebuild. Raise what `Rebuild.run` raises; what is no fault of the moment is written down as such."""
        try:
            async with alone(self._db, self._group) as session:
                self._id = rebuild_id or await self._begun(swap)
                await self._note(takes=True)
                telling = asyncio.create_task(self._tell())
                try:
                    verdicts = await self._rebuild.run_alone(session, swap=swap, afresh=afresh)
                finally:
                    telling.cancel()
                    await asyncio.gather(telling, return_exceptions=True)
        except RebuildUnderWayError:
            raise
        except RebuildRefusedError as error:
            await rebuilds.end(self._db, self._id, "failed", [], str(error), run_by=self._run_by)
            raise
        await self._note()
        tables = [compared(verdict) for verdict in verdicts]
        await rebuilds.end(self._db, self._id, "done", tables, run_by=self._run_by)
        return verdicts

    async def _begun(self, swap: bool) -> UUID:
        """Return the id of a rebuild that was asked for or interrupted (nobody runs it: this one is alone), or of a new one."""
        for row in await rebuilds.under_way(self._db):
            if (row.group_name, row.version) == (self._group.name, self._group.version):
                await rebuilds.change(self._db, row.id, is_shadow=not swap)
                return row.id
        made, name, version = uuid4(), self._group.name, self._group.version
        await rebuilds.ask(self._db, made, name, version=version, is_shadow=not swap, by_hand=True)
        return made

    def _hear(self, progress: Progress) -> None:
        self._last = progress
        self._progress(progress)

    async def _tell(self) -> None:
        """Write down how far it is, once a second."""
        while True:
            await asyncio.sleep(TELL_SECONDS)
            with suppress(RecordUnavailableError):
                await self._note()

    async def _note(self, *, takes: bool = False) -> None:
        last = self._last
        await rebuilds.tell(
            self._db,
            self._id,
            run_by=self._run_by,
            began=last.began,
            position=last.done,
            total=last.total,
            seconds=last.seconds,
            doing=self._rebuild.doing,
            takes=takes,
        )


def compared(verdict: Verdict) -> Compared:
    """Return what is kept of a verdict: no text of a row."""
    found = verdict.differences.of_rows if verdict.differences else []
    differences = [each.sentence(show_content=False) for each in found[:DIFFERENCES_KEPT_MAX]]
    return Compared(verdict.table, verdict.rows, verdict.position, verdict.is_equal, verdict.swapped, differences)


async def ask_for_raised(db: Db, groups: list[Group], served: dict[str, int]) -> list[UUID]:
    """Queue a rebuild of each group that is served in an earlier version than this code's; return their ids. One that failed
    just now is left alone for a while."""
    made = []
    for group in groups:
        is_raised = served.get(group.name, group.version) < group.version
        if is_raised and not await rebuilds.failed_lately(db, group.name, group.version):
            rebuild_id = uuid4()
            if await rebuilds.ask(db, rebuild_id, group.name, version=group.version, is_shadow=False):
                made.append(rebuild_id)
    return made
