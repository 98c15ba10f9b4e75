"""The record as the followers of one process read it: read and opened once, for all of them that are caught up.

One look at the record every `LOOK_SECONDS` serves all. Each follower gathers for a while of its own, which are whole looks, so
that those who are due work in the same moment. Where each stands is its own affair: it asks for what follows its position, and
whatever is not at hand is read from the record for it.

What is kept holds texts, so it is forgotten after a few seconds, taken or not, is never much, and is forgotten at once when a
data key is destroyed.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Protocol

import structlog
from msgspec import Struct

from adapters.clock import monotonic
from domain.bounds import LIVE_BATCH_EVENTS_MAX, POLL_SECONDS
from domain.events import Event, Recorded
from domain.ports.record import Head, RecordUnavailableError
from workers.publisher import bytes_of

LOOK_SECONDS = 0.1
KEPT_SECONDS = 3.0
KEPT_BYTES_MAX = 8 * 1024**2  # about

log = structlog.get_logger()


class Readable(Protocol):
    """As much of the record as is read here."""

    async def head(self) -> Head: ...
    async def after(self, position: int, *, until: int | None = None, limit: int) -> Sequence[Recorded[Event]]: ...


class _Kept(Struct):
    """Successive events that were read at once."""

    since: float
    events: Sequence[Recorded[Event]]
    bytes: int
    is_taken: bool

    @property
    def last(self) -> int:
        return self.events[-1].position


class SharedReading:
    """The newest events at hand, and how far the record is. `run()` looks for ever; without it followers wait."""

    def __init__(self, record: Readable) -> None:
        self.position = 0  # up to which the record is known to go
        self._record = record
        self._kept: deque[_Kept] = deque()  # without gaps
        self._bytes = 0
        self._forgettings = 0
        self._reads_ahead = False  # somebody takes what is read; a standby reads nothing
        self._looked = asyncio.Event()

    def gathering(self, seconds: float) -> "Gathering":
        """Return the record for a follower that takes events at once which come within so many seconds of the ones before."""
        return Gathering(self, seconds)

    async def run(self) -> None:
        """Look at the record again and again, and wake who waits for that."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)  # also at first: a process that starts has enough to ask
            try:
                await self.step()
            except RecordUnavailableError as error:
                log.warning("reading for followers waits", reason=str(error))
                await asyncio.sleep(POLL_SECONDS)

    async def step(self) -> None:
        """Look once: read what is new if somebody takes it, else see how far the record is."""
        self._forget_old()
        if not self._reads_ahead:
            self.position = (await self._record.head()).position
        else:
            while len(await self._read_on()) == LIVE_BATCH_EVENTS_MAX:
                pass
        looked, self._looked = self._looked, asyncio.Event()
        looked.set()

    async def look(self) -> int:
        """Wait for the next look; return how far the record is known to go then."""
        await self._looked.wait()
        return self.position

    async def after(self, position: int, *, until: int | None = None, limit: int) -> Sequence[Recorded[Event]]:
        """Return what follows a position, as the record does; nothing if that is as far as it is known to go."""
        if self._reads_ahead and position >= self.position:
            return ()
        if not self._kept or not self._kept[0].events[0].position - 1 <= position < self._kept[-1].last:
            return await self._read(position, until, limit, is_taken=True)
        self._reads_ahead = True
        found: list[Recorded[Event]] = []
        for kept in self._kept:
            if kept.last > position:
                kept.is_taken = True
                found += (e for e in kept.events if position < e.position and (until is None or e.position <= until))
            if len(found) >= limit:
                break
        return found[:limit]

    def forget(self) -> None:
        """Forget everything, and what is being read just now."""
        self._kept.clear()
        self._bytes = 0
        self._forgettings += 1

    async def _read_on(self) -> Sequence[Recorded[Event]]:
        return await self._read(self.position, None, LIVE_BATCH_EVENTS_MAX, is_taken=False)

    async def _read(self, position: int, until: int | None, limit: int, *, is_taken: bool) -> Sequence[Recorded[Event]]:
        """Read the record, and keep what reaches as far as it is known to go: who is behind reads for itself alone."""
        forgettings = self._forgettings
        events = await self._record.after(position, until=until, limit=limit)
        if events and events[-1].position >= self.position and forgettings == self._forgettings:
            self.position = events[-1].position
            self._keep(events, is_taken=is_taken)
        return events

    def _keep(self, events: Sequence[Recorded[Event]], *, is_taken: bool) -> None:
        """Keep events behind the others; without those, if there is a gap between, or if it is too much."""
        last = self._kept[-1].last if self._kept else events[0].position - 1
        size = bytes_of(events)
        if events[0].position > last + 1 or self._bytes + size > KEPT_BYTES_MAX:
            self._kept.clear()
            self._bytes = 0
        elif events[0].position <= last:
            events = [each for each in events if each.position > last]
            size = bytes_of(events)
        self._reads_ahead = self._reads_ahead or is_taken
        if events and size <= KEPT_BYTES_MAX:
            self._kept.append(_Kept(monotonic(), events, size, is_taken))
            self._bytes += size

    def _forget_old(self) -> None:
        before = monotonic() - KEPT_SECONDS
        while self._kept and self._kept[0].since <= before:
            kept = self._kept.popleft()
            self._bytes -= kept.bytes
            self._reads_ahead = self._reads_ahead and kept.is_taken


class Gathering:
    """The record as one follower sees it: it is woken by looks, and not by commits. What comes after a quiet while it hears of at
    the next look, and of what follows no more often than it asked for. It is woken as often if nothing comes: whoever stands by asks
    Postgres for the lease each time."""

    def __init__(self, reading: SharedReading, seconds: float) -> None:
        self._reading = reading
        self._seconds = seconds

    async def after(self, position: int, *, until: int | None = None, limit: int) -> Sequence[Recorded[Event]]:
        return await self._reading.after(position, until=until, limit=limit)

    @asynccontextmanager
    async def wakes(self) -> AsyncIterator[AsyncIterator[int]]:
        yield self._looks()

    async def _looks(self) -> AsyncIterator[int]:
        enough = self._seconds - LOOK_SECONDS / 2
        moved_at = woken_at = monotonic() - self._seconds
        last = 0
        while True:
            position, at = await self._reading.look(), monotonic()
            if at - moved_at >= enough and (position != last or at - woken_at >= enough):
                if position != last:
                    moved_at, last = at, position
                woken_at = at
                yield position
