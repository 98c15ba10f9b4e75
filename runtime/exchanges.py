"""Exchanges: a server of a few lines on the process's own event loop, where a connection is one request and its answer.

Each has a bound: how many there are at once, how long a head is, how long it all takes. There is no TLS: listen on loopback or a
private network, or behind a proxy.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import NamedTuple

from gateway.server.listening import port_taken

HEAD_BYTES_MAX = 8 * 1024


class ExchangeBounds(NamedTuple):
    connections_max: int
    seconds: float


@asynccontextmanager
async def exchanging(
    address: tuple[str, int],
    answer: Callable[[asyncio.StreamReader], Awaitable[bytes]],
    bounds: ExchangeBounds,
    *,
    remedy: str,
    purpose: str = "",
) -> AsyncIterator[int]:
    """Answer on an address while the block runs; yield the port. Raise `PortTakenError`, which says `remedy`."""
    host, port = address
    try:
        server = await asyncio.start_server(_Exchanges(answer, bounds).serve, host, port, limit=HEAD_BYTES_MAX)
    except OSError as error:
        raise port_taken(host, port, error, remedy, purpose) from None
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


class _Exchanges:
    def __init__(self, answer: Callable[[asyncio.StreamReader], Awaitable[bytes]], bounds: ExchangeBounds) -> None:
        self._answer = answer
        self._bounds = bounds
        self._open = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one request, and close. A request too many, too long or too slow is cut off."""
        if self._open >= self._bounds.connections_max:
            writer.transport.abort()
            return
        self._open += 1
        writer.transport.set_write_buffer_limits(0)  # so that `drain` waits until all of it is sent
        try:
            async with asyncio.timeout(self._bounds.seconds):
                writer.write(await self._answer(reader))
                await writer.drain()
        except (TimeoutError, OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            writer.transport.abort()
        finally:
            self._open -= 1
            writer.close()
