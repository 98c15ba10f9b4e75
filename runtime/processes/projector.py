"""`hansard projector`: keeps the live read tables up to the record, and publishes their frames."""

import argparse
import asyncio
from contextlib import AsyncExitStack

from adapters.prometheus.exposition import Exposition
from adapters.prometheus.workers import ProjectionMetrics, PublisherMetrics
from projections import LIVE, with_policies
from runtime.command import Command
from runtime.composition.process_context import process_context, process_name
from runtime.composition.resources import opened_lanes
from runtime.loops import background, stop_signal, stop_when_one_ends
from runtime.metrics_listener import metrics_listener
from runtime.record_watch import watching
from runtime.settings import Settings
from workers.projector import Follower
from workers.publisher import Publisher


async def run(settings: Settings, _: argparse.Namespace) -> int:
    """Run until told to stop. Return 1 if a loop failed."""
    stop = stop_signal()
    async with process_context(settings, kind="projector") as base, AsyncExitStack() as stack:
        lanes = opened_lanes(base, stack)
        publisher = Publisher(base.record, base.db, lanes, LIVE, PublisherMetrics(base.registry))
        follower = Follower(
            with_policies(LIVE, settings.stopping),
            base.record,
            base.db,
            owner=process_name(),
            committed=publisher.hand_over,
            taken=publisher.begin,
            metrics=ProjectionMetrics(base.registry),
        )
        loops = (
            watching(base.record, base.record_id),
            asyncio.create_task(follower.run(), name="live group"),  # hears of destroyed keys, too
            asyncio.create_task(publisher.run(), name="publisher"),
        )
        failed = stop_when_one_ends(stop, *loops)
        async with background(*loops), metrics_listener(settings.metrics_address, Exposition(base.registry)):
            await stop.wait()
    return 1 if failed else 0


COMMAND = Command(run)
