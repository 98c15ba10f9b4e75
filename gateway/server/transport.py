"""Outlets: writing to a socket past ASGI, so that one prepared frame serves every listener.

A server's frames are not masked (RFC 6455 5.1): header and payload are built once and the same bytes go to everybody.
`HansardProtocol` is uvicorn's sans-I/O protocol with an outlet in `scope["extensions"]`; sends by ASGI still work, but
they wait for a client that does not read. An outlet never waits: who must go, goes at once.
"""

import asyncio
from typing import Any

from uvicorn.config import Config
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from uvicorn.server import ServerState

from domain.bounds import CLOSE_SECONDS, CLOSING_SECONDS, FRAME_SLICE_BYTES, OVERRUN_SECONDS, PINGS_UNANSWERED_MAX
from domain.quotas import Quota
from gateway.protocol.client_frames import GOING_AWAY, NOT_UTF8, TOO_MANY_FRAMES
from gateway.server.connections import Slot
from gateway.server.early_refusals import MALFORMED, answer, new_request_id
from gateway.server.frame_meter import FrameMeter
from gateway.server.stalls import Stall

EXTENSION = "hansard.outlet"
TEXT = 0x81
PING = b"hansard"


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

    def limit(self, frames: Quota | None) -> None:
        """Say how many frames this client may send."""
        self._protocol.meter.limit(frames)

    def takes(self, units: int) -> bool:
        """Charge what a frame asks beside itself; answers whether the client had so much left."""
        return self._protocol.meter.takes(units)

    def close(self, code: int, reason: str) -> None:
        """Close behind what was written, without waiting for a client that does not read; nothing the second time."""
        self._protocol.close(code, reason)


class HansardProtocol(WebSocketsSansIOProtocol):
    """A socket. `close_timer`, uvicorn's own, here always ends in cutting the connection: nobody can keep it open.

    What comes is counted first, and read in slices: while a message waits for the application, or what we wrote for the
    client, nothing more of it is read.
    """

    def __init__(self, config: Config, server_state: ServerState, app_state: dict[str, Any], *, slot: Slot) -> None:
        super().__init__(config=config, server_state=server_state, app_state=app_state)
        self.meter = FrameMeter()
        self._slot = slot
        self._stall = Stall(CLOSING_SECONDS)
        self._pings_unanswered = 0
        self._unread = memoryview(b"")  # counted, and not looked at yet
        self._is_deaf = False  # it said too much: nothing of it is looked at any more

    @property
    def is_open(self) -> bool:
        return self.handshake_complete and not (self.close_sent or self.disconnected or self.transport.is_closing())

    def connection_lost(self, exc: Exception | None) -> None:
        self._slot.release()
        super().connection_lost(exc)

    def sweep(self, seconds: float) -> None:
        """Cut a connection that is closing and does not come to its end. Of open ones the hub knows who does not read."""
        if self.transport.is_closing() and self._stall.is_stuck(self.transport, seconds, is_paused=False):
            self.transport.abort()

    def data_received(self, data: bytes) -> None:
        if not self.handshake_initiated:
            self._read_handshake(data)
        elif self._is_deaf:
            return
        elif not self.meter.passes(data):
            self._overrun()
        elif self._unread:
            self._unread = memoryview(bytes(self._unread) + data)
        elif len(data) <= FRAME_SLICE_BYTES:
            super().data_received(data)
        else:
            self._unread = memoryview(data)
            self._read_on()

    def pause_writing(self) -> None:
        super().pause_writing()
        self.transport.pause_reading()

    def resume_writing(self) -> None:
        super().resume_writing()
        self._read_on()
        if not (self.read_paused or self.transport.is_closing()):
            self.transport.resume_reading()

    async def receive(self) -> Any:
        """Return the next message; where it was the last of those that came, look at what came behind it."""
        message = await self.queue.get()
        if self.read_paused and self.queue.empty():
            self.read_paused = False
            if self._unread:
                self._read_on()
                await asyncio.sleep(0)  # others have their turn
            if not self.read_paused and self.writable.is_set():
                self.transport.resume_reading()
        return message

    def _read_handshake(self, data: bytes) -> None:
        """Answer at once what cannot be read as a handshake: uvicorn would leave its client waiting, for ever."""
        super().data_received(data)
        if self.conn.handshake_exc is not None and not self.handshake_initiated and not self.close_sent:
            self.handshake_complete = self.close_sent = True
            self.transport.write(answer(MALFORMED, new_request_id()))
            self.transport.close()

    def _read_on(self) -> None:
        """Look at what came, slice by slice, until a message waits for the application or an answer for the client."""
        while self._unread and not self.read_paused and (self.writable.is_set() or self.close_sent):
            if self.transport.is_closing():
                return
            piece, self._unread = self._unread[:FRAME_SLICE_BYTES], self._unread[FRAME_SLICE_BYTES:]
            super().data_received(piece)  # type: ignore[arg-type]

    def _overrun(self) -> None:
        self._is_deaf = True
        self._unread = memoryview(b"")
        if not self.handshake_complete:
            self.transport.abort()  # it was to wait for our answer
            return
        self.close(TOO_MANY_FRAMES, "too many frames in too short a time")
        self._cut_later(OVERRUN_SECONDS)

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
        self.read_paused = False
        self.loop.call_soon(self._read_on)
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

    def _cut_later(self, seconds: float = CLOSE_SECONDS) -> None:
        if self.close_timer is not None:
            self.close_timer.cancel()
        self.close_timer = None if self.disconnected else self.loop.call_later(seconds, self.transport.abort)
