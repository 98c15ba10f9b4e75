"""The task workers: take tasks from the queue, a number of each kind at once, and have the saga do them.

A worker holds its task by heartbeats, and records nothing for a task that it does not hold any more. A task that fails
is tried again, with growing pauses and jitter; after the last try its file ends as given up: a dead letter is an event.
The dispatcher finds in the read tables every file that has not ended, and queues what is due: so nothing is lost if
Redis loses its data, and nothing depends on messages between processes.
"""

import asyncio
from collections.abc import Callable, Mapping
from time import perf_counter

import structlog

from adapters.clock import monotonic
from adapters.media.child_process import ChildDiedError
from adapters.prometheus.workers import TaskMetrics, TaskOutcome
from adapters.redis.task_entries import Taken
from adapters.redis.task_queue import TASK_CLAIM_SECONDS, RedisTasks
from domain.bounds import POLL_SECONDS
from domain.errors import DomainError
from domain.ports.database import Db
from domain.ports.record import RecordUnavailableError
from domain.ports.tasks import TasksUnavailableError
from domain.processing import Reason
from domain.tasks import FileTask, Kind, MakeExport, RebuildProjection, next_task
from projections import file_queries
from projections.file_queries import BEGINNING
from workers.files.saga import ClaimLostError, Saga
from workers.task_faults import PASSING, in_words

TASK_TRIES_MAX = 12
TASK_BACKOFF_SECONDS = 0.5
TASK_BACKOFF_SECONDS_MAX = 20.0
DISPATCH_SECONDS = 5.0
DISPATCH_FILES_MAX = 500
CHILD_DEATHS_MAX = 3

log = structlog.get_logger()


class TaskWorker:
    """Does one task at a time of one kind."""

    def __init__(
        self,
        kind: Kind,
        tasks: RedisTasks,
        saga: Saga,
        *,
        chance: Callable[[], float],
        tries_max: int = TASK_TRIES_MAX,
        backoff_seconds: float = TASK_BACKOFF_SECONDS,
        beat_seconds: float = TASK_CLAIM_SECONDS / 3,
        poll_seconds: float = POLL_SECONDS,
        metrics: TaskMetrics | None = None,
    ) -> None:
        """`chance` draws from 0 to 1; it spreads the tries of what failed together."""
        self._kind = kind
        self._tasks = tasks
        self._saga = saga
        self._chance = chance
        self._tries_max = tries_max
        self._backoff_seconds = backoff_seconds
        self._beat_seconds = beat_seconds
        self._poll_seconds = poll_seconds
        self._held_at = 0.0
        self._metrics = metrics or TaskMetrics()
        self._running = self._metrics.running.labels(kind)

    async def step(self) -> bool:
        """Take a task and do it. Return False if there is none. Raise `TasksUnavailableError`."""
        taken = await self._tasks.take(self._kind)
        if taken is None:
            return False
        self._held_at = monotonic()
        began = perf_counter()
        outcome: TaskOutcome = "interrupted"
        try:
            with self._running.track_inprogress():
                outcome = await self._do(taken)
        except ClaimLostError:
            outcome = "lost"
            log.warning("a task was taken over by somebody else", task=taken.envelope.name)
        finally:
            self._metrics.ended(self._kind, outcome, perf_counter() - began)
        return True

    async def _do(self, taken: Taken) -> TaskOutcome:
        if taken.tries > self._tries_max:  # its workers died with it, again and again
            return await self._give_up(taken, "its workers ended")
        try:
            following = await self._holding(taken)
        except ClaimLostError:
            raise
        except PASSING as error:
            return await self._failed(taken, error)
        except Exception as error:
            log.exception("a task failed", task=taken.envelope.name)
            return await self._failed(taken, error)
        await self._done(taken, following)
        return "done"

    async def run(self) -> None:
        while True:
            try:
                await self.step()
            except (TasksUnavailableError, RecordUnavailableError) as error:
                log.warning("a hand waits", kind=self._kind, reason=str(error))
                await asyncio.sleep(self._poll_seconds)

    async def _holding(self, taken: Taken) -> FileTask | None:
        """Do a task while renewing the hold on it; give up if somebody else took it meanwhile."""
        unit = asyncio.ensure_future(self._saga.do(_file_task(taken), lambda: self._beat(taken)))
        try:
            while True:
                await asyncio.wait([unit], timeout=self._beat_seconds)
                if unit.done():
                    return unit.result()
                if not await self._beat(taken):
                    raise ClaimLostError
        finally:
            unit.cancel()
            await asyncio.gather(unit, return_exceptions=True)

    async def _beat(self, taken: Taken) -> bool:
        """Return whether the task is still held; while the queue is away, for as long as nobody else can have taken it."""
        try:
            is_held = await self._tasks.beat(taken)
        except TasksUnavailableError:
            return monotonic() - self._held_at < self._tasks.claim_seconds
        self._held_at = monotonic()
        return is_held

    async def _done(self, taken: Taken, following: FileTask | None) -> None:
        if await self._tasks.done(taken) and following is not None:
            await self._tasks.add(following)

    async def _failed(self, taken: Taken, error: Exception) -> TaskOutcome:
        name = taken.envelope.name
        if isinstance(error, ChildDiedError) and taken.tries >= CHILD_DEATHS_MAX:
            await self._end(taken, "too_slow")
            return "gave_up"
        if taken.tries >= self._tries_max:
            return await self._give_up(taken, str(error))
        seconds = min(self._backoff_seconds * 2.0 ** (taken.tries - 1), TASK_BACKOFF_SECONDS_MAX)
        seconds *= 0.5 + self._chance()
        log.warning("a task is tried again", task=name, tries=taken.tries, seconds=seconds, reason=str(error))
        await self._tasks.later(taken, seconds=seconds, error=in_words(error))
        return "retried"

    async def _give_up(self, taken: Taken, reason: str) -> TaskOutcome:
        log.error("a task is given up", task=taken.envelope.name, tries=taken.tries, reason=reason)
        await self._end(taken, "gave_up")
        return "gave_up"

    async def _end(self, taken: Taken, reason: Reason) -> None:
        """End the file of a task, and the task. One of which the record holds what nobody can read is left to operators."""
        try:
            await self._saga.fail(_file_task(taken).file_id, reason, lambda: self._beat(taken))
        except DomainError as refusal:
            log.error("a file cannot be ended", task=taken.envelope.name, reason=refusal.detail)
        await self._tasks.done(taken)


def _file_task(taken: Taken) -> FileTask:
    task = taken.envelope.task
    assert not isinstance(task, RebuildProjection | MakeExport), "it has a queue of its own"
    return task


class Dispatcher:
    """Queues what is due for every file that has not ended and is not queued."""

    def __init__(self, tasks: RedisTasks, db: Db, *, seconds: float = DISPATCH_SECONDS) -> None:
        """`seconds`: how long after one look at all of them comes the next."""
        self._tasks = tasks
        self._db = db
        self._seconds = seconds

    async def step(self) -> int:
        """Look at all files once; return how many tasks were missing."""
        added, after = 0, BEGINNING
        while page := await file_queries.unfinished(self._db, after=after, limit=DISPATCH_FILES_MAX):
            due = [next_task(file.id, file.uploader_id, file.status, file.mime_type) for file in page]
            added += await self._tasks.add(*(task for task in due if task is not None))
            after = (page[-1].created_at, page[-1].id)
        return added

    async def run(self) -> None:
        while True:
            try:
                if added := await self.step():
                    log.info("tasks found in the record", count=added)
            except (TasksUnavailableError, RecordUnavailableError) as error:
                log.warning("the dispatcher waits", reason=str(error))
            await asyncio.sleep(self._seconds)


def worker_pool(
    hands: Mapping[Kind, int],
    tasks: RedisTasks,
    saga: Saga,
    *,
    chance: Callable[[], float],
    metrics: TaskMetrics | None = None,
) -> list[TaskWorker]:
    """Return as many workers of each kind as are asked for."""
    metrics = metrics or TaskMetrics()
    return [
        TaskWorker(kind, tasks, saga, chance=chance, metrics=metrics)
        for kind, count in hands.items()
        for _ in range(count)
    ]
