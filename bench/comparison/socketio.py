"""Socket.IO with its Redis adapter as a peer, where it is installed: it keeps nothing, and is the mark of what fan-out can cost.

    npm install --prefix .bench socket.io@4 @socket.io/redis-adapter@8 redis@6

It knows no accounts and has no pages, so it runs S1 to S4, and its checker has nothing to read: what was not delivered shows.
"""

import asyncio
import os
import shutil
import signal
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Self
from urllib.parse import unquote, urlsplit
from uuid import uuid4

from bench.comparison.machine import pinned
from bench.comparison.peer import NotComparableError, PageRequest
from bench.comparison.servers import Servers
from bench.comparison.talk import MARK, Line, Talk
from bench.deployment import free_port
from bench.load import Socket
from runtime.embedded.children import tied_to_parent

ROOT = Path(__file__).parents[2]
MODULES = ROOT / ".bench" / "node_modules"
SERVER = Path(__file__).with_name("socketio_server.cjs")
START_SECONDS = 30
JOIN_SECONDS = 30


class SocketIo:
    """One process of Node."""

    name = "socketio"
    has_pages = False
    label = "Socket.IO with its Redis adapter (keeps nothing)"

    def __init__(self, servers: Servers) -> None:
        self._servers = servers
        self._port = free_port()

    @staticmethod
    def is_there() -> bool:
        return shutil.which("node") is not None and (MODULES / "socket.io").exists()

    async def __aenter__(self) -> Self:
        environment = {
            "PATH": os.environ["PATH"],
            "NODE_PATH": str(MODULES),
            "SOCKETIO_PORT": str(self._port),
            "SOCKETIO_REDIS": unquote(urlsplit(self._servers.redis_url).path),
        }
        with pinned(self._servers.cores.servers):
            self._process = await asyncio.create_subprocess_exec(
                "node", str(SERVER), env=environment, preexec_fn=tied_to_parent(signal.SIGTERM)
            )
        async with asyncio.timeout(START_SECONDS):
            while not await self._answers():
                await asyncio.sleep(0.1)
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._process.returncode is None:
            self._process.terminate()
        await self._process.wait()

    async def _answers(self) -> bool:
        if self._process.returncode is not None:
            raise RuntimeError(f"Socket.IO ended with {self._process.returncode}")
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", self._port)
        except OSError:
            return False
        writer.close()
        return True

    def processes(self) -> list[int]:
        return [self._process.pid, *self._servers.processes]

    async def gather(self, count: int) -> None:
        """Do nothing: it knows nobody."""

    async def open_room(self, members: Sequence[int]) -> str:
        return uuid4().hex

    async def line(self, talk: Talk, person: int, room: str, *, is_kept: bool) -> Line:
        line = SocketIoLine(talk, len(talk.lines), room)
        talk.lines.append(line)
        await line.open(self._port)
        return line

    async def fill(self, person: int, room: str, count: int) -> Talk:
        raise NotComparableError("Socket.IO keeps nothing.")

    def page(self, person: int, room: str) -> PageRequest:
        raise NotComparableError("Socket.IO keeps nothing.")

    async def check(self, talk: Talk, rooms: Sequence[str]) -> list[str]:
        return []

    async def check_access(self, room: str) -> list[str]:
        return []


class SocketIoLine:
    """A socket of Socket.IO (Engine.IO 4): packets are texts that begin with their kind."""

    def __init__(self, talk: Talk, number: int, room: str) -> None:
        self._talk = talk
        self._number = number
        self._room = room
        self._joined = asyncio.get_running_loop().create_future()

    async def open(self, port: int) -> None:
        path = "/socket.io/?EIO=4&transport=websocket"
        self._socket = await Socket.open("127.0.0.1", port, path, "none", self._heard)
        self._socket.send(b"40")  # connect; the server's own first packet may have come already
        async with asyncio.timeout(JOIN_SECONDS):
            await self._joined

    def say(self, text: str) -> None:
        self._socket.send(f'42["message",{{"room":"{self._room}","body":"{text}"}}]'.encode())

    def close(self) -> None:
        self._socket.close()

    def _heard(self, packet: bytes) -> None:
        if packet.startswith(b'42["message"'):
            if self._talk.hear(self._number, packet, is_kept=False) == self._number:
                mark = MARK.search(packet)
                assert mark is not None, "it was found a moment ago"
                self._talk.acknowledge(self._number, time.perf_counter_ns() - int(mark[3]))
        elif packet == b"2":
            self._socket.send(b"3")  # to a ping
        elif packet.startswith(b"40"):
            self._socket.send(f'420["join","{self._room}"]'.encode())
        elif packet.startswith(b"430") and not self._joined.done():
            self._joined.set_result(None)
