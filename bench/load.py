"""Load: people, and a WebSocket client that costs so little that the server is what is measured.

The socket client speaks just enough of RFC 6455 for a server that does not fragment: it masks with the zero key, which
is valid, and steps over the payloads that nobody asked to read.
"""

import asyncio
import base64
import json
import os
import socket as stdlib_socket
from collections.abc import Callable
from typing import Any, Self, cast

from hansard_client import Client

SLOW_BUFFER_BYTES = 8 * 1024
PASSWORD = "correct horse battery"


async def somebody(base: str, name: str) -> Client:
    """Register and log in; answers somebody who may call everything that a person may."""
    client = Client(base)
    await client.register(f"{name}@example.com", name, PASSWORD)
    await client.login(f"{name}@example.com", PASSWORD)
    return client


class Socket(asyncio.Protocol):
    """One WebSocket. `heard` is called with each payload that is text; `count` counts all of them."""

    def __init__(
        self, path: str, token: str, heard: Callable[[bytes], None] | None, *, pause_seconds: float = 0.0
    ) -> None:
        """`pause_seconds`: how long it reads nothing after each read."""
        self.count = 0
        self._pause_seconds = pause_seconds
        self.closed = asyncio.get_running_loop().create_future()
        self.opened = asyncio.get_running_loop().create_future()
        self._heard = heard
        self._buffer = b""
        self._upgraded = False
        self._transport: asyncio.Transport
        key = base64.b64encode(os.urandom(16)).decode()
        self._request = (
            f"GET {path} HTTP/1.1\r\nHost: bench\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
            f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\nAuthorization: Bearer {token}\r\n\r\n"
        ).encode()

    @classmethod
    async def open(cls, host: str, port: int, path: str, token: str, heard: Callable[[bytes], None] | None) -> Self:
        loop = asyncio.get_running_loop()
        _, socket = await loop.create_connection(lambda: cls(path, token, heard), host, port)
        async with asyncio.timeout(30):
            await socket.opened
        return socket

    @classmethod
    async def open_slow(cls, host: str, port: int, path: str, token: str, *, pause_seconds: float) -> Self:
        """Open one that reads a few KiB at a time, and then nothing for a while."""
        loop = asyncio.get_running_loop()
        plain = stdlib_socket.socket()
        plain.setsockopt(stdlib_socket.SOL_SOCKET, stdlib_socket.SO_RCVBUF, SLOW_BUFFER_BYTES)
        plain.setblocking(False)
        await loop.sock_connect(plain, (host, port))
        _, socket = await loop.create_connection(
            lambda: cls(path, token, None, pause_seconds=pause_seconds), sock=plain
        )
        async with asyncio.timeout(30):
            await socket.opened
        return socket

    def send(self, payload: bytes) -> None:
        size = len(payload)
        if size < 126:
            head = bytes((0x81, 0x80 | size))
        else:
            head = bytes((0x81, 0x80 | 126)) + size.to_bytes(2, "big")
        self._transport.write(head + b"\0\0\0\0" + payload)

    def say(self, **frame: Any) -> None:
        self.send(json.dumps(frame, separators=(",", ":")).encode())

    def close(self) -> None:
        self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._transport.write(self._request)

    def connection_lost(self, error: Exception | None) -> None:
        for waiting in (self.opened, self.closed):
            if not waiting.done():
                waiting.set_result(None)

    def data_received(self, data: bytes) -> None:
        data = self._buffer + data if self._buffer else data
        if not self._upgraded:
            end = data.find(b"\r\n\r\n")
            if end < 0:
                self._buffer = data
                return
            if b" 101 " not in data[:32]:
                self.opened.set_exception(ConnectionError(data.decode(errors="replace")))
                return
            self._upgraded = True
            self.opened.set_result(None)
            data = data[end + 4 :]
        self._buffer = self._take_frames(data)
        if self._pause_seconds:
            self._transport.pause_reading()
            asyncio.get_running_loop().call_later(self._pause_seconds, self._read_on)

    def _read_on(self) -> None:
        if not self._transport.is_closing():
            self._transport.resume_reading()

    def _take_frames(self, data: bytes) -> bytes:
        at, size, heard = 0, len(data), self._heard
        while size - at >= 2:
            length = data[at + 1]
            start = at + 2
            if length == 126:
                if size < at + 4:
                    break
                length = data[at + 2] << 8 | data[at + 3]
                start = at + 4
            elif length == 127:
                if size < at + 10:
                    break
                length = int.from_bytes(data[at + 2 : at + 10], "big")
                start = at + 10
            end = start + length
            if end > size:
                break
            opcode = data[at] & 0x0F
            if opcode == 1:
                self.count += 1
                if heard is not None:
                    heard(data[start:end])
            elif opcode == 9:
                self._transport.write(bytes((0x8A, 0x80 | length)) + b"\0\0\0\0" + data[start:end])
            at = end
        return data[at:]
