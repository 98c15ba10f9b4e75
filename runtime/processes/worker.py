"""`hansard worker`: does what is slower than a frame. It scans and processes files, renders HTML, indexes, notifies and sweeps."""

import argparse
import asyncio
import random
from contextlib import AsyncExitStack

from adapters.clock import now
from adapters.media.sandbox import Sandbox
from adapters.media.scanner import open_scanner
from adapters.postgres.blob_leases import BlobLeases
from adapters.postgres.database import Database
from adapters.postgres.export_source import ExportSource
from adapters.prometheus.exposition import Exposition
from adapters.prometheus.workers import ProjectionMetrics, RetentionMetrics, TaskMetrics
from domain.bounds import REBUILD_JOBS_MAX
from projections import AUDIT_INDEX, MESSAGE_HTML, PAST, PROJECTIONS, followed, with_policies
from runtime.command import Command
from runtime.composition.notifier import notifying
from runtime.composition.part_processes import PartProcesses
from runtime.composition.process_context import ProcessContext, following_key_news, process_context, process_name
from runtime.composition.resources import opened_blobs, opened_exports, opened_tasks
from runtime.locations import rebuild_url
from runtime.loops import background, stop_signal, stop_when_one_ends
from runtime.metrics_listener import metrics_listener
from runtime.record_watch import watching
from runtime.settings import Settings
from workers.erasing import Eraser, World
from workers.exports.export_tasks import ExportWorker
from workers.files.saga import Saga
from workers.files.sweeper import Sweeper
from workers.files.task_workers import Dispatcher, worker_pool
from workers.janitor import Janitor
from workers.parking_notes import ParkingNotes
from workers.projector import Follower
from workers.rebuild import CONNECTIONS_SPARED
from workers.rebuild_tasks import RebuildWorker
from workers.retaining import Retainer
from workers.shared_reading import SharedReading

# So few batches a second that they cost next to nothing beside the talk. A message is told without its HTML; who asks for that
# and names a position waits a little longer. What is not in the audit index yet is looked for in the record.
HTML_GATHER_SECONDS = 0.2
PAST_GATHER_SECONDS = 0.2  # whoever asks for the past of a moment ago waits for it
AUDIT_GATHER_SECONDS = 1.0
EXPORTS_AT_ONCE = 2
REBUILDS_AT_ONCE = 2
REBUILD_CONNECTIONS = REBUILDS_AT_ONCE * (REBUILD_JOBS_MAX + CONNECTIONS_SPARED)  # opened when they are needed
REBUILD_STATEMENT_SECONDS = 600.0


async def run(settings: Settings, _: argparse.Namespace) -> int:
    """Run until told to stop. Return 1 if a loop failed."""
    stop = stop_signal()
    async with process_context(settings, kind="worker") as base, AsyncExitStack() as stack:
        metrics, of_tasks = ProjectionMetrics(base.registry), TaskMetrics(base.registry)
        files = await _files(base, stack, of_tasks)
        exporting, source = await _exporting(base, stack, of_tasks)
        reading = SharedReading(base.record)
        loops = (
            asyncio.create_task(reading.run(), name="reading for followers"),
            *_following(base, reading, metrics),
            *notifying(base, stack, reading, metrics),
            asyncio.create_task(Janitor(base.record, base.command_bus, base.db).run(), name="janitor"),
            asyncio.create_task(
                Retainer(base.record, base.command_bus, base.db, metrics=RetentionMetrics(base.registry)).run(),
                name="retention",
            ),
            asyncio.create_task(ParkingNotes(base.command_bus, base.db).run(), name="parking notes"),
            *files,
            *await _rebuilding(base, stack),
            *exporting,
            asyncio.create_task(base.record.run(), name="writer"),
            watching(base.record, base.record_id),
            following_key_news(base, reading.forget, source.vault.hear),
        )
        failed = stop_when_one_ends(stop, *loops)
        async with background(*loops), metrics_listener(settings.metrics_address, Exposition(base.registry)):
            await stop.wait()
    return 1 if failed else 0


def _following(base: ProcessContext, reading: SharedReading, metrics: ProjectionMetrics) -> list["asyncio.Task[None]"]:
    """Start the read models that are not live."""
    groups = [(MESSAGE_HTML, HTML_GATHER_SECONDS), (AUDIT_INDEX, AUDIT_GATHER_SECONDS)]
    if base.settings.time_travel == "on":
        groups.append((PAST, PAST_GATHER_SECONDS))
    owner, loops = process_name(), []
    for group, seconds in groups:
        policed = with_policies(group, base.settings.stopping)
        follower = Follower(policed, reading.gathering(seconds), base.db, owner=owner, metrics=metrics)
        loops.append(asyncio.create_task(follower.run(), name=group.name.replace("_", " ")))
    return loops


async def _rebuilding(base: ProcessContext, stack: AsyncExitStack) -> list["asyncio.Task[None]"]:
    """Start what rebuilds read tables, with a log-in that may make them. One may have to wait for a follower; others go on."""
    operator = await Database.open(
        rebuild_url(base.settings), size=REBUILD_CONNECTIONS, statement_seconds=REBUILD_STATEMENT_SECONDS
    )
    stack.push_async_callback(operator.close)
    tasks = opened_tasks(base, stack)
    names = followed(time_travel=base.settings.time_travel == "on")
    groups = {name: with_policies(PROJECTIONS[name], base.settings.stopping) for name in names}
    worker = RebuildWorker(
        tasks, base.record, base.db, operator, name=process_name(), groups=groups, fill=PartProcesses(operator.url).fill
    )
    return [asyncio.create_task(worker.run(), name="rebuilds") for _ in range(REBUILDS_AT_ONCE)]


async def _exporting(
    base: ProcessContext, stack: AsyncExitStack, metrics: TaskMetrics
) -> tuple[list["asyncio.Task[None]"], ExportSource]:
    """Start what makes exports; return it with what it reads from."""
    settings, source = base.settings, await opened_exports(base, stack)
    blobs, tasks = await opened_blobs(settings, stack), opened_tasks(base, stack)
    workers = [
        ExportWorker(
            tasks, base.record_id, base.command_bus, base.db, source, blobs, name=process_name(), days=settings.export_days,
            metrics=metrics,
        )
        for _ in range(EXPORTS_AT_ONCE)
    ]  # fmt: skip
    return [asyncio.create_task(worker.run(), name="exports") for worker in workers], source


async def _files(base: ProcessContext, stack: AsyncExitStack, metrics: TaskMetrics) -> list["asyncio.Task[None]"]:
    """Start what scans, processes and sweeps files."""
    settings = base.settings
    blobs, tasks, holds = await opened_blobs(settings, stack), opened_tasks(base, stack), BlobLeases(base.db)
    size = settings.images + settings.documents
    sandbox = stack.enter_context(Sandbox(module="workers.files.child", size=size, strict=settings.env == "production"))
    hands = worker_pool(
        {"scan": settings.scans, "image": settings.images, "document": settings.documents},
        tasks,
        Saga(base.command_bus, blobs, holds, open_scanner(settings.scanner_url), sandbox, base.db),
        chance=random.random,
        metrics=metrics,
    )
    sweeper = Sweeper(blobs, holds, base.record, base.db, now=now)
    eraser = Eraser(World(base.record, base.command_bus, base.db, sweeper))
    return [
        asyncio.create_task(eraser.run(), name="erasures"),
        asyncio.create_task(sweeper.run(), name="sweeper"),
        asyncio.create_task(Dispatcher(tasks, base.db).run(), name="dispatcher"),
        *(asyncio.create_task(hand.run(), name="hand") for hand in hands),
    ]


COMMAND = Command(run)
