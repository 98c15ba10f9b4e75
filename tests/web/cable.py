"""A cable between a browser and a gateway, which a test pulls and plugs in again."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from tests.ports import free_port

CHUNK_BYTES = 65_536


class Cable:
    """A port that leads to another one, unless the cable is pulled; then what was connected is cut."""

    def __init__(self, target: int) -> None:
        self._target = target
        self.port = free_port()
        self.base = f"http://127.0.0.1:{self.port}"
        self._is_pulled = False
        self._ends: set[asyncio.StreamWriter] = set()

    async def connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._is_pulled:
            return writer.close()
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._target)
        ends = {writer, far_writer}
        self._ends |= ends
        if self._is_pulled:  # it was, while the other end was connected to
            self.pull()
        await asyncio.gather(self._carry(reader, far_writer), self._carry(far_reader, writer))
        for end in ends:
            with suppress(OSError):
                await end.wait_closed()
        self._ends -= ends
        return None

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while chunk := await reader.read(CHUNK_BYTES):
                writer.write(chunk)
                await writer.drain()
        writer.close()

    def pull(self) -> None:
        self._is_pulled = True
        for end in self._ends:
            end.transport.abort()

    async def end(self) -> None:
        """Cut what is connected still, and leave nothing open."""
        self.pull()
        for end in tuple(self._ends):
            with suppress(OSError):
                await end.wait_closed()

    def plug_in(self) -> None:
        self._is_pulled = False


@asynccontextmanager
async def cable(target: int) -> AsyncIterator[Cable]:
    made = Cable(target)
    server = await asyncio.start_server(made.connect, "127.0.0.1", made.port)
    try:
        yield made
    finally:
        server.close()
        await made.end()
