"""How a long command ends: on SIGTERM as on Ctrl-C, so that what it began is cleaned up, and several parts of it together."""

import asyncio
import signal
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any


@asynccontextmanager
async def told_to_end() -> AsyncIterator[None]:
    """Cancel the block on SIGTERM, and raise `KeyboardInterrupt` once it is cleaned up."""
    task, loop, told = asyncio.current_task(), asyncio.get_running_loop(), []
    assert task is not None, "it runs in a task"

    def end() -> None:
        told.append(True)
        task.cancel()

    loop.add_signal_handler(signal.SIGTERM, end)
    try:
        yield
    except asyncio.CancelledError:
        if told:
            raise KeyboardInterrupt from None
        raise
    finally:
        loop.remove_signal_handler(signal.SIGTERM)


async def together(*parts: Coroutine[Any, Any, None]) -> None:
    """Run parts side by side. If one fails, end the others and raise what it raised."""
    try:
        async with asyncio.TaskGroup() as group:
            for part in parts:
                group.create_task(part)
    except BaseExceptionGroup as failed:
        raise failed.exceptions[0] from None
