"""The server: uvicorn, with its defaults put right for sockets that matter.

Deflate off, frames bounded, proxy headers not believed, a small send buffer so that slow readers are noticed. SIGTERM is
ours: sockets are sent away first, then uvicorn stops.
"""

import asyncio
import socket
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager, nullcontext, suppress

import uvicorn
from litestar.types import ASGIApp

from domain.limits import FRAME_BYTES_MAX, HEARTBEAT_SECONDS
from gateway.outlet import HansardProtocol

SEND_BUFFER_BYTES = 64 * 1024
GRACEFUL_SECONDS = 10
BACKLOG = 2048
TICK_SECONDS = 0.1  # uvicorn's own; it counts ten of them for a second of its Date header


class PortTaken(Exception):
    """The port is taken, or may not be used."""


def listen(host: str, port: int) -> socket.socket:
    """Bind the listening socket. Raises `PortTaken` with one sentence."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # inherited; or small answers wait 40 ms
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)
    try:
        listener.bind((host, port))
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        raise PortTaken(f"Cannot listen on {host}:{port}: {error.strerror}. Set HANSARD_PORT to another one.") from None
    listener.setblocking(False)
    return listener


async def serve(
    app: ASGIApp, listener: socket.socket, stop: asyncio.Event, *, drain: Callable[[], Awaitable[None]]
) -> None:
    """Serve until `stop` is set; then drain and end, within `GRACEFUL_SECONDS` after that."""
    config = uvicorn.Config(
        app,
        http="httptools",
        ws=HansardProtocol,
        ws_max_size=FRAME_BYTES_MAX,
        ws_per_message_deflate=False,
        ws_ping_interval=HEARTBEAT_SECONDS,
        ws_ping_timeout=None,  # HansardProtocol counts for itself
        proxy_headers=False,
        server_header=False,
        lifespan="off",
        log_config=None,
        log_level="warning",
        access_log=False,
        timeout_graceful_shutdown=GRACEFUL_SECONDS,
    )
    server = _Server(config)
    serving = asyncio.create_task(server.serve([listener]))
    stopping = asyncio.create_task(stop.wait())
    await asyncio.wait((serving, stopping), return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    await drain()
    server.leave()
    await serving


class _Server(uvicorn.Server):
    """uvicorn without its own signal handlers (the process has them), and told when to end instead of looking for it."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self._left = asyncio.Event()

    def leave(self) -> None:
        self.should_exit = True
        self._left.set()

    async def main_loop(self) -> None:
        ticks = 0
        while not await self.on_tick(ticks):
            ticks += 1
            with suppress(TimeoutError):
                async with asyncio.timeout(TICK_SECONDS):
                    await self._left.wait()

    def capture_signals(self) -> AbstractContextManager[None]:  # type: ignore[override]
        return nullcontext()
