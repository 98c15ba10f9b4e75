"""Outlets: writing to a socket past ASGI, so that one prepared frame serves every listener.

A server's frames are not masked (RFC 6455 5.1): header and payload are built once and the same bytes go to everybody.
`HansardProtocol` is uvicorn's sans-I/O protocol with an outlet in `scope["extensions"]`; sends by ASGI still work.
"""

from typing import Any

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from gateway.protocol import GOING_AWAY

EXTENSION = "hansard.outlet"
TEXT = 0x81


def prepared(payload: bytes) -> bytes:
    """Return a whole text frame of a server, ready to be written to any socket."""
    size = len(payload)
    if size < 126:
        return bytes((TEXT, size)) + payload
    if size < 65_536:
        return bytes((TEXT, 126)) + size.to_bytes(2, "big") + payload
    return bytes((TEXT, 127)) + size.to_bytes(8, "big") + payload


class Outlet:
    """One socket's way out."""

    def __init__(self, protocol: "HansardProtocol") -> None:
        self._protocol = protocol

    def write(self, frames: bytes) -> None:
        """Write prepared frames; nothing where the socket is closing."""
        protocol = self._protocol
        if not (protocol.close_sent or protocol.disconnected or protocol.transport.is_closing()):
            protocol.transport.write(frames)

    @property
    def is_paused(self) -> bool:
        """Whether the client does not take what was written already."""
        return not self._protocol.writable.is_set()

    @property
    def buffered_bytes(self) -> int:
        return self._protocol.transport.get_write_buffer_size()

    async def drained(self) -> None:
        """Wait until the client takes bytes again, or is gone."""
        await self._protocol.writable.wait()

    def abort(self) -> None:
        """Cut the connection without a word."""
        self._protocol.transport.abort()


class HansardProtocol(WebSocketsSansIOProtocol):
    def handle_connect(self, event: Any) -> None:
        super().handle_connect(event)
        if self.handshake_initiated and hasattr(self, "scope"):
            extensions: Any = self.scope["extensions"]
            extensions[EXTENSION] = Outlet(self)

    async def send(self, message: Any) -> None:
        await super().send(message)
        if message["type"] == "websocket.http.response.body" and not message.get("more_body", False):
            self.handshake_complete = True  # answered in HTTP: uvicorn would call it an application's fault

    def keepalive_timeout(self) -> None:
        """Close with our own code when pings stay unanswered."""
        self.pong_timer = None
        self.pending_ping_payload = None
        if self.close_sent or self.transport.is_closing():
            return
        self.conn.send_close(GOING_AWAY, "no answer to pings")
        self.transport.write(b"".join(self.conn.data_to_send()))
        self.close_sent = True
        self.transport.close()
