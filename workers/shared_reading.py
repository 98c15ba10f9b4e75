"""Events that one follower has read, for another one that takes the same a little later: they are neither read nor opened
twice.

They hold texts, so they are forgotten after a few seconds, taken or not, and are never many. Whatever is not here is read
from the record.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager

from adapters.clock import monotonic
from domain.events import Event, Recorded
from domain.ports.record import Head, Record
from workers.publisher import bytes_of

KEPT_SECONDS = 3.0
KEPT_BYTES_MAX = 8 * 1024**2  # about


class HandedOver:
    """The record, as far as a follower needs it, with the newest events at hand."""

    def __init__(self, record: Record) -> None:
        self._record = record
        self._kept: deque[tuple[float, Sequence[Recorded[Event]]]] = deque()
        self._bytes = 0

    def hand_over(self, events: Sequence[Recorded[Event]]) -> None:
        """Take a batch of successive events; forget all before it if that does not follow on, or if it is too much."""
        size = bytes_of(events)
        if not self._follows_on(events[0].position) or self._bytes + size > KEPT_BYTES_MAX:
            self._forget_all()
        if size <= KEPT_BYTES_MAX:
            self._kept.append((monotonic(), events))
            self._bytes += size
            asyncio.get_running_loop().call_later(KEPT_SECONDS, self._forget_old)

    async def head(self) -> Head:
        return await self._record.head()

    def wakes(self) -> AbstractAsyncContextManager[AsyncIterator[int]]:
        return self._record.wakes()

    async def after(self, position: int, *, until: int | None = None, limit: int) -> Sequence[Recorded[Event]]:
        """Return what follows a position, as the record does. What lies before it is forgotten."""
        while self._kept and self._kept[0][1][-1].position <= position:
            self._forget_first()
        if not self._kept or self._kept[0][1][0].position > position + 1:
            return await self._record.after(position, until=until, limit=limit)
        found: list[Recorded[Event]] = []
        for _, events in self._kept:
            found += (each for each in events if position < each.position and (until is None or each.position <= until))
            if len(found) >= limit:
                break
        return found[:limit]

    def _follows_on(self, position: int) -> bool:
        return not self._kept or self._kept[-1][1][-1].position + 1 == position

    def _forget_first(self) -> None:
        _, events = self._kept.popleft()
        self._bytes -= bytes_of(events)

    def _forget_old(self) -> None:
        before = monotonic() - KEPT_SECONDS
        while self._kept and self._kept[0][0] <= before:
            self._forget_first()

    def _forget_all(self) -> None:
        self._kept.clear()
        self._bytes = 0
