"""`hansard projector`: keeps the live read tables up to the record, and publishes their frames."""

import argparse
from contextlib import AsyncExitStack

from adapters.prometheus.exposition import Exposition
from runtime.command import Command
from runtime.composition.process_context import process_context
from runtime.composition.projector import projecting
from runtime.loops import background, stop_signal, stop_when_one_ends
from runtime.metrics_listener import metrics_listener
from runtime.record_watch import watching
from runtime.settings import Settings


async def run(settings: Settings, _: argparse.Namespace) -> int:
    """Run until told to stop. Return 1 if a loop failed."""
    stop = stop_signal()
    async with process_context(settings, kind="projector") as base, AsyncExitStack() as stack:
        loops = (watching(base.record, base.record_id), *projecting(base, stack)[1])
        failed = stop_when_one_ends(stop, *loops)
        async with background(*loops), metrics_listener(settings.metrics_address, Exposition(base.registry)):
            await stop.wait()
    return 1 if failed else 0


COMMAND = Command(run)
