"""The metrics listener: `/metrics` and `/livez` of a projector or worker, on an address for scrapers and supervisors
alone.

It is a server of a few lines on the process's own event loop, so that `/livez` shows that the loop turns. The server of
the client library starts a thread for each connection, without a bound on their number, size or time; a whole web
server costs 15 MiB. Here a connection is one request, with a bound on each. There is no token and no TLS: listen on
loopback or a private network.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from adapters.prometheus.exposition import Exposition
from domain.errors import ReadableError

CONNECTIONS_MAX = 16
HEAD_BYTES_MAX = 8 * 1024
EXCHANGE_SECONDS = 5.0
TEXT = "text/plain; charset=utf-8"


class MetricsPortTakenError(ReadableError):
    """The address of the metrics is taken, or may not be used."""


@asynccontextmanager
async def metrics_listener(
    address: tuple[str, int] | None, exposition: Exposition, *, seconds: float = EXCHANGE_SECONDS
) -> AsyncIterator[None]:
    """Answer on an address while the block runs; on none if it is None. Raise `MetricsPortTakenError`."""
    if address is None:
        yield
        return
    host, port = address
    try:
        server = await asyncio.start_server(_Listener(exposition, seconds).serve, host, port, limit=HEAD_BYTES_MAX)
    except OSError as error:
        raise MetricsPortTakenError(
            f"Cannot listen on {host}:{port} for metrics: {error.strerror}. Set HANSARD_METRICS_LISTEN to another address."
        ) from None
    try:
        yield
    finally:
        server.close()


class _Listener:
    def __init__(self, exposition: Exposition, seconds: float) -> None:
        self._exposition = exposition
        self._seconds = seconds
        self._open = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one request, and close. A request too many, too long or too slow is cut off."""
        if self._open >= CONNECTIONS_MAX:
            writer.transport.abort()
            return
        self._open += 1
        writer.transport.set_write_buffer_limits(0)  # so that `drain` waits until all of it is sent
        try:
            async with asyncio.timeout(self._seconds):
                writer.write(await self._answer(await reader.readuntil(b"\r\n\r\n")))
                await writer.drain()
        except (TimeoutError, OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            writer.transport.abort()
        finally:
            self._open -= 1
            writer.close()

    async def _answer(self, head: bytes) -> bytes:
        request, *lines = head.split(b"\r\n")
        method, _, rest = request.partition(b" ")
        headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(b":") for line in lines)}
        if method not in (b"GET", b"HEAD"):
            status, body, media_type = "405 Method Not Allowed", b"GET or HEAD\n", TEXT
        else:
            path = rest.partition(b" ")[0].partition(b"?")[0]
            status, body, media_type = await self._found(path, headers.get(b"accept", b"").decode("latin-1"))
        bare = f"HTTP/1.1 {status}\r\nContent-Type: {media_type}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        return bare.encode() + (b"" if method == b"HEAD" else body)

    async def _found(self, path: bytes, accept: str) -> tuple[str, bytes, str]:
        if path == b"/metrics":
            return "200 OK", *await self._exposition.text(accept)
        if path == b"/livez":
            return "200 OK", b"alive\n", TEXT
        return "404 Not Found", b"/metrics and /livez\n", TEXT
