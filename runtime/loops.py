"""Loops of a process: keep them running, stop when told to or when one ends by itself, and end them.

What a loop expects (a server that is away, an event that cannot be taken) it retries or puts aside itself. Whatever else ends one
ends the process (`docs/decisions/0275-an-accident-in-a-loop-ends-the-process.md`).
"""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import structlog

CANCEL_AGAIN_SECONDS = 3.0
CANCELS_MAX = 10
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

    A loop that ends as cancelled, and that nobody cancelled, waited for something that was: it ended by itself, too.

    Return the names of the loops that ended so. The list grows later; the exit code depends on it.
    """
    failed: list[str] = []

    def ended(loop: "asyncio.Task[None]") -> None:
        if loop.cancelled() and loop.cancelling():
            return
        error = asyncio.CancelledError() if loop.cancelled() else loop.exception()
        log.error("a loop ended", loop=loop.get_name(), exc_info=error)
        failed.append(loop.get_name())
        stop.set()

    for loop in loops:
        loop.add_done_callback(ended)
    return failed


async def _ended(loop: "asyncio.Task[None]") -> None:
    """Cancel a loop until it ends. Before Python 3.12 `asyncio.wait_for` swallows a cancellation that arrives as a
    write to Redis ends.

    One that does not end would keep the process for ever, half dead, and no supervisor starts another before it is gone: then
    the process ends at once, as if it was killed.
    """
    for _ in range(CANCELS_MAX):
        if loop.done():
            return
        loop.cancel()
        await asyncio.wait([loop], timeout=CANCEL_AGAIN_SECONDS)
    if not loop.done():
        log.error("a loop does not end", loop=loop.get_name())
        sys.stdout.flush()
        os._exit(1)
