"""A hub's loops, and its background tasks: what runs beside them and ends by itself."""

import asyncio
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any

import structlog

CANCEL_AGAIN_SECONDS = 1.0

log = structlog.get_logger()


async def run_together(*loops: Coroutine[Any, Any, None]) -> None:
    """Run loops until one ends, in whichever way, or until cancelled; then cancel all until they have ended.

    A task group cancels its tasks once, and `asyncio.wait_for` of Python 3.11, which redis-py uses, may swallow that.
    """
    tasks = [asyncio.create_task(loop) for loop in loops]
    try:
        ended, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in ended:
            task.result()
    finally:
        while pending := [task for task in tasks if not task.done()]:
            for task in pending:
                task.cancel()
            with suppress(asyncio.CancelledError):  # this ends anyway, and none of them may outlive it
                await asyncio.wait(pending, timeout=CANCEL_AGAIN_SECONDS)


class BackgroundTasks:
    """All that run now; the loop itself holds no task (`asyncio.create_task`). One that fails is logged and fails alone."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def cancel(self) -> None:
        """Cancel all of them."""
        for task in self._tasks:
            task.cancel()

    def _done(self, task: "asyncio.Task[None]") -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("a background task of the hub failed", exc_info=error)
