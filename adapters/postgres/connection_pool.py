"""Connections that are shared: at most so many, opened when they are needed, each for one caller at a time.

Whoever asks gets the connection that was given back last: its statements are prepared, and its pages at hand. asyncpg's own
pool wraps each connection anew and gives it back in a task of its own, which costs twice as much as the query itself.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any


class PoolClosedError(ConnectionError):
    """No connection is given out any more."""


class ConnectionPool:
    """At most `size_max` connections of asyncpg. `connect` opens one more."""

    def __init__(self, connect: Callable[[], Awaitable[Any]], *, size_max: int, wait_seconds: float) -> None:
        self.size_max = size_max
        self._connect = connect
        self._wait_seconds = wait_seconds
        self._free: list[Any] = []
        self._lent: set[Any] = set()
        self._places = size_max  # for connections that are not open
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._is_closed = False

    async def acquire(self) -> Any:
        """Return a connection that works, as far as is known. Raise `TimeoutError` if none is free for too long."""
        while True:
            if self._is_closed:
                raise PoolClosedError("the pool of connections is closed")
            while self._free:
                connection = self._free.pop()
                if not connection.is_closed():
                    self._lent.add(connection)
                    return connection
                self._places += 1
            if self._places:
                return await self._opened()
            await self._until_given_back()

    def give_back(self, connection: Any, *, is_usable: bool) -> None:
        """Take a connection back; one that is not usable, because of what was asked on it nobody heard the end, is ended."""
        self._lent.discard(connection)
        if not is_usable or self._is_closed:
            connection.terminate()
        if connection.is_closed():
            self._places += 1
        else:
            self._free.append(connection)
        self._wake_next()

    async def close(self) -> None:
        """Take no one in any more, and end all connections with a word to the server; those that are lent, when they come back."""
        self._is_closed = True
        for answer in self._waiting:
            if not answer.done():
                answer.set_result(None)
        for connection in self._free:
            await connection.close()

    def terminate(self) -> None:
        """End all connections at once, those that are lent too."""
        self._is_closed = True
        for connection in (*self._free, *self._lent):
            connection.terminate()
        self._free.clear()

    async def _opened(self) -> Any:
        self._places -= 1
        try:
            connection = await self._connect()
        except BaseException:
            self._places += 1
            self._wake_next()
            raise
        self._lent.add(connection)
        return connection

    async def _until_given_back(self) -> None:
        """Wait for one's turn, in the order of asking."""
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            async with asyncio.timeout(self._wait_seconds):
                await turn
        except BaseException:
            if turn.done() and not turn.cancelled():
                self._wake_next()  # it was this one's turn, and is the next one's now
            else:
                with suppress(ValueError):  # it was passed over already, as it was given up
                    self._waiting.remove(turn)
            raise

    def _wake_next(self) -> None:
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                return
