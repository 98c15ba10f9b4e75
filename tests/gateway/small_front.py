"""The gateway's server alone, as a process on uvloop, before an application of a few lines: what is tested is the front.

`python -m tests.gateway.small_front '{"host": "::", "bounds": {…}, "descriptors": 64}'`
"""

import asyncio
import json
import resource
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import ip_network
from typing import Any

import uvloop

from gateway.edge.client_address import Proxies
from gateway.server.connections import ConnectionBounds
from gateway.server.listening import listen
from gateway.server.uvicorn_server import serve

PIECE = b"x" * 65_536
PIECES = 2_000


async def app(scope: Any, receive: Any, send: Any) -> None:
    """`/livez`, `/late` (the answer comes when a body does), `/size`, `/headers`, `/who`, `/large`, `/deaf` (reads no body)."""
    path = scope["path"]
    if path == "/large":
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for _ in range(PIECES):
            await send({"type": "http.response.body", "body": PIECE, "more_body": True})
        await send({"type": "http.response.body", "body": b""})
        return
    size, message = 0, {"more_body": path != "/deaf"}
    while message.get("more_body"):
        message = await receive()
        size += len(message.get("body", b""))
    names = json.dumps([name.decode() for name, _ in scope["headers"]])
    told = {"/headers": names.encode(), "/who": str(Proxies().client(scope)).encode()}
    said = told.get(path, str(size).encode())
    length = (b"content-length", str(len(said)).encode())
    await send({"type": "http.response.start", "status": 200, "headers": [length]})
    await send({"type": "http.response.body", "body": said})


async def main(asked: dict[str, Any]) -> None:
    if "descriptors" in asked:
        resource.setrlimit(resource.RLIMIT_NOFILE, (asked["descriptors"], asked["descriptors"]))
    proxies = Proxies([ip_network(asked["proxy"])]) if "proxy" in asked else Proxies()
    stop = asyncio.Event()
    listener = listen(asked["host"], 0)
    print(listener.getsockname()[1], flush=True)

    async def drain() -> None:
        pass

    await serve(app, listener, stop, drain=drain, bounds=ConnectionBounds(**asked["bounds"]), trusts=proxies.trusts)


class Front:
    """One such process, and what is said to it."""

    def __init__(self, port: int, process: subprocess.Popen[bytes]) -> None:
        self.port, self.process = port, process
        self._writers: list[asyncio.StreamWriter] = []

    async def connect(self, said: bytes = b"") -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        self._writers.append(writer)
        writer.write(said)
        return reader, writer

    async def told(self, said: bytes, seconds: float = 20) -> bytes:
        """Say something on a new connection, and return everything that comes until it is closed."""
        reader, _ = await self.connect(said)
        return await to_the_end(reader, seconds)

    async def livez(self) -> bytes:
        return await self.told(b"GET /livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")

    def close(self) -> None:
        for writer in self._writers:
            writer.transport.abort()
        self._writers.clear()


async def to_the_end(reader: asyncio.StreamReader, seconds: float = 20) -> bytes:
    """Return what comes until the connection ends, in whichever way."""
    told = b""
    async with asyncio.timeout(seconds):
        try:
            while piece := await reader.read(65_536):
                told += piece
        except ConnectionError:
            pass
    return told


@contextmanager
def front(
    *, host: str = "127.0.0.1", descriptors: int | None = None, proxy: str = "", **bounds: Any
) -> Iterator[Front]:
    """Run such a process for a block."""
    asked: dict[str, Any] = {"host": host, "bounds": bounds}
    asked |= {} if descriptors is None else {"descriptors": descriptors}
    asked |= {"proxy": proxy} if proxy else {}
    command = (sys.executable, "-m", "tests.gateway.small_front", json.dumps(asked))
    process = subprocess.Popen(command, stdout=subprocess.PIPE)
    assert process.stdout
    try:
        yield Front(int(process.stdout.readline()), process)
        assert process.poll() is None, "it lives"
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


if __name__ == "__main__":
    uvloop.run(main(json.loads(sys.argv[1])))
