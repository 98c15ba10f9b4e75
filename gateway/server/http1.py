"""HTTP/1.1: uvicorn's protocol with bounds. What a client sends has a size and a time, whoever it is.

uvicorn with httptools bounds neither a head nor the time it takes, adds trailers to the headers of a request that runs
already, and writes "400" into the middle of the answer before. Here:

- a request's address, its headers, and what stands around its chunks are bounded before they are gathered;
- a head, a body and the pause between two requests have so many seconds, counted only while we read;
- a client that does not take its answer is let go;
- what is refused is answered behind the answers that are due before it, and the connection ends.

No timer runs for a connection: the server passes by all of them twice a second (`sweep`).
"""

import asyncio
import re
import select
from typing import Any, Literal

import httptools
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from domain.bounds import (
    BODY_BYTES_A_SECOND_MIN,
    BODY_OVERHEAD_BYTES_MAX,
    HEAD_BYTES_MAX,
    HEAD_SLICE_BYTES,
    HEADERS_MAX,
    LINGER_BYTES,
    PARTING_BYTES_MAX,
    PARTING_SECONDS,
    PIPELINED_MAX,
    TARGET_BYTES_MAX,
)
from gateway.http.problems import Problem
from gateway.server.connections import ConnectionBounds, Slot
from gateway.server.early_refusals import (
    HEAD_TOO_LARGE,
    MALFORMED,
    NO_HOST,
    TARGET_TOO_LONG,
    TOO_MANY_AT_ONCE,
    TOO_SLOW,
    answer,
    new_request_id,
)
from gateway.server.stalls import Stall
from gateway.server.transport import HansardProtocol

# RFC 3986 3.2.2 and 3.2.3, without the comma: two hosts that somebody joined are not one.
HOST = re.compile(rb"(?:\[[0-9A-Za-z:.%_~-]+\]|[0-9A-Za-z._~!$&'()*+;=%-]+)(?::[0-9]{0,5})?")
HEADER_OVERHEAD_BYTES = len(b": \r\n")


class _FaultyRequest(Exception):
    """Ends the parsing of a request from within; `HttpProtocol._fault` says why."""


class HttpProtocol(HttpToolsProtocol):
    """One connection, until it ends or becomes a socket."""

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        *,
        slot: Slot,
        bounds: ConnectionBounds,
    ) -> None:
        super().__init__(config=config, server_state=server_state, app_state=app_state)
        self._slot = slot
        self._bounds = bounds
        self._stall = Stall(bounds.write_stall_seconds)
        # Between two requests ("nothing"), in a head, or in a body.
        self._reads: Literal["nothing", "head", "body"] = "nothing"
        self._began = False  # a request, in the bytes that were just parsed
        self._read_bytes = 0  # of this head; of this body, as they came
        self._body_bytes = 0
        self._silent_bytes = 0  # that came since the last one of the body
        self._header_bytes = 0
        self._waited_seconds = 0.0  # for what is read now, while we read
        self._idle_seconds = 0.0  # since the last byte of a body
        self._fault: Problem | None = None
        self._farewell = b""  # what is said before the connection ends
        self._is_deaf = False  # nothing more is understood
        self._has_parted = False

    # What the transport calls

    def connection_lost(self, exc: Exception | None) -> None:
        self._slot.release()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._is_deaf:
            self._forget(len(data))
            return
        # A head that is not whole is gathered by the parser: it gets no more of one than may be.
        at, size = 0, len(data)
        while at < size and not self._is_deaf:
            piece = data[at:] if self._reads == "body" else data[at : at + HEAD_SLICE_BYTES]
            self._feed(piece)
            at += len(piece)

    def resume_writing(self) -> None:
        super().resume_writing()
        self._stall.end()

    # What the server calls

    def sweep(self, seconds: float) -> None:
        """Let go whom we waited for long enough; so many seconds have passed since the last time."""
        if self._stall.is_stuck(self.transport, seconds, is_paused=self.flow.write_paused):
            self.transport.abort()
        elif not (self.transport.is_closing() or self.flow.read_paused):
            self._wait(seconds)

    # What the parser calls

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._began = True
        self._reads = "head"
        self._header_bytes = self._read_bytes = 0

    def on_url(self, url: bytes) -> None:
        if len(self.url) + len(url) > TARGET_BYTES_MAX:
            self._stop(TARGET_TOO_LONG)
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._reads == "body":
            return  # a trailer: the request was judged without it (RFC 9110 6.5.1)
        self._header_bytes += len(name) + len(value) + HEADER_OVERHEAD_BYTES
        if self._header_bytes > HEAD_BYTES_MAX or len(self.headers) >= HEADERS_MAX:
            self._stop(HEAD_TOO_LARGE)
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        hosts = [value for name, value in self.headers if name == b"host"]
        is_hostless = not hosts and self.parser.get_http_version() == "1.0"
        if not is_hostless and (len(hosts) != 1 or HOST.fullmatch(hosts[0]) is None):
            self._stop(NO_HOST)
        if len(self.pipeline) >= PIPELINED_MAX:
            self._stop(TOO_MANY_AT_ONCE)
        if self._is_busy and self.parser.should_upgrade():
            self._stop(MALFORMED)  # the connection cannot become another while an answer is due on it
        super().on_headers_complete()
        self._reads = "body"
        self._read_bytes = self._body_bytes = self._silent_bytes = 0
        self._waited_seconds = self._idle_seconds = 0.0

    def on_body(self, body: bytes) -> None:
        self._body_bytes += len(body)
        self._silent_bytes = 0
        self._idle_seconds = 0.0
        super().on_body(body)

    def on_message_complete(self) -> None:
        super().on_message_complete()
        self._reads = "nothing"
        self._waited_seconds = 0.0

    # What the application's answer calls

    def on_response_complete(self) -> None:
        """Begin what waits, without uvicorn's timer: `sweep` knows how long nothing was asked."""
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        if self._reads == "nothing":
            self._waited_seconds = 0.0
        self.flow.resume_reading()
        if self.pipeline:
            self._start_asgi_task(*self.pipeline.pop())
        elif self._farewell:
            self._part()

    # Reading

    @property
    def _is_busy(self) -> bool:
        """Whether an answer is due."""
        return self.cycle is not None and not self.cycle.response_complete

    def _feed(self, piece: bytes) -> None:
        if self._reads == "nothing":
            self._reads, self._waited_seconds, self._read_bytes = "head", 0.0, 0
        before, self._began = self._reads, False
        try:
            self.parser.feed_data(piece)
        except httptools.HttpParserUpgrade:
            self._upgrade()
            return
        except httptools.HttpParserError:
            self._refuse(self._fault or MALFORMED)
            return
        # What a request has, that began in these bytes, is not known; the next ones are counted.
        if self._began or self._reads != before:
            return
        self._read_bytes += len(piece)
        if self._reads == "head" and self._read_bytes > TARGET_BYTES_MAX + HEAD_BYTES_MAX:
            self._refuse(HEAD_TOO_LARGE)
        elif self._reads == "body":
            self._count_body(len(piece))

    def _count_body(self, size: int) -> None:
        """Bound what stands around chunks, and what is sent on although it was answered."""
        self._silent_bytes += size
        overhead = self._read_bytes - self._body_bytes
        if overhead > BODY_OVERHEAD_BYTES_MAX + self._body_bytes or self._silent_bytes > BODY_OVERHEAD_BYTES_MAX + size:
            self._refuse(MALFORMED)
        elif not self._is_busy and self._read_bytes > LINGER_BYTES:
            self.transport.abort()

    def _stop(self, fault: Problem) -> None:
        self._fault = fault
        raise _FaultyRequest

    def _upgrade(self) -> None:
        if self._should_upgrade():
            self.handle_websocket_upgrade()
            return
        # Another protocol is not spoken: this request is answered, and what follows is nobody knows what.
        self.cycle.keep_alive = False
        self._is_deaf = True

    def handle_websocket_upgrade(self) -> None:
        """Hand the connection over; its place goes with it."""
        self.connections.discard(self)
        self._is_deaf = True
        lines = [b" ".join((self.scope["method"].encode(), self.url, b"HTTP/1.1"))]
        lines += [b": ".join(header) for header in self.scope["headers"]]
        socket = HansardProtocol(self.config, self.server_state, self.app_state, slot=self._slot)
        socket.connection_made(self.transport)
        socket.data_received(b"\r\n".join(lines) + b"\r\n\r\n")
        self.transport.set_protocol(socket)

    # Waiting

    def _wait(self, seconds: float) -> None:
        bounds = self._bounds
        if self._is_deaf or (self._reads == "nothing" and self._is_busy):
            self._wait_after_parting(seconds)
            return
        self._waited_seconds += seconds
        if self._reads == "head":
            if self._waited_seconds > bounds.head_seconds:
                self._refuse(TOO_SLOW)
        elif self._reads == "body":
            self._wait_for_body(seconds)
        else:
            allowed = bounds.head_seconds if self.cycle is None else bounds.keep_alive_seconds
            if self._waited_seconds > allowed and not _has_arrived(self.transport):
                self.transport.close()

    def _wait_after_parting(self, seconds: float) -> None:
        if self._has_parted:
            self._waited_seconds += seconds
            if self._waited_seconds > PARTING_SECONDS:
                self.transport.abort()

    def _wait_for_body(self, seconds: float) -> None:
        if self._is_busy and self.cycle.waiting_for_100_continue:
            self._waited_seconds = 0.0  # it does not send before we say so
            return
        self._idle_seconds += seconds
        allowed = self._bounds.body_grace_seconds + self._body_bytes / BODY_BYTES_A_SECOND_MIN
        if self._waited_seconds > allowed or self._idle_seconds > self._bounds.body_idle_seconds:
            self._refuse(TOO_SLOW)

    # Ending

    def _refuse(self, problem: Problem) -> None:
        """Understand nothing more, and say why behind the answers that are due before."""
        self._is_deaf = True
        is_head = self.parser.get_method() == b"HEAD"
        date = self.server_state.default_headers[:1]
        self._farewell = answer(problem, new_request_id(), date, is_head=is_head)
        if self._reads != "body":
            if not self._is_busy:
                self._part()
        elif self.cycle.response_complete:
            self.transport.close()
        elif self.cycle.response_started:
            self.transport.abort()  # half an answer cannot be taken back
        else:
            self._give_up_request()

    def _give_up_request(self) -> None:
        """End the request whose body is at fault."""
        queued = [entry for entry in self.pipeline if entry[0] is self.cycle]
        if queued:
            self.pipeline.remove(queued[0])
            return
        self.cycle.disconnected = True
        self.cycle.message_event.set()
        self._part()

    def _part(self) -> None:
        """Say it, and read on for a moment: to close on unread bytes would take it back (RFC 9112, 9.6)."""
        self._is_deaf = self._has_parted = True
        self._waited_seconds = 0.0
        self._read_bytes = 0
        self.transport.write(self._farewell)
        if self.transport.can_write_eof():
            self.transport.write_eof()
            self.flow.resume_reading()
        else:
            self.transport.close()

    def _forget(self, size: int) -> None:
        self._read_bytes += size
        if self._read_bytes > PARTING_BYTES_MAX:
            self.transport.abort()


def _has_arrived(transport: asyncio.Transport) -> bool:
    """Whether bytes wait to be read: then the client has asked, though a moment late."""
    waiting = select.poll()
    waiting.register(transport.get_extra_info("socket").fileno(), select.POLLIN)
    return bool(waiting.poll(0))
