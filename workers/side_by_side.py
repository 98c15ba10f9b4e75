"""Several pieces of work side by side, so many at a time."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

Made = TypeVar("Made")


async def side_by_side(work: Sequence[Callable[[], Awaitable[Made]]], at_once: int) -> list[Made]:
    """Do all of it; return what comes of each, in their order. Raise what the first that fails raises; the others are ended then."""
    free = asyncio.Semaphore(at_once)

    async def one(do: Callable[[], Awaitable[Made]]) -> Made:
        async with free:
            return await do()

    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(one(do)) for do in work]
    except BaseExceptionGroup as failed:
        raise failed.exceptions[0] from None
    return [task.result() for task in tasks]
