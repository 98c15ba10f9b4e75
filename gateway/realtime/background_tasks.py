"""Background tasks of a hub: what runs beside its loops and ends by itself. A task that fails is logged and fails alone."""

import asyncio
from collections.abc import Coroutine
from typing import Any

import structlog

log = structlog.get_logger()


class BackgroundTasks:
    """All that run now; the loop itself holds no task (`asyncio.create_task`)."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self, unit: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(unit)
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
