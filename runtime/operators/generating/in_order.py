"""A record that is appended to in the order in which commands were begun, whichever of them is decided first: so the same seed
makes the same record, although many commands are decided side by side."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextvars import ContextVar
from typing import TypeVar

from adapters.postgres.data_keys import Vault
from adapters.postgres.database import Database
from adapters.postgres.event_store import PostgresRecord
from domain.ids import StreamId
from domain.ports.clock import Chance, Clock
from domain.ports.record import Answer, Append, ClaimKind, EventPage, Head

READS_MAX = 4  # at once: hundreds of commands begin together, and would wait for a connection longer than anybody may

Result = TypeVar("Result")
_number: ContextVar[int] = ContextVar("number of a command")


class InOrder(PostgresRecord):
    """The record of a process that begins its commands by `begin`."""

    def __init__(self, db: Database, vault: Vault, *, now: Clock, chance: Chance) -> None:
        super().__init__(db, vault, now=now, chance=chance)
        self._begun = 0
        self._next = 0  # the number of the command whose turn it is to append
        self._waiting: dict[int, asyncio.Event] = {}
        self._reading = asyncio.Semaphore(READS_MAX)

    def begin(self, do: Callable[[], Awaitable[Result]]) -> "asyncio.Task[Result]":
        """Start a command; it appends behind all that were begun before, and those behind it wait until it has, or has
        ended without."""
        number, self._begun = self._begun, self._begun + 1

        async def run() -> Result:
            _number.set(number)
            try:
                return await do()
            finally:
                await self._turn(number)

        return asyncio.create_task(run())

    async def append(self, append: Append) -> Answer:
        await self._turn(_number.get())  # whoever is next runs when this one stands in the queue
        return await super().append(append)

    async def stream_pages(self, after: Mapping[StreamId, int], *, limit: int) -> Mapping[StreamId, EventPage]:
        async with self._reading:
            return await super().stream_pages(after, limit=limit)

    async def head(self) -> Head:
        async with self._reading:
            return await super().head()

    async def claimant(self, kind: ClaimKind, value: str) -> StreamId | None:
        async with self._reading:
            return await super().claimant(kind, value)

    async def _turn(self, number: int) -> None:
        """Wait for a command's turn, and pass it on; nothing if it has had it."""
        if number > self._next:
            self._waiting[number] = asyncio.Event()
            await self._waiting[number].wait()
            del self._waiting[number]
        if number == self._next:
            self._next += 1
            if (waiting := self._waiting.get(self._next)) is not None:
                waiting.set()
