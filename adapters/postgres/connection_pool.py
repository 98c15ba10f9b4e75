"""Connections that are shared: at most so many, opened when they are needed, each for one caller at a time.

Whoever asks gets the connection that was given back last: its statements are prepared, and its pages at hand. Who finds none
has one opened, and takes the first that is free, opened or given back: in a burst one new connection serves many, and nobody
waits for the slowest. asyncpg's own pool wraps each connection anew and gives it back in a task of its own, which costs twice as much as the query itself.
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
        self._opening: set[asyncio.Task[None]] = set()
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._is_closed = False

    async def acquire(self) -> Any:
        """Return a connection that works, as far as is known. Raise `TimeoutError` if none is free for too long, and what
        opening one raised."""
        deadline = asyncio.get_running_loop().time() + self._wait_seconds
        while True:
            if self._is_closed:
                raise PoolClosedError("the pool of connections is closed")
            while self._free:
                connection = self._free.pop()
                if not connection.is_closed():
                    self._lent.add(connection)
                    return connection
                self._places += 1
            if self._places and len(self._opening) <= len(self._waiting):
                self._places -= 1
                self._opening.add(asyncio.create_task(self._open()))
            await self._until_one_is_free(deadline)

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
        for opening in self._opening:
            opening.cancel()
        for answer in self._waiting:
            if not answer.done():
                answer.set_result(None)
        for connection in self._free:
            await connection.close()

    def terminate(self) -> None:
        """End all connections at once, those that are lent too."""
        self._is_closed = True
        for opening in self._opening:
            opening.cancel()
        for connection in (*self._free, *self._lent):
            connection.terminate()
        self._free.clear()

    async def _open(self) -> None:
        refused = None
        try:
            self._free.append(await self._connect())
        except Exception as error:
            self._places += 1
            refused = error
        self._opening.discard(asyncio.current_task())
        self._wake_next(refused)

    async def _until_one_is_free(self, deadline: float) -> None:
        """Wait for one's turn, in the order of asking."""
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            async with asyncio.timeout_at(deadline):
                await turn
        except BaseException:
            if turn.done() and not turn.cancelled():
                turn.exception()  # asyncio reports one that nobody looked at
                self._wake_next()  # it was this one's turn, and is the next one's now
            else:
                with suppress(ValueError):  # it was passed over already, as it was given up
                    self._waiting.remove(turn)
            raise

    def _wake_next(self, error: Exception | None = None) -> None:
        """Have the next who waits look again, or tell it what opening a connection for it raised."""
        while self._waiting:
            turn = self._waiting.popleft()
            if turn.done():
                continue
            if error is None:
                turn.set_result(None)
            else:
                turn.set_exception(error)
            return
