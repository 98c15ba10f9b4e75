"""`hansard worker`: does what is slower than a frame. It scans and processes files, renders HTML, indexes and sweeps."""

import argparse
import asyncio
import random
from contextlib import AsyncExitStack

from adapters.clock import now
from adapters.media.sandbox import Sandbox
from adapters.media.scanner import open_scanner
from adapters.postgres.blob_leases import BlobLeases
from adapters.prometheus.exposition import Exposition
from adapters.prometheus.workers import ProjectionMetrics, TaskMetrics
from projections import AUDIT_INDEX, MESSAGE_HTML, PAST
from runtime.command import Command
from runtime.composition.process_context import ProcessContext, following_key_news, process_context, process_name
from runtime.composition.resources import opened_blobs, opened_tasks
from runtime.loops import background, stop_signal, stop_when_one_ends
from runtime.metrics_listener import metrics_listener
from runtime.record_watch import watching
from runtime.settings import Settings
from workers.files.saga import Saga
from workers.files.sweeper import Sweeper
from workers.files.task_workers import Dispatcher, worker_pool
from workers.janitor import Janitor
from workers.projector import Follower

# So few batches a second that they cost next to nothing beside the talk. A message is told without its HTML; who asks for that
# and names a position waits a little longer. What is not in the audit index yet is looked for in the record.
HTML_LINGER_SECONDS = 0.25
PAST_LINGER_SECONDS = 0.25  # whoever asks for the past of a moment ago waits for it
AUDIT_LINGER_SECONDS = 1.0


async def run(settings: Settings, _: argparse.Namespace) -> int:
    """Run until told to stop. Return 1 if a loop failed."""
    stop = stop_signal()
    async with process_context(settings, kind="worker") as base, AsyncExitStack() as stack:
        files = await _files(base, stack)
        loops = (
            *_following(base),
            asyncio.create_task(Janitor(base.record, base.command_bus, base.db).run(), name="janitor"),
            *files,
            asyncio.create_task(base.record.run(), name="writer"),
            watching(base.record, base.record_id),
            following_key_news(base),
        )
        failed = stop_when_one_ends(stop, *loops)
        async with background(*loops), metrics_listener(settings.metrics_address, Exposition(base.registry)):
            await stop.wait()
    return 1 if failed else 0


def _following(base: ProcessContext) -> list["asyncio.Task[None]"]:
    """Start the read models that are not live."""
    metrics, owner = ProjectionMetrics(base.registry), process_name()
    return [
        asyncio.create_task(
            Follower(group, base.record, base.db, owner=owner, linger_seconds=seconds, metrics=metrics).run(), name=name
        )
        for group, seconds, name in (
            (MESSAGE_HTML, HTML_LINGER_SECONDS, "message html"),
            (AUDIT_INDEX, AUDIT_LINGER_SECONDS, "audit index"),
            *([(PAST, PAST_LINGER_SECONDS, "past")] if base.settings.time_travel == "on" else []),
        )
    ]


async def _files(base: ProcessContext, stack: AsyncExitStack) -> list["asyncio.Task[None]"]:
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
        metrics=TaskMetrics(base.registry),
    )
    sweeper = Sweeper(blobs, holds, base.record, base.db, now=now)
    return [
        asyncio.create_task(sweeper.run(), name="sweeper"),
        asyncio.create_task(Dispatcher(tasks, base.db).run(), name="dispatcher"),
        *(asyncio.create_task(hand.run(), name="hand") for hand in hands),
    ]


COMMAND = Command(run)
