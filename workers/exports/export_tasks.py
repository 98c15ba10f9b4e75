"""The worker of exports: takes those that were asked for over HTTP, makes them, and removes packages whose time is over.

A task in the queue is a hint; `read.exports` says whether it is still to be done. Whoever takes it holds it by heartbeats, so
that another worker goes on with the export soon after this one was killed.
"""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from time import monotonic

import structlog

from adapters.postgres.blob_leases import BlobLeases
from adapters.postgres.export_source import ExportSource
from adapters.postgres.tiles import TileStore
from adapters.prometheus.workers import TaskMetrics, TaskOutcome
from adapters.redis.task_entries import Taken
from adapters.redis.task_queue import TASK_CLAIM_SECONDS, RedisTasks
from adapters.sealing import SealingError
from commands.command_bus import CommandBus
from commands.export import BeginExport, CompleteExport, ExpireExport, FailExport
from domain.bounds import POLL_SECONDS
from domain.errors import ApprovalExpiredError, ApprovalNeededError, ApprovalRefusedError, BusyError
from domain.events import Caller
from domain.export import EXPORT, ExportFault, require_known
from domain.file_name import storage_path
from domain.ids import RecordId
from domain.ports.blobs import BlobMissingError, Blobs, BlobsUnavailableError
from domain.ports.database import Db
from domain.ports.record import RecordUnavailableError
from domain.ports.tasks import TasksUnavailableError
from domain.tasks import MakeExport
from projections import exports
from projections.exports import ExportRow
from workers.exports.maker import Made, Maker, NotSignedYetError, UnwantedError
from workers.exports.parts import PART_BYTES, Store, TakenOverError
from workers.exports.proofs import ProofUnavailableError
from workers.task_faults import in_words

DISPATCH_SECONDS = 5.0
LATER_SECONDS = 5.0
TRIES_MAX = 20
TELL_SECONDS = 0.5
EXPIRED_AT_ONCE = 100
WORKER = Caller(agent="hansard worker")
PASSING = (RecordUnavailableError, BlobsUnavailableError, BlobMissingError, NotSignedYetError, BusyError)

log = structlog.get_logger()


class ExportWorker:
    """Makes one export at a time."""

    def __init__(
        self, tasks: RedisTasks, record: RecordId, command_bus: CommandBus, db: Db, source: ExportSource, blobs: Blobs,
        *, name: str, days: int, part_bytes: int = PART_BYTES, beat_seconds: float = TASK_CLAIM_SECONDS / 3,
        tell_seconds: float = TELL_SECONDS, metrics: TaskMetrics | None = None,
    ) -> None:  # fmt: skip
        """`days`: how long a package is kept."""
        self._tasks = tasks
        self._record = record
        self._command_bus = command_bus
        self._db = db
        self._source = source
        self._blobs = blobs
        self._name = name
        self._days = days
        self._part_bytes = part_bytes
        self._beat_seconds = beat_seconds
        self._tell_seconds = tell_seconds
        self._metrics = metrics or TaskMetrics()

    async def dispatch(self) -> int:
        """Queue what is to be done and not queued, be it that Redis lost it; have packages expire; return how many were queued."""
        for export_id in await exports.overdue(self._db, limit=EXPIRED_AT_ONCE):
            await self._command_bus.do(ExpireExport(export_id), WORKER)
            await exports.end(self._db, export_id, "expired")
        await exports.forget_left(self._db)
        under_way = await exports.under_way(self._db)
        await self._ask_for_approvals([row for row in under_way if row.state == "awaiting_approval"])
        due = [row for row in await exports.under_way(self._db) if row.state == "queued" or row.is_silent]
        return await self._tasks.add(*(MakeExport(row.id) for row in due))

    async def _ask_for_approvals(self, waiting: Sequence[ExportRow]) -> None:
        """Queue what somebody else has approved by now; end what they refused, or did not decide in time."""
        for row in waiting:
            if not await self._is_wanted(row):
                continue
            try:
                await self._command_bus.do(BeginExport(row.id), WORKER)
            except ApprovalNeededError:
                continue
            except (ApprovalRefusedError, ApprovalExpiredError):
                await self._fail(row, "not_approved")
            else:
                await exports.approve(self._db, row.id)

    async def step(self) -> bool:
        """Take an export and make it. Return False if there is none. Raise `TasksUnavailableError`."""
        taken = await self._tasks.take("export")
        if taken is None:
            return False
        began = monotonic()
        doing = asyncio.ensure_future(self._do(taken))
        try:
            while not (await asyncio.wait([doing], timeout=self._beat_seconds))[0]:
                with suppress(TasksUnavailableError):
                    if not await self._tasks.beat(taken):
                        doing.cancel()
            await asyncio.wait([doing])
            outcome: TaskOutcome = "lost" if doing.cancelled() else doing.result()
            self._metrics.ended("export", outcome, monotonic() - began)
        finally:
            doing.cancel()
            await asyncio.gather(doing, return_exceptions=True)
        return True

    async def run(self) -> None:
        """Make what is asked for, for ever."""
        looked_at = -DISPATCH_SECONDS
        while True:
            try:
                if monotonic() - looked_at >= DISPATCH_SECONDS:
                    looked_at = monotonic()
                    await self.dispatch()
                await self.step()
            except (TasksUnavailableError, *PASSING) as error:
                log.warning("exports wait", reason=str(error))
                await asyncio.sleep(POLL_SECONDS)

    async def _do(self, taken: Taken) -> TaskOutcome:
        task = taken.envelope.task
        assert isinstance(task, MakeExport)
        row = await exports.of(self._db, task.export_id)
        outcome: TaskOutcome = "done"
        if row is not None and row.state in ("queued", "running"):
            try:
                await self._make(row)
            except TakenOverError:
                return "lost"
            except PASSING as error:
                if taken.tries < TRIES_MAX:
                    log.warning("an export waits", export=str(row.id), reason=str(error) or type(error).__name__)
                    await self._tasks.later(taken, seconds=LATER_SECONDS, error=in_words(error, PASSING))
                    return "retried"
                outcome = await self._fail(row, "gave_up")
            except ProofUnavailableError as error:
                log.error("an export cannot be proved: hansard verify says where", reason=str(error))
                outcome = await self._fail(row, "proof_unavailable")
            except SealingError:
                outcome = await self._fail(row, "recipient_unusable")
            except Exception:
                log.exception("an export failed", export=str(row.id))
                outcome = await self._fail(row, "gave_up")
        await self._tasks.done(taken)
        return outcome

    async def _make(self, row: ExportRow) -> None:
        """Make the package and note it, record it, then give it out. Whoever goes on after a crash goes on at that step, so what
        is recorded of a package that is sealed, and is not the same twice, is of the one that is given out."""
        # From here on an erasure recalls it, which looks for what runs: nothing was read before.
        is_mine = await exports.tell(self._db, row.id, run_by=self._name, progress=row.progress, messages=row.messages)
        if not is_mine or not await self._is_wanted(row):
            return
        if not row.storage_path:
            try:
                await self._keep(row, await self._maker(row).make())
            except UnwantedError:
                log.info("an export is not wanted any more", export=str(row.id))
                return
            row = await exports.of(self._db, row.id) or row
        made = CompleteExport(row.id, row.sha256, row.content_sha256, row.size_bytes, row.messages, row.erased)
        await self._command_bus.do(made, WORKER)
        if not await self._is_wanted(row):
            return
        await exports.complete(self._db, row.id, days=self._days)
        log.info("exported", export=str(row.id), messages=row.messages, bytes=row.size_bytes)

    async def _is_wanted(self, row: ExportRow) -> bool:
        """Return whether the record has not ended it. If it has, have the table say so: whoever recorded that may not have come to it."""
        export = require_known((await self._command_bus.see(EXPORT, row.id)).state)
        if export.status == "requested" or export.status == "completed":
            return True
        await exports.end(self._db, row.id, export.status, export.fault)
        return False

    async def _keep(self, row: ExportRow, made: Made) -> None:
        if not await exports.keep(
            self._db, row.id, storage_path=storage_path(made.blob), size_bytes=made.size_bytes, sha256=made.blob,
            content_sha256=made.content_sha256, messages=made.counts.messages, erased=made.counts.erased,
        ):  # fmt: skip
            raise UnwantedError

    def _maker(self, row: ExportRow) -> Maker:
        told_at = -self._tell_seconds

        async def tell(progress: float, messages: int) -> None:
            nonlocal told_at
            if monotonic() - told_at < self._tell_seconds:
                return
            told_at = monotonic()
            if not await exports.tell(self._db, row.id, run_by=self._name, progress=progress, messages=messages):
                raise UnwantedError

        store = Store(row.id, self._db, self._blobs, BlobLeases(self._db))
        return Maker(
            row.requested, self._record, self._source, TileStore(self._db), self._blobs, store, tell=tell,
            part_bytes=self._part_bytes,
        )  # fmt: skip

    async def _fail(self, row: ExportRow, fault: ExportFault) -> TaskOutcome:
        await self._command_bus.do(FailExport(row.id, fault), WORKER)
        await exports.end(self._db, row.id, "failed", fault)
        return "gave_up"
