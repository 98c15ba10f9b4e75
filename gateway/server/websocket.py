"""WebSocket: uvicorn's sans-I/O protocol with bounds, and with a transport of ours in `scope["extensions"]`.

What comes in is counted first (`gateway/server/frame_meter.py`) and parsed in slices: while a message waits for the
application, or our writing waits for the client, nothing more of it is read.
"""

import asyncio
from typing import Any

from uvicorn.config import Config
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from uvicorn.server import ServerState

from gateway.protocol.close_codes import GOING_AWAY, NOT_UTF8, TOO_MANY_FRAMES
from gateway.server.connections import Slot
from gateway.server.early_refusals import MALFORMED, answer, new_request_id
from gateway.server.frame_meter import FrameMeter
from gateway.server.stalls import CLOSING_SECONDS, Stall
from gateway.server.transport import EXTENSION, WebSocketTransport

FRAME_SLICE_BYTES = 2 * 1024
OVERRUN_SECONDS = 1.0
PINGS_UNANSWERED_MAX = 2
CLOSE_SECONDS = 10.0

PING_PAYLOAD = b"hansard"


class WebSocketProtocol(WebSocketsSansIOProtocol):
    """One socket. `close_timer` is uvicorn's own; here it always ends in aborting the connection, so no client can keep it open."""

    def __init__(self, config: Config, server_state: ServerState, app_state: dict[str, Any], *, slot: Slot) -> None:
        super().__init__(config=config, server_state=server_state, app_state=app_state)
        self.meter = FrameMeter()
        self._slot = slot
        self._stall = Stall(CLOSING_SECONDS)
        self._pings_unanswered = 0
        self._unparsed = memoryview(b"")  # counted, but not parsed yet
        self._is_ignored = False  # the client sent too much: nothing of it is parsed any more

    @property
    def is_open(self) -> bool:
        return self.handshake_complete and not (self.close_sent or self.disconnected or self.transport.is_closing())

    def connection_lost(self, exc: Exception | None) -> None:
        self._slot.release()
        super().connection_lost(exc)

    def sweep(self, seconds: float) -> None:
        """Abort a connection that does not finish closing. Of open ones the hub knows which do not read."""
        if self.transport.is_closing() and self._stall.is_stuck(self.transport, seconds, is_paused=False):
            self.transport.abort()

    def data_received(self, data: bytes) -> None:
        if not self.handshake_initiated:
            self._read_handshake(data)
        elif self._is_ignored:
            return
        elif not self.meter.passes(data):
            self._overrun()
        elif self._unparsed:
            self._unparsed = memoryview(bytes(self._unparsed) + data)
        elif len(data) <= FRAME_SLICE_BYTES:
            super().data_received(data)
        else:
            self._unparsed = memoryview(data)
            self._parse_more()

    def pause_writing(self) -> None:
        super().pause_writing()
        self.transport.pause_reading()

    def resume_writing(self) -> None:
        super().resume_writing()
        self._parse_more()
        if not (self.read_paused or self.transport.is_closing()):
            self.transport.resume_reading()

    async def receive(self) -> Any:
        """Return the next message. If it was the last one parsed, parse what came after it."""
        message = await self.queue.get()
        if self.read_paused and self.queue.empty():
            self.read_paused = False
            if self._unparsed:
                self._parse_more()
                await asyncio.sleep(0)  # let other tasks run
            if not self.read_paused and self.writable.is_set():
                self.transport.resume_reading()
        return message

    def _read_handshake(self, data: bytes) -> None:
        """Answer at once what is no valid handshake: uvicorn would leave its client waiting for ever."""
        super().data_received(data)
        if self.conn.handshake_exc is not None and not self.handshake_initiated and not self.close_sent:
            self.handshake_complete = self.close_sent = True
            self.transport.write(answer(MALFORMED, new_request_id()))
            self.transport.close()

    def _parse_more(self) -> None:
        """Parse what came, slice by slice, until a message waits for the application or our writing for the client."""
        while self._unparsed and not self.read_paused and (self.writable.is_set() or self.close_sent):
            if self.transport.is_closing():
                return
            piece, self._unparsed = self._unparsed[:FRAME_SLICE_BYTES], self._unparsed[FRAME_SLICE_BYTES:]
            super().data_received(piece)  # type: ignore[arg-type]

    def _overrun(self) -> None:
        self._is_ignored = True
        self._unparsed = memoryview(b"")
        if not self.handshake_complete:
            self.transport.abort()  # a client may send nothing before our answer to its handshake
            return
        self.close(TOO_MANY_FRAMES, "too many frames in too short a time")
        self._abort_later(OVERRUN_SECONDS)

    def handle_connect(self, event: Any) -> None:
        super().handle_connect(event)
        if self.handshake_initiated and hasattr(self, "scope"):
            extensions: Any = self.scope["extensions"]
            extensions[EXTENSION] = WebSocketTransport(self)

    async def send(self, message: Any) -> None:
        await super().send(message)
        if message["type"] == "websocket.http.response.body" and not message.get("more_body", False):
            self.handshake_complete = True  # it was answered in HTTP; uvicorn would report a fault of the application

    def close(self, code: int, reason: str) -> None:
        """Send a close frame at once, tell the application, and wait a bounded time for the client's close frame."""
        if not self.is_open:
            return
        self.stop_keepalive()
        self.queue.put_nowait({"type": "websocket.disconnect", "code": code, "reason": reason})
        self.conn.send_close(code, reason)
        self.transport.write(b"".join(self.conn.data_to_send()))
        self.close_sent = True
        self.read_paused = False
        self.loop.call_soon(self._parse_more)
        self.transport.resume_reading()
        self._abort_later()

    def send_receive_event_to_app(self) -> None:
        """Close with 1007 if the text is not UTF-8. It is the client's fault, so nothing is logged."""
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
        self._abort_later()

    def handle_parser_exception(self) -> None:
        super().handle_parser_exception()
        self._abort_later()

    def send_keepalive_ping(self) -> None:
        """Ping every interval; close with our own code when `PINGS_UNANSWERED_MAX` pings were not answered."""
        self.ping_timer = None
        if not self.is_open:
            return
        if self._pings_unanswered >= PINGS_UNANSWERED_MAX:
            self.close(GOING_AWAY, "no answer to pings")
            return
        if self.writable.is_set():  # a client that does not read cannot answer; the hub watches for stalls
            self._pings_unanswered += 1
            self.conn.send_ping(PING_PAYLOAD)
            self.transport.write(b"".join(self.conn.data_to_send()))
        self.schedule_ping()

    def handle_pong(self, event: Any) -> None:
        self._pings_unanswered = 0

    def _abort_later(self, seconds: float = CLOSE_SECONDS) -> None:
        if self.close_timer is not None:
            self.close_timer.cancel()
        self.close_timer = None if self.disconnected else self.loop.call_later(seconds, self.transport.abort)
