"""Outbox: the frames that wait for one socket, and how they go out.

Frames of one turn of the event loop go out in one write (`OutboxWriter`). An outbox is bounded: what no
longer fits is read from the record later (`gateway/realtime/replay.py`).
"""

import asyncio
from collections.abc import Callable, Coroutine
from time import perf_counter
from typing import Any, Protocol

from adapters.prometheus.gateway import HubMetrics
from domain.bounds import WRITE_STALL_SECONDS

OUTBOX_FRAMES_MAX = 256
OUTBOX_BYTES_MAX = 1024 * 1024
EPHEMERA_WAITING_FRAMES_MAX = 128


class Transport(Protocol):
    """The outgoing side of a socket (`gateway.server.transport.WebSocketTransport`)."""

    def write(self, frames: bytes) -> None: ...
    @property
    def is_paused(self) -> bool: ...
    @property
    def buffered_bytes(self) -> int: ...
    async def drained(self) -> None: ...
    def close(self, code: int, reason: str) -> None: ...


class Outbox:
    """One socket's. All frames are whole (`gateway/protocol/framing.py`)."""

    def __init__(self, transport: Transport, *, write_soon: Callable[["Outbox"], None]) -> None:
        """`write_soon` is called when the first frame waits, and has `flush` called soon."""
        self.is_closed = False
        self._transport = transport
        self._write_soon = write_soon
        self._waiting: list[bytes] = []
        self._waiting_bytes = 0
        self._stalled_since: float | None = None
        self._stalled_bytes = 0

    @property
    def is_full(self) -> bool:
        """Whether no more may be queued of what can be read from the record instead."""
        return len(self._waiting) >= OUTBOX_FRAMES_MAX or self._waiting_bytes >= OUTBOX_BYTES_MAX

    @property
    def is_overfull(self) -> bool:
        """Whether not even what cannot be read from the record may be queued."""
        return len(self._waiting) >= 4 * OUTBOX_FRAMES_MAX or self._waiting_bytes >= 2 * OUTBOX_BYTES_MAX

    def push(self, frame: bytes) -> None:
        """Queue a frame. Do nothing if the outbox is closed."""
        if self.is_closed:
            return
        if not self._waiting:
            self._write_soon(self)
        self._waiting.append(frame)
        self._waiting_bytes += len(frame)

    def push_ephemeral(self, frame: bytes) -> bool:
        """Queue a frame that may be dropped. Return False if it was, because the client is behind."""
        if self._transport.is_paused or len(self._waiting) >= EPHEMERA_WAITING_FRAMES_MAX:
            return False
        self.push(frame)
        return True

    def flush(self) -> bool:
        """Write what waits. Return False if the client does not read, and nothing was written."""
        if self._transport.is_paused:
            return False
        self._write_waiting()
        return True

    async def drained(self) -> None:
        """Wait until everything queued is written and the client reads."""
        while self._waiting or self._transport.is_paused:
            await self._transport.drained()
            self.flush()

    def close(self, code: int, reason: str) -> None:
        """Write what waits and then the close frame. Nothing is queued any more."""
        self.is_closed = True
        self._write_waiting()
        self._transport.close(code, reason)

    def discard(self) -> None:
        """Queue nothing any more: the socket is gone."""
        self.is_closed = True

    def has_stalled(self, now: float) -> bool:
        """Return whether the client has read nothing for `WRITE_STALL_SECONDS`."""
        if not self._transport.is_paused:
            self._stalled_since = None
            return False
        buffered = self._transport.buffered_bytes
        if self._stalled_since is None or buffered < self._stalled_bytes:
            self._stalled_since = now
        self._stalled_bytes = buffered
        return now - self._stalled_since > WRITE_STALL_SECONDS

    def _write_waiting(self) -> None:
        if self._waiting:
            self._transport.write(b"".join(self._waiting))
        self._waiting.clear()
        self._waiting_bytes = 0


class OutboxWriter:
    """Writes, at the end of a turn of the loop, every outbox that got a frame in it."""

    def __init__(self, *, start: Callable[[Coroutine[Any, Any, None]], None], metrics: HubMetrics) -> None:
        """`start` runs the wait for a client that does not read just now."""
        self._start = start
        self._seconds = metrics.fan_out_seconds
        self._dirty: list[Outbox] = []
        self._dirty_since = 0.0

    def write_soon(self, outbox: Outbox) -> None:
        """Have an outbox written at the end of this turn of the loop."""
        if not self._dirty:
            self._dirty_since = perf_counter()
            asyncio.get_running_loop().call_soon(self._write_all)
        self._dirty.append(outbox)

    def _write_all(self) -> None:
        dirty, began, self._dirty = self._dirty, self._dirty_since, []
        for outbox in dirty:
            if not outbox.flush():
                self._start(outbox.drained())
        self._seconds.observe(perf_counter() - began)
