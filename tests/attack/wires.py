"""Wires: connections with nothing between an attack and the bytes, from any address of loopback.

On Linux all of 127.0.0.0/8 is this machine: whoever binds 127.0.0.2 is another address to the server.
"""

import asyncio
import base64
import json
import os
import socket
from dataclasses import dataclass, field
from typing import Any, Self

HOST = "127.0.0.1"
API = "/api/v1"
ANSWER_SECONDS = 20.0
OPEN_SECONDS = 10.0
READ_BYTES = 256 * 1024
SMALL_BUFFER_BYTES = 8 * 1024
TEXT, CONTINUATION, CLOSE, PING, PONG = 0x1, 0x0, 0x8, 0x9, 0xA
CLOSED, REFUSED, SILENT = 0, -1, -2  # statuses of what was not answered


@dataclass(frozen=True)
class Answer:
    """What came back; `status` is CLOSED, REFUSED or SILENT where there was no answer."""

    status: int
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Wire:
    """A TCP connection. It never raises for a server that closes: it says so."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self.bytes_read = 0

    @classmethod
    async def open(cls, port: int, source: str, *, small_buffer: bool = False) -> Self:
        """Raises OSError (TimeoutError among them) where there is no way in."""
        plain = socket.socket()
        if small_buffer:
            plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SMALL_BUFFER_BYTES)
        plain.setblocking(False)
        try:
            plain.bind((source, 0))
            async with asyncio.timeout(OPEN_SECONDS):
                await asyncio.get_running_loop().sock_connect(plain, (HOST, port))
                return cls(*await asyncio.open_connection(sock=plain, limit=READ_BYTES))
        except BaseException:
            plain.close()
            raise

    async def write(self, data: bytes, seconds: float = 2.0) -> bool:
        """Write; False where the server closed, or takes no more for so long."""
        if self.is_closed:
            return False
        self.writer.write(data)
        try:
            async with asyncio.timeout(seconds):
                await self.writer.drain()
        except OSError:
            return False
        return not self.is_closed

    @property
    def is_closed(self) -> bool:
        """Whether the server has said that it is over, as far as this end has heard."""
        return self.writer.is_closing() or self.reader.at_eof() or self.reader.exception() is not None

    async def read(self, seconds: float) -> bytes | None:
        """Return what comes next, b"" at the end; None where nothing comes in time."""
        try:
            async with asyncio.timeout(seconds):
                data = await self.reader.read(READ_BYTES)
        except TimeoutError:
            return None
        except OSError:
            return b""
        self.bytes_read += len(data)
        return data

    async def everything(self, seconds: float) -> bytes:
        """Read until the end, or for so long."""
        told, deadline = b"", asyncio.get_running_loop().time() + seconds
        while data := await self.read(max(0.01, deadline - asyncio.get_running_loop().time())):
            told += data
        return told

    async def ends(self, seconds: float) -> bool:
        """Read and forget what comes; whether the server closes in time."""
        try:
            async with asyncio.timeout(seconds):
                while await self.read(seconds):
                    pass
        except TimeoutError:
            return False
        return self.is_closed

    async def answer(self, seconds: float = ANSWER_SECONDS) -> Answer:
        """Read one answer of HTTP."""
        try:
            async with asyncio.timeout(seconds):
                lines = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
                headers = {k.lower(): v.strip() for k, _, v in (line.partition(":") for line in lines[1:]) if k}
                size = int(headers.get("content-length", "0"))
                return Answer(int(lines[0].split()[1]), headers, await self.reader.readexactly(size))
        except TimeoutError:
            return Answer(SILENT)
        except (OSError, EOFError, asyncio.LimitOverrunError):
            return Answer(CLOSED)

    async def ask(
        self, method: str, path: str, body: Any = None, *, token: str = "", seconds: float = ANSWER_SECONDS, **more: Any
    ) -> Answer:
        """Ask on this connection, which stays open; `body` is JSON unless it is bytes. `path` is sent as it is."""
        if not await self.write(request(method, path, body, token=token, **more)):
            return Answer(CLOSED)
        return await self.answer(seconds)

    def close(self) -> None:
        self.writer.transport.abort()


def request(method: str, path: str, body: Any = None, *, token: str = "", **more: str) -> bytes:
    """Return the bytes of a request."""
    content = b"" if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
    headers = {"Host": "attack", **{name.replace("_", "-"): value for name, value in more.items()}}
    if token:
        headers["Authorization"] = f"Bearer {token}"
    if body is not None:
        headers = {"Content-Type": "application/json", "Content-Length": str(len(content))} | headers
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"{method} {path} HTTP/1.1\r\n{lines}\r\n".encode() + content


async def ask(port: int, source: str, method: str, path: str, body: Any = None, **options: Any) -> Answer:
    """Ask once, on a connection of its own."""
    try:
        wire = await Wire.open(port, source)
    except TimeoutError:
        return Answer(SILENT)
    except OSError:
        return Answer(REFUSED)
    try:
        return await wire.ask(method, path, body, **options)
    finally:
        wire.close()


class WebSocket(Wire):
    """A socket after its handshake, frame by frame, whether or not the frames make sense."""

    @classmethod
    async def dial(
        cls, port: int, source: str, *, token: str = "", path: str = f"{API}/ws", small_buffer: bool = False
    ) -> Self:
        """Raises OSError where there is no way in, ConnectionError where the handshake is refused."""
        wire = await cls.open(port, source, small_buffer=small_buffer)
        key = base64.b64encode(os.urandom(16)).decode()
        upgrade: dict[str, Any] = {
            "Connection": "Upgrade",
            "Upgrade": "websocket",
            "Sec-WebSocket-Version": "13",
            "Sec-WebSocket-Key": key,
        }
        answer = await wire.ask("GET", path, token=token, **upgrade)
        if answer.status != 101:
            wire.close()
            raise ConnectionError(f"the handshake is answered {answer.status}")
        return wire

    async def say(self, frame: Any, seconds: float = 2.0) -> bool:
        text = frame if isinstance(frame, bytes) else json.dumps(frame).encode()
        return await self.write(frame_of(TEXT, text), seconds)

    async def frame(self, seconds: float) -> tuple[int, bytes] | None:
        """Return the next frame, opcode and payload; None at the end, or where none comes in time."""
        try:
            async with asyncio.timeout(seconds):
                first, second = await self.reader.readexactly(2)
                size = second & 0x7F
                if size > 125:
                    size = int.from_bytes(await self.reader.readexactly(2 if size == 126 else 8), "big")
                return first & 0xF, await self.reader.readexactly(size)
        except (OSError, EOFError):
            return None

    async def heard(self, seconds: float) -> list[Any]:
        """Return what is told as text until nothing comes for so long."""
        told = []
        while (frame := await self.frame(seconds)) is not None:
            if frame[0] == PING:
                await self.write(frame_of(PONG, frame[1]))
            elif frame[0] == TEXT:
                told.append(json.loads(frame[1]))
        return told


def frame_of(opcode: int, payload: bytes = b"", *, is_last: bool = True) -> bytes:
    """Return a client's frame; its mask is zero, which is valid."""
    size = len(payload)
    if size < 126:
        length = bytes((0x80 | size,))
    else:
        length = bytes((0xFE,)) + size.to_bytes(2, "big") if size < 65_536 else bytes((0xFF,)) + size.to_bytes(8, "big")
    return bytes(((0x80 if is_last else 0) | opcode,)) + length + b"\0\0\0\0" + payload
