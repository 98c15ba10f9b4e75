"""Transport: writing to a socket past ASGI, so that the same frame, built once, serves every listener.

The WebSocket protocol (`gateway/server/websocket.py`) puts one into `scope["extensions"][EXTENSION]`. Sends by ASGI still
work, but they wait for a client that does not read. A transport never waits, except in `drained`.
"""

import asyncio
from typing import Protocol

from domain.quotas import Quota
from gateway.server.frame_meter import FrameMeter

EXTENSION = "hansard.transport"


class OpenSocket(Protocol):
    """What a transport needs of the protocol below it."""

    transport: asyncio.Transport
    writable: asyncio.Event
    meter: FrameMeter

    @property
    def is_open(self) -> bool: ...
    def close(self, code: int, reason: str) -> None: ...


class WebSocketTransport:
    """The outgoing side of one socket."""

    def __init__(self, protocol: OpenSocket) -> None:
        self._protocol = protocol

    def write(self, frames: bytes) -> None:
        """Write whole frames. Do nothing if the socket is closing."""
        if self._protocol.is_open:
            self._protocol.transport.write(frames)

    @property
    def is_paused(self) -> bool:
        """Whether the client does not read what was written already."""
        return not self._protocol.writable.is_set()

    @property
    def buffered_bytes(self) -> int:
        return self._protocol.transport.get_write_buffer_size()

    async def drained(self) -> None:
        """Wait until the client reads again, or is gone."""
        await self._protocol.writable.wait()

    def limit(self, frames: Quota | None) -> None:
        """Set how many frames this client may send."""
        self._protocol.meter.limit(frames)

    def takes(self, units: int) -> bool:
        """Charge the client for what a frame costs beyond its size. Return False if it had not so much left."""
        return self._protocol.meter.takes(units)

    def close(self, code: int, reason: str) -> None:
        """Close after what was written, without waiting for a client that does not read. The second time does nothing."""
        self._protocol.close(code, reason)
