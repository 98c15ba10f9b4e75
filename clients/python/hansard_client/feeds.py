"""What a chat hands out: feeds of rooms, which miss nothing, and notices, which are told once and not again."""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Self

from hansard_client.conversation import Begun, Ended, Live, Told
from hansard_client.errors import Closed
from hansard_client.models import Event, Notice

FEED_EVENTS_MAX = 256
NOTICES_MAX = 256


class _Heard:
    """Something that is waited for until it ends: with an error, which is raised, or with a reason."""

    def __init__(self, told: Callable[[Exception], Exception]) -> None:
        self.reason: str | None = None
        self._told = told  # notes that the user learns of an error
        self._error: Exception | None = None
        self._changed = asyncio.Event()

    def end(self, reason: str, error: Exception | None) -> None:
        """End it, for those who wait; what came before is still handed out."""
        if self.reason is None:
            self.reason, self._error = reason, error
        self._changed.set()

    async def _until(self, is_so: Callable[[], bool]) -> None:
        while not is_so() and self.reason is None:
            self._changed.clear()
            await self._changed.wait()

    def _ending(self) -> Exception:
        return self._told(self._error or Closed(None, f"it is over: {self.reason}"))


class Feed(_Heard):
    """A room's events, each once and in order, whatever becomes of the connection. One task at a time reads it.

    The loop over it ends when the membership does (`reason`: `removed`, `left`) or the feed is closed. It raises
    `RecordChanged`, `DomainError`, and what ends the chat. `position` is the cursor to keep, with `record`: everything up to
    it was handed out. A feed that nobody reads holds up its whole chat; the server then waits, and loses nothing.
    """

    def __init__(
        self,
        room_id: str,
        after: int | None,
        *,
        told: Callable[[Exception], Exception],
        forget: Callable[["Feed"], None],
    ) -> None:
        super().__init__(told)
        self.room_id = room_id
        self.position = after
        self.record: str | None = None
        self._forget = forget
        self._waiting: deque[Event] = deque()
        self._live: int | None = None

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Event:
        await self._until(lambda: bool(self._waiting))
        if not self._waiting:
            if self._error is not None:
                raise self._ending()
            raise StopAsyncIteration
        event = self._waiting.popleft()
        self.position = event.position
        self._changed.set()
        return event

    async def live(self) -> int:
        """Wait until the replay is over, and return how far it went; what follows is new.

        A replay longer than what a feed queues ends only if it is read meanwhile.
        """
        await self._until(lambda: self._live is not None)
        if self._live is None:
            raise self._ending()
        return self._live

    async def close(self) -> None:
        """Hear this room no more."""
        self._forget(self)
        self._waiting.clear()
        self.end("closed", None)

    # The chat's side

    async def begun(self) -> None:
        """Wait until the server took the subscription, and where the feed stands is known."""
        await self._until(lambda: self.record is not None and self.position is not None)
        if self.record is None:
            raise self._ending()

    async def has_space(self) -> None:
        """Wait until one more event may be queued, or never will be."""
        await self._until(lambda: len(self._waiting) < FEED_EVENTS_MAX)

    def take(self, happening: Begun | Told | Live | Ended) -> None:
        """Take what happened in this room."""
        match happening:
            case Begun():
                self.record = happening.record
            case Told():
                # A feed from now on begins before its first event: nothing between was asked for.
                if self.position is None:
                    self.position = happening.event.position - 1
                self._waiting.append(happening.event)
            case Live():
                self._live = happening.position if self._live is None else self._live
                self.position = happening.position if self.position is None else self.position
            case Ended():
                self.end(happening.reason, happening.error)
        self._changed.set()


class Notices(_Heard):
    """What is told once and not again: one's own feed (events with no room), typing, presence, and each `hello`.

    After a `hello` that is not the first, something of it may have been missed: read your lists again. Of what is not
    read in time the oldest is dropped, and counted.
    """

    def __init__(self, told: Callable[[Exception], Exception]) -> None:
        super().__init__(told)
        self.dropped = 0
        self._waiting: deque[Event | Notice] = deque()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Event | Notice:
        await self._until(lambda: bool(self._waiting))
        if self._waiting:
            return self._waiting.popleft()
        if self._error is not None:
            raise self._ending()
        raise StopAsyncIteration

    def take(self, notice: Event | Notice) -> None:
        """Take what was told."""
        if len(self._waiting) == NOTICES_MAX:
            self._waiting.popleft()
            self.dropped += 1
        self._waiting.append(notice)
        self._changed.set()
