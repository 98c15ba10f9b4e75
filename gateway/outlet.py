"""Outlets: writing to a socket past ASGI, so that one prepared frame serves every listener.

A server's frames are not masked (RFC 6455 5.1): header and payload are built once and the same bytes go to everybody.
`HansardProtocol` is uvicorn's sans-I/O protocol with an outlet in `scope["extensions"]`; sends by ASGI still work, but
they wait for a client that does not read. An outlet never waits: who must go, goes at once.
"""

from typing import Any

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from domain.limits import CLOSE_SECONDS, PINGS_UNANSWERED_MAX
from gateway.protocol import GOING_AWAY, NOT_UTF8

EXTENSION = "hansard.outlet"
TEXT = 0x81
PING = b"hansard"
# What uvicorn answers to a request that it cannot read; here, most often, a header line of more than 8 KiB.
UNREADABLE = (
    b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: 30\r\n"
    b"Connection: close\r\n\r\nInvalid HTTP request received."
)


def prepared(payload: bytes) -> bytes:
    """Return a whole text frame of a server, ready to be written to any socket."""
    size = len(payload)
    if size < 126:
        return bytes((TEXT, size)) + payload
    if size < 65_536:
        return bytes((TEXT, 126)) + size.to_bytes(2, "big") + payload
    return bytes((TEXT, 127)) + size.to_bytes(8, "big") + payload


def renamed_prev(frame: bytes, prev: int, held: int) -> bytes:
    """Return a prepared frame of a room that names another event as the one before it."""
    payload = frame[2 if frame[1] < 126 else 4 if frame[1] == 126 else 10 :]
    # `prev` stands before everything that people write (`projections/frames.py`).
    return prepared(payload.replace(b'"prev":%d,' % prev, b'"prev":%d,' % held, 1))


class Outlet:
    """One socket's way out."""

    def __init__(self, protocol: "HansardProtocol") -> None:
        self._protocol = protocol

    def write(self, frames: bytes) -> None:
        """Write prepared frames; nothing where the socket is closing."""
        if self._protocol.is_open:
            self._protocol.transport.write(frames)

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

    def close(self, code: int, reason: str) -> None:
        """Close behind what was written, without waiting for a client that does not read; nothing the second time."""
        self._protocol.close(code, reason)


class HansardProtocol(WebSocketsSansIOProtocol):
    """A socket. `close_timer`, uvicorn's own, here always ends in cutting the connection: nobody can keep it open."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._pings_unanswered = 0

    @property
    def is_open(self) -> bool:
        return self.handshake_complete and not (self.close_sent or self.disconnected or self.transport.is_closing())

    def data_received(self, data: bytes) -> None:
        """Answer at once what cannot be read as a handshake: uvicorn would leave its client waiting, for ever."""
        super().data_received(data)
        if self.conn.handshake_exc is not None and not self.handshake_initiated and not self.close_sent:
            self.handshake_complete = self.close_sent = True
            self.transport.write(UNREADABLE)
            self.transport.close()

    def handle_connect(self, event: Any) -> None:
        super().handle_connect(event)
        if self.handshake_initiated and hasattr(self, "scope"):
            extensions: Any = self.scope["extensions"]
            extensions[EXTENSION] = Outlet(self)

    async def send(self, message: Any) -> None:
        await super().send(message)
        if message["type"] == "websocket.http.response.body" and not message.get("more_body", False):
            self.handshake_complete = True  # answered in HTTP: uvicorn would call it an application's fault

    def close(self, code: int, reason: str) -> None:
        """Send a close frame at once, have the application hear of it, and wait a bounded time for the client's."""
        if not self.is_open:
            return
        self.stop_keepalive()
        self.queue.put_nowait({"type": "websocket.disconnect", "code": code, "reason": reason})
        self.conn.send_close(code, reason)
        self.transport.write(b"".join(self.conn.data_to_send()))
        self.close_sent = True
        if self.read_paused:
            self.read_paused = False
            self.transport.resume_reading()
        self._cut_later()

    def send_receive_event_to_app(self) -> None:
        """Close with 1007 what is no UTF-8: the client's fault, and no line in the log."""
        if self.curr_msg_data_type == "text":
            try:
                b"".join(self.frames).decode()
            except UnicodeDecodeError:
                self.frames = []
                self.close(NOT_UTF8, "frames are UTF-8")
                return
        super().send_receive_event_to_app()

    def handle_close(self, event: Any) -> None:
        super().handle_close(event)
        self._cut_later()

    def handle_parser_exception(self) -> None:
        super().handle_parser_exception()
        self._cut_later()

    def send_keepalive_ping(self) -> None:
        """Ping every interval; close with our own code when as many as are borne stay unanswered."""
        self.ping_timer = None
        if not self.is_open:
            return
        if self._pings_unanswered >= PINGS_UNANSWERED_MAX:
            self.close(GOING_AWAY, "no answer to pings")
            return
        if self.writable.is_set():  # who does not read cannot answer; the hub watches whether they ever do
            self._pings_unanswered += 1
            self.conn.send_ping(PING)
            self.transport.write(b"".join(self.conn.data_to_send()))
        self.schedule_ping()

    def handle_pong(self, event: Any) -> None:
        self._pings_unanswered = 0

    def _cut_later(self) -> None:
        if self.close_timer is not None:
            self.close_timer.cancel()
        self.close_timer = None if self.disconnected else self.loop.call_later(CLOSE_SECONDS, self.transport.abort)
