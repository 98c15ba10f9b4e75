"""The record as the projector of a gateway reads it: what this very process appended comes from its writer, and is not read back.

Positions have no gaps, so a follower at position 7 may take what was handed over as 8, 9, …; if 8 is another process's, it reads
the record as ever. What is handed over is on the disk. It holds texts, so it is kept only for a follower that takes it at
once (a second at most, by a timer), is never much, and is forgotten at once when a data key is destroyed.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, suppress
from typing import Protocol

from adapters.clock import monotonic
from adapters.postgres.event_store import RECORD_PAGE_BYTES_MAX
from domain.bounds import READ_EVENTS_MAX
from domain.events import Event, Recorded
from workers.publisher import bytes_of

HANDED_EVENTS_MAX = 4_096  # a follower that is further behind reads the record
HANDED_BYTES_MAX = 8 * 1024**2  # about
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
        self._bytes = 0
        self._since = 0.0  # of the oldest
        self._timer: asyncio.TimerHandle | None = None  # one at most

    def hand(self, events: Sequence[Recorded[Event]]) -> None:
        """Take successive events that were appended just now."""
        self._forget_old()
        size = bytes_of(events)
        if not self._is_taken() or len(self._events) >= HANDED_EVENTS_MAX or self._bytes + size > HANDED_BYTES_MAX:
            self.forget()
        else:
            if not self._events:
                self._since = monotonic()
            self._events += events
            self._bytes += size
            self._forget_in_time()
        self._record.hear(events[-1].position)

    def forget(self) -> None:
        """Forget everything: it is read from the record."""
        self._events.clear()
        self._bytes = 0

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
        """Take what follows a position without a gap, up to another one; of long texts as much as a page of the record holds."""
        self._forget_old()
        handed, found, size = self._events, list[Recorded[Event]](), 0
        while handed and handed[0].position <= position:
            self._bytes -= bytes_of((handed.popleft(),))
        while handed and handed[0].position == position + len(found) + 1 <= end and size < RECORD_PAGE_BYTES_MAX:
            found.append(handed.popleft())
            size += bytes_of(found[-1:])
        self._bytes -= size
        return found

    def wakes(self) -> AbstractAsyncContextManager[AsyncIterator[int]]:
        return self._record.wakes()

    def _forget_old(self) -> None:
        if self._events and monotonic() - self._since >= HANDED_SECONDS:
            self.forget()

    def _forget_in_time(self) -> None:
        """Have what is handed over forgotten when it is old, whether or not anybody looks. A timer that finds younger events than
        those that it was for goes on with these; it looks at no clock, which may be a hair behind it."""
        if self._timer is None and self._events:
            seconds = self._since + HANDED_SECONDS - monotonic()
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(max(0.0, seconds), self._time_is_over, self._since)

    def _time_is_over(self, since: float) -> None:
        self._timer = None
        if self._since == since:
            self.forget()
        self._forget_in_time()
