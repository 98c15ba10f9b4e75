"""What commands that append to the record share: the caller they run as, and a record with its writer running."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from domain.events import Caller
from runtime.composition.process_context import ProcessContext, process_context
from runtime.loops import background
from runtime.settings import Settings

OPERATOR = Caller(agent="hansard command line")


@asynccontextmanager
async def operator(settings: Settings, *, any_clock: bool = False) -> AsyncIterator[ProcessContext]:
    """Open what a command needs to append. `any_clock` accepts whatever Postgres' clock says."""
    async with (
        process_context(settings, any_clock=any_clock) as base,
        background(asyncio.create_task(base.record.run())),
    ):
        yield base
