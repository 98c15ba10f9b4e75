"""`hansard notifier`: keeps everybody's inbox, and tells people outside the chat what concerns them. Any number may run."""

import argparse
import asyncio
from contextlib import AsyncExitStack

from adapters.prometheus.exposition import Exposition
from adapters.prometheus.workers import ProjectionMetrics
from runtime.command import Command
from runtime.composition.notifier import notifying
from runtime.composition.process_context import following_key_news, process_context
from runtime.loops import background, stop_signal, stop_when_one_ends
from runtime.metrics_listener import metrics_listener
from runtime.record_watch import watching
from runtime.settings import Settings
from workers.shared_reading import SharedReading


async def run(settings: Settings, _: argparse.Namespace) -> int:
    """Run until told to stop. Return 1 if a loop failed."""
    stop = stop_signal()
    async with process_context(settings, kind="notifier") as base, AsyncExitStack() as stack:
        reading = SharedReading(base.record)
        loops = (
            asyncio.create_task(reading.run(), name="reading for followers"),
            *notifying(base, stack, reading, ProjectionMetrics(base.registry)),
            asyncio.create_task(base.record.run(), name="writer"),
            watching(base.record, base.record_id),
            following_key_news(base, reading.forget),
        )
        failed = stop_when_one_ends(stop, *loops)
        async with background(*loops), metrics_listener(settings.metrics_address, Exposition(base.registry)):
            await stop.wait()
    return 1 if failed else 0


COMMAND = Command(run)
