"""The server: uvicorn, with its defaults put right for sockets that matter.

Deflate is off, frames are bounded, proxy headers are not trusted. SIGTERM is ours: sockets are drained first, then uvicorn stops.
"""

import asyncio
import socket
import ssl
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from functools import partial

import structlog
import uvicorn
from litestar.types import ASGIApp

from adapters.clock import monotonic
from domain.bounds import FRAME_BYTES_MAX
from gateway.http.response_headers import ALWAYS
from gateway.server.acceptor import Acceptor
from gateway.server.connections import ConnectionBounds, ConnectionLimit, Slot
from gateway.server.http1 import HttpProtocol
from gateway.server.websocket import WebSocketProtocol

HEARTBEAT_SECONDS = 25.0

log = structlog.get_logger()

GRACEFUL_SECONDS = 10
TICKS_OF_SWEEP = 5
SWEEP_SECONDS_MAX = 1.0  # the time in which this process was held up is not counted against its clients
TICK_SECONDS = 0.1  # uvicorn's own; it counts ten of them for a second of its Date header


async def serve(
    app: ASGIApp,
    listener: socket.socket,
    stop: asyncio.Event,
    *,
    drain: Callable[[], Awaitable[None]],
    tls: ssl.SSLContext | None = None,
    bounds: ConnectionBounds = ConnectionBounds(),  # noqa: B008
    trusts: Callable[[str], bool] = lambda address: False,
) -> None:
    """Serve until `stop` is set; then drain and end, within `GRACEFUL_SECONDS` after that.

    `trusts` says whether an address is a proxy of the operator's.
    """
    server = _Server(_config(app), bounds, trusts, tls)
    serving = asyncio.create_task(server.serve([listener]))
    stopping = asyncio.create_task(stop.wait())
    await asyncio.wait((serving, stopping), return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    await drain()
    server.end()
    await serving


def _config(app: ASGIApp) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        http="httptools",
        ws=WebSocketProtocol,
        ws_max_size=FRAME_BYTES_MAX,
        ws_per_message_deflate=False,
        ws_ping_interval=HEARTBEAT_SECONDS,
        ws_ping_timeout=None,  # WebSocketProtocol counts for itself
        proxy_headers=False,
        server_header=False,
        lifespan="off",
        log_config=None,
        log_level="warning",
        access_log=False,
        timeout_graceful_shutdown=GRACEFUL_SECONDS,
        headers=[(name.decode(), value.decode()) for name, value in ALWAYS],
    )


class _Server(uvicorn.Server):
    """uvicorn with our own acceptor and without its signal handlers: the process has those, and says when to end."""

    def __init__(
        self,
        config: uvicorn.Config,
        bounds: ConnectionBounds,
        trusts: Callable[[str], bool],
        tls: ssl.SSLContext | None,
    ) -> None:
        super().__init__(config)
        self._bounds = bounds
        self._limit = ConnectionLimit(bounds, trusts)
        self._tls = tls
        self._ended = asyncio.Event()
        self._swept_at = monotonic()

    def end(self) -> None:
        self.should_exit = True
        self._ended.set()

    async def startup(self, sockets: Sequence[socket.socket] | None = None) -> None:
        await self.lifespan.startup()
        accept = partial(Acceptor, tls=self._tls, handshake_seconds=self._bounds.head_seconds)
        self.servers: list[Acceptor] = [  # type: ignore[assignment]
            accept(listener, self._limit, self._protocol) for listener in sockets or ()
        ]
        self.started = True

    async def main_loop(self) -> None:
        ticks = 0
        while not await self.on_tick(ticks):
            ticks += 1
            if ticks % TICKS_OF_SWEEP == 0:
                self._sweep()
            with suppress(TimeoutError):
                async with asyncio.timeout(TICK_SECONDS):
                    await self._ended.wait()

    def capture_signals(self) -> AbstractContextManager[None]:  # type: ignore[override]
        return nullcontext()

    def _protocol(self, slot: Slot) -> HttpProtocol:
        return HttpProtocol(self.config, self.server_state, self.lifespan.state, slot=slot, bounds=self._bounds)

    def _sweep(self) -> None:
        """Have every connection check its deadlines: one walk costs less than a timer for each."""
        now = monotonic()
        seconds, self._swept_at = min(now - self._swept_at, SWEEP_SECONDS_MAX), now
        for connection in tuple(self.server_state.connections):
            assert isinstance(connection, HttpProtocol | WebSocketProtocol), "no other protocol is used"
            try:
                connection.sweep(seconds)
            except Exception:  # one connection must not end the server
                log.exception("a connection is cut off")
                connection.transport.abort()
