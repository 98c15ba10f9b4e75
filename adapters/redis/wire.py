"""A wire to Redis: calls on one connection, past the layers of redis-py.

redis-py connects: it knows URLs, TLS and log-ins. Then its streams give the socket up, and what is asked often goes straight from
`hiredis` to the transport and back: 15 µs of processor a call where a client of redis-py takes 65.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Self

import hiredis
from redis.asyncio import Redis
from redis.exceptions import ResponseError

Argument = str | bytes | int | float


class WireCutError(ConnectionError):
    """The connection is gone; of what was asked on it nobody hears more."""


class Wire(asyncio.Protocol):
    """One connection, for any number of calls at once: answers come in the order of the questions, also those that nobody
    waits for any more. Whatever fails but a refusal of Redis ends it, and its owner opens another one."""

    def __init__(self, transport: asyncio.Transport, connected: object) -> None:
        """`connected` is kept as long as the transport: what made it would close it when it is forgotten."""
        self._transport = transport
        self._connected = connected
        self._reader = hiredis.Reader()
        self._waiting: deque[asyncio.Future[Any]] = deque()

    @classmethod
    async def open(cls, redis: "Redis") -> Self:
        """Connect as this client would."""
        make_connection: Callable[[], Any] = redis.connection_pool.make_connection
        connection = make_connection()
        await connection.connect()
        streams = connection._reader, connection._writer
        connection._reader = connection._writer = None
        transport: asyncio.Transport = streams[1].transport
        wire = cls(transport, streams)
        transport.set_protocol(wire)
        return wire

    @property
    def is_cut(self) -> bool:
        return self._transport.is_closing()

    async def call(self, *arguments: Argument, seconds: float) -> Any:
        """Return Redis's answer, or raise its refusal as `ResponseError`; `TimeoutError` if there is none in time."""
        answer = asyncio.get_running_loop().create_future()
        self._waiting.append(answer)
        self._transport.write(hiredis.pack_command(arguments))  # type: ignore[arg-type]  # of any length
        try:
            async with asyncio.timeout(seconds):
                found = await answer
        except TimeoutError:
            self.cut()
            raise
        if isinstance(found, hiredis.ReplyError):
            raise ResponseError(str(found))
        return found

    def cut(self) -> None:
        """End the connection at once."""
        self._transport.abort()
        self._fail()

    # What the transport calls

    def data_received(self, data: bytes) -> None:
        self._reader.feed(data)
        try:
            while (answer := self._reader.gets()) is not False:
                waiting = self._waiting.popleft()
                if not waiting.done():
                    waiting.set_result(answer)
        except (hiredis.ProtocolError, IndexError):
            self.cut()

    def connection_lost(self, exc: Exception | None) -> None:
        self._fail()

    def _fail(self) -> None:
        for waiting in self._waiting:
            if not waiting.done():
                waiting.set_exception(WireCutError("the connection to Redis was cut"))
        self._waiting.clear()


class Script:
    """A script in Lua; `digest` is how Redis names it, once it was given it."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.digest = b""


class Wires:
    """The wire of one use, opened when it is needed, and again when it was cut."""

    def __init__(self, redis: "Redis", *, seconds: float) -> None:
        self._redis = redis
        self._seconds = seconds
        self._wire: Wire | None = None
        self._opening = asyncio.Lock()
        self._failures = 0  # to connect

    async def call(self, *arguments: Argument) -> Any:
        """As `Wire.call`, on a connection that works as far as is known."""
        wire = self._wire
        if wire is None or wire.is_cut:
            wire = await self._opened()
        return await wire.call(*arguments, seconds=self._seconds)

    async def _opened(self) -> Wire:
        """Open the wire; of many who want it one does, and if that fails those who waited for it fail too."""
        failures = self._failures
        async with self._opening:
            if self._wire is not None and not self._wire.is_cut:
                return self._wire
            if self._failures != failures:
                raise WireCutError("Redis cannot be connected to")
            try:
                self._wire = await Wire.open(self._redis)
            except Exception:
                self._failures += 1
                raise
            return self._wire

    async def run(self, script: Script, keys: Sequence[Argument], arguments: Iterable[Argument]) -> Any:
        """Run a script; a Redis that does not know it (any more) is given it."""
        given = (len(keys), *keys, *arguments)
        if script.digest:
            try:
                return await self.call(b"EVALSHA", script.digest, *given)
            except ResponseError as error:
                if not str(error).startswith("NOSCRIPT"):
                    raise
        script.digest = await self.call(b"SCRIPT", b"LOAD", script.text)
        return await self.call(b"EVALSHA", script.digest, *given)

    def cut(self) -> None:
        """End the connection that there is."""
        if self._wire is not None:
            self._wire.cut()
