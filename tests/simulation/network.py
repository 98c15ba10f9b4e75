"""The network between clients and gateways: in order, late, cut at any byte boundary of frames, and slow to be read.

A `Line` is one socket: to the gateway it is what ASGI and `gateway.server.transport` give it, to the client a wire of the client
library.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any

from hansard_client.errors import Closed, Refused

from domain.quotas import Quota
from gateway.server.transport import EXTENSION
from tests.simulation.weather import Process, Weather

HIGH_WATER_BYTES = 4_000
LOW_WATER_BYTES = 1_000
CLOSE_SECONDS = 10.0


class Line:
    """One socket, from the handshake to the close. It breaks when its gateway is killed, or by itself (`cut`)."""

    def __init__(self, gateway: Process, token: str, weather: Weather, *, path_room: Any = None) -> None:
        self.room_id = path_room
        self.heard_at = 0.0
        self._gateway = gateway
        self._weather = weather
        self._inbox: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._inbox.put_nowait({"type": "websocket.connect"})
        self._frames: deque[bytes] = deque()
        self._bytes = 0
        self._changed = asyncio.Event()
        self._writable = asyncio.Event()
        self._writable.set()
        self._closed: Closed | None = None
        self._is_over = False
        self._answer: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._refused = 0
        headers = [(b"authorization", f"Bearer {token}".encode()), (b"host", b"simulated")]
        self.scope = {
            "headers": headers,
            "extensions": {EXTENSION: self},
            "client": ("192.0.2.1", 1),
            "subprotocols": [],
            "state": {"request_id": "simulated"},  # the door's to give
        }

    # What the gateway sees: ASGI

    async def receive(self) -> dict[str, Any]:
        return await self._inbox.get()

    async def asgi_send(self, message: dict[str, Any]) -> None:
        if message["type"] == "websocket.http.response.start":
            self._refused = message["status"]
        if not self._answer.done():
            self._answer.set_result(None)

    # What the gateway sees: the transport

    def write(self, frames: bytes) -> None:
        if self._is_over:
            return
        while frames:
            payload, frames = _unframed(frames)
            self._frames.append(payload)
            self._bytes += len(payload)
        if self._bytes > HIGH_WATER_BYTES:
            self._writable.clear()
        self._changed.set()

    @property
    def is_paused(self) -> bool:
        return not self._writable.is_set()

    @property
    def buffered_bytes(self) -> int:
        return self._bytes

    async def drained(self) -> None:
        await self._writable.wait()

    def limit(self, frames: Quota | None) -> None:
        """Nothing: nobody floods here."""

    def takes(self, units: int) -> bool:
        return True

    def close(self, code: int, reason: str) -> None:
        """The gateway's close frame, behind what was written; who does not read is cut off after a while."""
        self._end(Closed(code, reason))
        asyncio.get_running_loop().call_later(CLOSE_SECONDS, self.cut)

    # What the client sees: the wire

    async def opened(self) -> None:
        """Wait for the gateway's answer. Raises `Closed` or `DomainError`."""
        try:
            async with asyncio.timeout(10):
                await asyncio.shield(self._answer)
        except TimeoutError:
            self.cut()
            raise Closed(None, "nobody answers") from None
        if self._refused:
            self.cut()
        if self._refused == 401:
            raise Closed(4401, "refused")
        if self._refused in (403, 404):
            raise Refused("refused", self._refused, "refused")
        if self._refused:
            raise Closed(None, f"refused with {self._refused}")

    async def send(self, text: str) -> None:
        await asyncio.sleep(self._weather.chance.choice((0.0, 0.001, 0.01)))
        if self._is_over:
            raise self._closed or Closed(None, "it was cut")
        self._inbox.put_nowait({"type": "websocket.receive", "text": text})

    async def receive_text(self) -> str:
        while not self._frames:
            if self._closed is not None:
                raise self._closed
            self._changed.clear()
            await self._changed.wait()
        payload = self._frames.popleft()
        self._bytes -= len(payload)
        if self._bytes < LOW_WATER_BYTES:
            self._writable.set()
        self.heard_at = asyncio.get_running_loop().time()
        return payload.decode()

    def cut(self) -> None:
        """Lose the connection with whatever was on its way; both sides notice."""
        self._frames.clear()
        self._end(Closed(None, "it was cut"))
        self._writable.set()

    @property
    def is_over(self) -> bool:
        return self._is_over

    def _end(self, closed: Closed) -> None:
        if self._closed is None:
            self._closed = closed
        self._is_over = True
        self._changed.set()
        self._inbox.put_nowait({"type": "websocket.disconnect"})
        if not self._answer.done():
            self._answer.set_result(None)


class Wire:
    """A line as the client library has it."""

    def __init__(self, line: Line) -> None:
        self._line = line

    @property
    def heard_at(self) -> float:
        return asyncio.get_running_loop().time()  # pings are not simulated: a line that lives is heard

    async def send(self, text: str) -> None:
        await self._line.send(text)

    async def receive(self) -> str:
        return await self._line.receive_text()

    async def close(self) -> None:
        self._line.cut()


Live = Callable[[Line], Coroutine[Any, Any, None]]


def _unframed(frames: bytes) -> tuple[bytes, bytes]:
    """Take the first frame off: its payload, and the rest."""
    size, start = frames[1], 2
    if size == 126:
        size, start = int.from_bytes(frames[2:4], "big"), 4
    elif size == 127:
        size, start = int.from_bytes(frames[2:10], "big"), 10
    return frames[start : start + size], frames[start + size :]
