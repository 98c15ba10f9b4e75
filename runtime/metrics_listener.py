"""The metrics listener: `/metrics` and `/livez` of a projector or worker, on an address for scrapers and supervisors
alone.

It runs on the process's own event loop, so that `/livez` shows that the loop turns. The server of the client library starts a
thread for each connection, without a bound on their number, size or time; a whole web server costs 15 MiB. There is no token
and no TLS: listen on loopback or a private network.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from adapters.prometheus.exposition import Exposition
from runtime.exchanges import ExchangeBounds, exchanging

CONNECTIONS_MAX = 16
EXCHANGE_SECONDS = 5.0
REMEDY = "Set HANSARD_METRICS_LISTEN to another address."
TEXT = "text/plain; charset=utf-8"


@asynccontextmanager
async def metrics_listener(
    address: tuple[str, int] | None, exposition: Exposition, *, seconds: float = EXCHANGE_SECONDS
) -> AsyncIterator[None]:
    """Answer on an address while the block runs; on none if it is None. Raise `PortTakenError`."""
    if address is None:
        yield
        return
    bounds = ExchangeBounds(CONNECTIONS_MAX, seconds)
    async with exchanging(address, _Figures(exposition).answer, bounds, remedy=REMEDY, purpose=" for metrics"):
        yield


class _Figures:
    def __init__(self, exposition: Exposition) -> None:
        self._exposition = exposition

    async def answer(self, reader: asyncio.StreamReader) -> bytes:
        request, *lines = (await reader.readuntil(b"\r\n\r\n")).split(b"\r\n")
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
