"""Turns: commands that conflicted on a stream go one after the other, so that each of them is done.

A command that has met no conflict does not wait. Within a process there is a queue for each stream. Between processes,
a command that conflicts again waits a moment, longer each time and by a random amount, so that two do not conflict for
ever.
"""

import asyncio
from collections.abc import Iterable
from contextlib import AsyncExitStack
from weakref import WeakValueDictionary

from domain.ids import StreamId
from domain.ports.clock import Chance

CONTENDED_SECONDS = 0.002  # doubled at each further conflict, and multiplied by a random number below 1
CONTENDED_SECONDS_MAX = 0.25


class Turns:
    """The queues of one process; a queue exists while somebody waits in it."""

    def __init__(self, chance: Chance) -> None:
        self._chance = chance
        self._queues: WeakValueDictionary[StreamId, asyncio.Lock] = WeakValueDictionary()

    async def wait(self, stack: AsyncExitStack, streams: Iterable[StreamId], *, met: int) -> None:
        """After the first conflict (`met` 1), wait in the queues of these streams, and hold them until the stack is
        closed. After each further conflict, wait a moment."""
        if met == 1:
            for stream_id in sorted(streams):  # always in this order, so that no two wait for each other
                queue = self._queues.setdefault(stream_id, asyncio.Lock())
                await stack.enter_async_context(queue)
        else:
            share = int.from_bytes(self._chance(2), "big") / 2**16
            await asyncio.sleep(share * min(CONTENDED_SECONDS * 2.0**met, CONTENDED_SECONDS_MAX))
