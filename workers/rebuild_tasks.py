"""The worker of rebuilds: takes those that were asked for over HTTP, or that a release with a raised version needs.

A task in the queue is a hint; `read.rebuilds` says whether it is still to be done. Whoever takes it holds it by heartbeats, so
that another worker goes on with the rebuild soon after this one was killed. That no two run at once is the business of the
group's lock, not of the queue: while Redis is away, a rebuild goes on. A task of a version that this code does not make is
left to the workers of the release that does.
"""

import asyncio
from contextlib import suppress

import structlog

from adapters.postgres.database import Database
from adapters.redis.task_entries import Taken
from adapters.redis.task_queue import TASK_CLAIM_SECONDS, RedisTasks
from domain.bounds import POLL_SECONDS
from domain.ports.database import Db
from domain.ports.record import DivisibleRecord, RecordUnavailableError
from domain.ports.tasks import TasksUnavailableError
from domain.tasks import RebuildProjection
from projections import PROJECTIONS, checkpoints, rebuilds
from projections.tables import Group
from workers.rebuild_parts import FillPart
from workers.rebuild_runs import Run, ask_for_raised
from workers.table_swap import RebuildRefusedError, RebuildUnderWayError
from workers.task_faults import in_words

DISPATCH_SECONDS = 5.0
LATER_SECONDS = 15.0
OTHERS_SECONDS = 1.0  # until a task of another release is shown again
SELECT_MAY_REBUILD = "SELECT pg_has_role(session_user, 'hansard_operator', 'USAGE')"
NOT_ALLOWED = (
    "This worker's log-in may not make read tables: name one of the group hansard_operator in HANSARD_REBUILD_URL, "
    "or have the operator type 'hansard rebuild'."
)
OF_ANOTHER_RELEASE = "It is for the workers of the release that makes this version of the tables."
UNDER_WAY = "Another rebuild of this projection runs; this one waits for its end."
INTERRUPTED = "It was interrupted; the next rebuild goes on with what it made."

log = structlog.get_logger()


class RebuildWorker:
    """Does one rebuild at a time. `db` is of a log-in that may write `read.rebuilds`, `operator` of one that makes tables. `fill` has
    parts filled by processes of their own."""

    def __init__(
        self,
        tasks: RedisTasks,
        record: DivisibleRecord,
        db: Db,
        operator: Database,
        *,
        name: str,
        groups: dict[str, Group] = PROJECTIONS,
        fill: FillPart | None = None,
        beat_seconds: float = TASK_CLAIM_SECONDS / 3,
        dispatch_seconds: float = DISPATCH_SECONDS,
    ) -> None:
        self._tasks = tasks
        self._record = record
        self._db = db
        self._operator = operator
        self._name = name
        self._groups = groups
        self._fill = fill
        self._beat_seconds = beat_seconds
        self._dispatch_seconds = dispatch_seconds

    async def dispatch(self) -> int:
        """Queue what is to be done and not queued, be it that Redis lost it; return how many."""
        served = {each.name: each.version for each in await checkpoints.every(self._db)}
        await ask_for_raised(self._db, list(self._groups.values()), served)
        due = []
        for row in await rebuilds.under_way(self._db):
            if row.version < served.get(row.group_name, 0):
                await rebuilds.end(self._db, row.id, "failed", [], "A later version is served.")
            elif row.is_silent and row.is_by_hand:
                await rebuilds.end(self._db, row.id, "failed", [], INTERRUPTED)
            elif (row.state == "queued" or row.is_silent) and self._makes(row.group_name, row.version):
                due.append(RebuildProjection(row.id, row.group_name, row.version))
        return await self._tasks.add(*due)

    async def step(self) -> bool:
        """Take a rebuild and do it. Return False if there is none. Raise `TasksUnavailableError`."""
        taken = await self._tasks.take("rebuild")
        if taken is None:
            return False
        task = taken.envelope.task
        assert isinstance(task, RebuildProjection)
        if not self._makes(task.projection, task.version):
            await self._tasks.later(taken, seconds=OTHERS_SECONDS, error=OF_ANOTHER_RELEASE)
            return True
        doing = asyncio.ensure_future(self._do(taken, task, self._groups[task.projection]))
        try:
            while not (await asyncio.wait([doing], timeout=self._beat_seconds))[0]:
                with suppress(TasksUnavailableError):
                    await self._tasks.beat(taken)
            await doing
        finally:
            doing.cancel()
            await asyncio.gather(doing, return_exceptions=True)
        return True

    async def run(self) -> None:
        """Do what is asked for, for ever."""
        loop = asyncio.get_running_loop()
        looked_at = -self._dispatch_seconds
        while True:
            try:
                if loop.time() - looked_at >= self._dispatch_seconds:
                    looked_at = loop.time()
                    await self.dispatch()
                await self.step()
            except (TasksUnavailableError, RecordUnavailableError) as error:
                log.warning("rebuilds wait", reason=str(error))
                await asyncio.sleep(POLL_SECONDS)

    def _makes(self, projection: str, version: int) -> bool:
        """Return whether this release makes this version of a group's tables."""
        return projection in self._groups and self._groups[projection].version == version

    async def _do(self, taken: Taken, task: RebuildProjection, group: Group) -> None:
        row = await rebuilds.of(self._db, task.rebuild_id)
        if row is None or row.state not in ("queued", "running"):
            await self._tasks.done(taken)
            return
        if not await self._operator.value(SELECT_MAY_REBUILD):
            await rebuilds.end(self._db, row.id, "failed", [], NOT_ALLOWED)
            await self._tasks.done(taken)
            return
        run = Run(group, self._record, self._operator, run_by=self._name, jobs=row.jobs, fill=self._fill)
        try:
            await run.run(swap=not row.is_shadow, rebuild_id=row.id)
        except RebuildUnderWayError:
            await self._tasks.later(taken, seconds=LATER_SECONDS, error=UNDER_WAY)
        except RebuildRefusedError as error:
            log.warning("a rebuild was refused", group=group.name, reason=str(error))
            await self._tasks.done(taken)
        except RecordUnavailableError as error:
            log.warning("a rebuild waits for Postgres", group=group.name, reason=str(error))
            await self._tasks.later(taken, seconds=LATER_SECONDS, error=in_words(error))
        except Exception as error:
            log.exception("a rebuild failed", group=group.name)
            fault = f"{type(error).__name__}: the worker's log says more."
            await rebuilds.end(self._db, row.id, "failed", [], fault, run_by=self._name)
            await self._tasks.done(taken)
        else:
            log.info("rebuilt", group=group.name, version=group.version, shadow=row.is_shadow)
            await self._tasks.done(taken)
