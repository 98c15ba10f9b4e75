"""Loops of a process: keep them running, stop when told to or when one fails, and end them."""

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import structlog

CANCEL_AGAIN_SECONDS = 3.0
log = structlog.get_logger()


def stop_signal() -> asyncio.Event:
    """Return an event that SIGTERM and SIGINT set."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    return stop


@asynccontextmanager
async def background(*loops: "asyncio.Task[None]") -> AsyncIterator[None]:
    """Keep loops running around a block, and cancel them in the order given when it ends."""
    try:
        yield
    finally:
        for loop in loops:
            await _ended(loop)


def stop_when_one_ends(stop: asyncio.Event, *loops: "asyncio.Task[None]") -> list[str]:
    """Set `stop` when one of the loops ends by itself: a supervisor starts the process again.

    Return the names of the loops that ended so. The list grows later; the exit code depends on it.
    """
    failed: list[str] = []

    def ended(loop: "asyncio.Task[None]") -> None:
        if not loop.cancelled():
            log.error("a loop ended", loop=loop.get_name(), exc_info=loop.exception())
            failed.append(loop.get_name())
            stop.set()

    for loop in loops:
        loop.add_done_callback(ended)
    return failed


async def _ended(loop: "asyncio.Task[None]") -> None:
    """Cancel a loop until it ends. Before Python 3.12 `asyncio.wait_for` swallows a cancellation that arrives as a
    write to Redis ends."""
    while not loop.done():
        loop.cancel()
        await asyncio.wait([loop], timeout=CANCEL_AGAIN_SECONDS)
