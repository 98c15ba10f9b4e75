"""The record as the projector of a gateway reads it: what this very process appended comes from its writer, and is not read back.

Positions have no gaps, so a follower at position 7 may take what was handed over as 8, 9, …; if 8 is another process's, it reads
the record as ever. What is handed over is on the disk. It holds texts, so it is kept only for a follower that takes it at
once (a second at most), and forgotten at once when a data key is destroyed.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, suppress
from typing import Protocol

from adapters.clock import monotonic
from domain.events import Event, Recorded

READ_EVENTS_MAX = 500  # at once: whoever shares the event loop with sockets takes short turns
HANDED_EVENTS_MAX = 4_096  # a follower that is further behind reads the record
ANSWER_SECONDS = 0.02  # a commit's notice may be here before its answer is, by microseconds
HANDED_SECONDS = 1.0  # as it does after waiting for Postgres, which may be another one since


class Wakeable(Protocol):
    """As much of the record as is followed here."""

    async def after(self, position: int, *, until: int | None = None, limit: int) -> Sequence[Recorded[Event]]: ...
    def wakes(self) -> AbstractAsyncContextManager[AsyncIterator[int]]: ...
    def hear(self, position: int) -> None: ...


class HandedEvents:
    """The record for one follower; `hand` is for the writer of the same process."""

    def __init__(
        self, record: Wakeable, *, is_taken: Callable[[], bool], answered: Callable[[], Awaitable[None]] | None = None
    ) -> None:
        """`is_taken`: whether the follower has its lease; on standby nothing is kept for it. `answered` waits for what is
        being appended."""
        self._record = record
        self._is_taken = is_taken
        self._answered = answered
        self._events: deque[Recorded[Event]] = deque()
        self._since = 0.0  # of the oldest

    def hand(self, events: Sequence[Recorded[Event]]) -> None:
        """Take successive events that were appended just now."""
        if not self._is_taken() or len(self._events) >= HANDED_EVENTS_MAX:
            self._events.clear()
        else:
            self._forget_old()
            if not self._events:
                self._since = monotonic()
            self._events += events
        self._record.hear(events[-1].position)

    def forget(self) -> None:
        """Forget everything: it is read from the record."""
        self._events.clear()

    async def after(self, position: int, *, until: int | None = None, limit: int) -> Sequence[Recorded[Event]]:
        """Return what follows a position, as the record does: some of it, or nothing if there is nothing."""
        limit = min(limit, READ_EVENTS_MAX)
        end = position + limit if until is None else min(position + limit, until)
        if not self._events and self._answered is not None:
            with suppress(TimeoutError):
                async with asyncio.timeout(ANSWER_SECONDS):
                    await self._answered()
        return self._taken(position, end) or await self._record.after(position, until=until, limit=limit)

    def _taken(self, position: int, end: int) -> Sequence[Recorded[Event]]:
        """Take what follows a position without a gap, up to another one."""
        self._forget_old()
        handed, found = self._events, list[Recorded[Event]]()
        while handed and handed[0].position <= position:
            handed.popleft()
        while handed and handed[0].position == position + len(found) + 1 <= end:
            found.append(handed.popleft())
        return found

    def wakes(self) -> AbstractAsyncContextManager[AsyncIterator[int]]:
        return self._record.wakes()

    def _forget_old(self) -> None:
        if self._events and monotonic() - self._since > HANDED_SECONDS:
            self._events.clear()
