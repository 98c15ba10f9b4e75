"""HTTP/1.1: uvicorn's protocol with bounds. Whatever any client sends is bounded in size and in time.

uvicorn with httptools bounds neither a head nor the time it takes, adds trailers to the headers of a request that runs
already, and writes "400" into the middle of the answer before. Here:

- a request's address, its headers, and what stands around its chunks are bounded before they are gathered;
- a head, a body and the pause between two requests have so many seconds, counted only while we read
  (`gateway/server/request_progress.py`);
- a client that does not read its answer is dropped (`gateway/server/stalls.py`);
- a refusal is written after the answers that are due before it, and then the connection ends.

No timer runs for a connection: the server sweeps all of them twice a second (`sweep`).
"""

import asyncio
import re
import select
from typing import Any

import httptools
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

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
from gateway.server.joined_writes import JoinedWrites
from gateway.server.request_progress import TARGET_BYTES_MAX, RequestProgress
from gateway.server.stalls import Stall
from gateway.server.websocket import WebSocketProtocol

HEADERS_MAX = 100
HEAD_SLICE_BYTES = 4 * 1024
PIPELINED_MAX = 64
PARTING_BYTES_MAX = 1024 * 1024
PARTING_SECONDS = 2.0  # of a connection that was refused: its answer is to arrive
LINGER_BYTES = 64 * 1024**2

# RFC 3986 3.2.2 and 3.2.3, without the comma: two hosts joined into one header are not one host.
HOST = re.compile(rb"(?:\[[0-9A-Za-z:.%_~-]+\]|[0-9A-Za-z._~!$&'()*+;=%-]+)(?::[0-9]{0,5})?")


class _RequestRefusedError(Exception):
    """Ends the parsing of a request from within a callback of the parser."""


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
        self._stall = Stall(bounds.write_stall_seconds)
        self._progress = RequestProgress(bounds)
        self._fault: Problem | None = None
        self._farewell = b""  # the last answer, after which the connection ends
        self._is_ignored = False  # nothing more of what comes is parsed
        self._has_parted = False
        self._ignored_bytes = 0
        self._parting_seconds = 0.0

    # What the transport calls

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.transport = self._joined = JoinedWrites(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self._slot.release()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._is_ignored:
            self._ignore(len(data))
            return
        # The parser gathers a head until it is complete, so it gets no more at a time than a slice.
        at, size = 0, len(data)
        while at < size and not self._is_ignored:
            piece = data[at:] if self._progress.phase == "body" else data[at : at + HEAD_SLICE_BYTES]
            self._parse(piece)
            at += len(piece)

    def resume_writing(self) -> None:
        super().resume_writing()
        self._stall.end()

    # What the server calls

    def sweep(self, seconds: float) -> None:
        """Drop a client that took too long; `seconds` have passed since the last call."""
        if self._stall.is_stuck(self.transport, seconds, is_paused=self.flow.write_paused):
            self.transport.abort()
        elif not (self.transport.is_closing() or self.flow.read_paused):
            self._wait(seconds)

    # What the parser calls

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._progress.begin_head()

    def on_url(self, url: bytes) -> None:
        if len(self.url) + len(url) > TARGET_BYTES_MAX:
            self._stop(TARGET_TOO_LONG)
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._progress.phase == "body":
            return  # a trailer: the request was judged without it (RFC 9110 6.5.1)
        if not self._progress.add_header(name, value) or len(self.headers) >= HEADERS_MAX:
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
        self._progress.begin_body()

    def on_body(self, body: bytes) -> None:
        self._progress.add_body(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        super().on_message_complete()
        self._progress.end()

    # What the application's answer calls

    def on_response_complete(self) -> None:
        """Begin the next request that waits. uvicorn's timer is not started: `sweep` knows how long nothing was asked."""
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        if self._progress.phase == "idle":
            self._progress.restart_waiting()
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

    def _parse(self, piece: bytes) -> None:
        progress = self._progress
        progress.begin_parsing()
        try:
            self.parser.feed_data(piece)
        except httptools.HttpParserUpgrade:
            self._upgrade()
            return
        except httptools.HttpParserError:
            self._refuse(self._fault or MALFORMED)
            return
        if not progress.end_parsing(len(piece)):
            return
        if progress.is_head_too_large:
            self._refuse(HEAD_TOO_LARGE)
        elif progress.phase == "body":
            self._bound_body(len(piece))

    def _bound_body(self, size: int) -> None:
        """Bound what stands around chunks, and what is still sent of a request that was answered."""
        if self._progress.has_too_much_overhead(size):
            self._refuse(MALFORMED)
        elif not self._is_busy and self._progress.read_bytes > LINGER_BYTES:
            self.transport.abort()

    def _stop(self, fault: Problem) -> None:
        self._fault = fault
        raise _RequestRefusedError

    def _upgrade(self) -> None:
        if self._should_upgrade():
            self.handle_websocket_upgrade()
            return
        # Other protocols are not spoken here: this request is answered, and nothing after it is understood.
        self.cycle.keep_alive = False
        self._is_ignored = True

    def handle_websocket_upgrade(self) -> None:
        """Hand the connection over, together with its slot."""
        self.connections.discard(self)
        self._is_ignored = True
        lines = [b" ".join((self.scope["method"].encode(), self.url, b"HTTP/1.1"))]
        lines += [b": ".join(header) for header in self.scope["headers"]]
        socket = WebSocketProtocol(self.config, self.server_state, self.app_state, slot=self._slot)
        self._joined.flush()
        transport = self._joined.below
        socket.connection_made(transport)
        socket.data_received(b"\r\n".join(lines) + b"\r\n\r\n")
        transport.set_protocol(socket)

    # Waiting

    def _wait(self, seconds: float) -> None:
        progress = self._progress
        if self._is_ignored or (progress.phase == "idle" and self._is_busy):
            self._wait_after_parting(seconds)
        elif progress.phase == "head":
            if progress.is_head_late(seconds):
                self._refuse(TOO_SLOW)
        elif progress.phase == "body":
            self._wait_for_body(seconds)
        elif progress.is_idle_too_long(seconds, is_first=self.cycle is None) and not _has_arrived(self.transport):
            self.transport.close()

    def _wait_after_parting(self, seconds: float) -> None:
        if self._has_parted:
            self._parting_seconds += seconds
            if self._parting_seconds > PARTING_SECONDS:
                self.transport.abort()

    def _wait_for_body(self, seconds: float) -> None:
        if self._is_busy and self.cycle.waiting_for_100_continue:
            self._progress.restart_waiting()  # the client does not send before we say so
        elif self._progress.is_body_late(seconds):
            self._refuse(TOO_SLOW)

    # Ending

    def _refuse(self, problem: Problem) -> None:
        """Parse nothing more, and answer with a problem after the answers that are due before it."""
        self._is_ignored = True
        is_head = self.parser.get_method() == b"HEAD"
        date = self.server_state.default_headers[:1]
        self._farewell = answer(problem, new_request_id(), date, is_head=is_head)
        if self._progress.phase != "body":
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
        """Write the last answer, and read on for a moment: closing on unread bytes would take it back (RFC 9112, 9.6)."""
        self._is_ignored = self._has_parted = True
        self._parting_seconds = 0.0
        self._ignored_bytes = 0
        self.transport.write(self._farewell)
        if self.transport.can_write_eof():
            self.transport.write_eof()
            self.flow.resume_reading()
        else:
            self.transport.close()

    def _ignore(self, size: int) -> None:
        self._ignored_bytes += size
        if self._ignored_bytes > PARTING_BYTES_MAX:
            self.transport.abort()


def _has_arrived(transport: asyncio.Transport) -> bool:
    """Return whether bytes wait to be read: then the client has asked, though a moment late."""
    waiting = select.poll()
    waiting.register(transport.get_extra_info("socket").fileno(), select.POLLIN)
    return bool(waiting.poll(0))
