"""Postponed commands: accepted, and done when they are due; at most one for each stream.

They are lost with their process, so only hints may be postponed (read marks).
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
        self._dues: list[tuple[datetime, StreamId]] = []  # a heap; entries whose command was done are skipped
        self._due = asyncio.Event()

    def add(self, postponed: Postponed, caller: Caller) -> None:
        """Postpone a command. If one waits for the same stream already, the higher rank wins, at the earlier time. Raise
        `BusyError` if too many wait."""
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
        """Remove and return what is due by now, or everything."""
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
