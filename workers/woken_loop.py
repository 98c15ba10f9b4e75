"""The loop of who works in steps: woken when there is something to do, and looking by itself now and then."""

import asyncio
from collections.abc import Awaitable, Callable

import structlog

from domain.bounds import POLL_SECONDS
from domain.ports.record import RecordUnavailableError

log = structlog.get_logger()


async def repeat(step: Callable[[], Awaitable[int]], wake: asyncio.Event, *, waits: str) -> None:
    """Take steps until one returns 0, whenever `wake` is set, and every second. While Postgres is away, log `waits`."""
    while True:
        wake.clear()
        try:
            while await step():
                pass
        except RecordUnavailableError as error:
            log.warning(waits, reason=str(error))
        try:
            async with asyncio.timeout(POLL_SECONDS):
                await wake.wait()
        except TimeoutError:
            pass
