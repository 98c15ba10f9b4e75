"""Commands that were accepted and wait: one for a stream, done when it is due.

What waits is lost with its process, so only what is a hint may wait (read marks).
"""

import asyncio
from contextlib import suppress
from datetime import datetime
from heapq import heappop, heappush

from msgspec.structs import replace

from commands.unit_of_work import Postponed
from domain.errors import BusyError
from domain.events import Caller
from domain.ids import StreamId
from domain.ports.clock import Clock

POSTPONED_MAX = 100_000


class PostponedCommands:
    """At most `POSTPONED_MAX` commands, each with its caller."""

    def __init__(self, now: Clock) -> None:
        self._now = now
        self._waiting: dict[StreamId, tuple[Postponed, Caller]] = {}
        self._dues: list[tuple[datetime, StreamId]] = []  # a heap; what was postponed further meanwhile is passed over
        self._due = asyncio.Event()

    def add(self, postponed: Postponed, caller: Caller) -> None:
        """Have it wait. One that waits already keeps its time, and gives its place to a higher rank. Raise `BusyError` if full."""
        waiting = self._waiting.get(postponed.stream)
        if waiting is None:
            if len(self._waiting) >= POSTPONED_MAX:
                raise BusyError
            heappush(self._dues, (postponed.due, postponed.stream))
            self._waiting[postponed.stream] = (postponed, caller)
            self._due.set()
        elif waiting[0].rank < postponed.rank:
            self._waiting[postponed.stream] = (replace(postponed, due=waiting[0].due), caller)

    def take(self, *, everything: bool) -> list[tuple[Postponed, Caller]]:
        """Take out what is due by now, or everything."""
        now, due = self._now(), []
        while self._dues and (everything or self._dues[0][0] <= now):
            at, stream_id = heappop(self._dues)
            waiting = self._waiting.get(stream_id)
            if waiting is not None and waiting[0].due == at:
                due.append(self._waiting.pop(stream_id))
        return due

    async def wait(self) -> None:
        """Wait until something may be due."""
        self._due.clear()
        wait = max(0.0, (self._dues[0][0] - self._now()).total_seconds()) if self._dues else None
        with suppress(TimeoutError):
            async with asyncio.timeout(wait):
                await self._due.wait()
