"""ejabberd as a peer, where Debian's package is installed (`apt install ejabberd`; its service need not run): rooms that archive.

It runs S1 to S4. A send's own echo is its acknowledgement, as XMPP has it; the checker asks whether the archive has what was
heard. It archives behind the echo, so the archive is waited for. Pages over XMPP are another request than a page over HTTP,
and are not compared. Accounts are anonymous, which spares it the passwords.
"""

import asyncio
import base64
import os
import shutil
import signal
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Self, cast
from urllib.parse import urlsplit
from uuid import uuid4
from xml.sax.saxutils import escape

import asyncpg

from bench.comparison.machine import pinned
from bench.comparison.peer import NotComparableError, PageRequest
from bench.comparison.servers import Servers
from bench.comparison.talk import MARK, Line, Talk
from bench.deployment import free_port
from runtime.embedded.children import tied_to_parent
from runtime.embedded.location import PORT as DATABASE_PORT

CONFIGURATION = Path(__file__).with_name("ejabberd.yml")
SCHEMA = Path("/usr/share/ejabberd/sql/pg.sql")
LIBRARIES = "/usr/lib/x86_64-linux-gnu"
START_SECONDS = 60
JOIN_SECONDS = 30
ARCHIVE_SECONDS = 10.0
SCHEDULERS = "1"  # on one core more only wait for each other
STREAM = (
    "<?xml version='1.0'?><stream:stream to='localhost' xmlns='jabber:client' "
    "xmlns:stream='http://etherx.jabber.org/streams' version='1.0'>"
)
SELECT_ARCHIVE = "SELECT txt FROM archive WHERE username = ANY ($1::text[]) AND txt IS NOT NULL"


class Ejabberd:
    """One Erlang machine."""

    name = "ejabberd"
    has_pages = False
    label = "ejabberd, archive on"

    def __init__(self, servers: Servers) -> None:
        self._servers = servers
        self._port = free_port()

    @staticmethod
    def is_there() -> bool:
        return shutil.which("erl") is not None and SCHEMA.exists()

    async def __aenter__(self) -> Self:
        url = await self._servers.another_database("ejabberd")
        self._owner = await asyncpg.connect(url)
        if await self._owner.fetchval("SELECT to_regclass('archive')") is None:
            await self._owner.execute(await asyncio.to_thread(SCHEMA.read_text))
        self._folder = tempfile.TemporaryDirectory(prefix="hansard-bench-")
        home = Path(self._folder.name)
        (home / "ejabberd.yml").write_text(self._configuration(url))
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(home),
            "ERL_LIBS": LIBRARIES,
            "ERL_CRASH_DUMP_BYTES": "0",
            "EJABBERD_CONFIG_PATH": str(home / "ejabberd.yml"),
            "EJABBERD_LOG_PATH": str(home / "ejabberd.log"),
        }
        schedulers = SCHEDULERS if len(self._servers.cores.servers) == 1 else str(len(self._servers.cores.servers))
        with pinned(self._servers.cores.servers):
            self._process = await asyncio.create_subprocess_exec(
                *("erl", "+K", "true", "+P", "250000", "+S", schedulers, "+sbwt", "none", "-noinput"),
                *("-mnesia", "dir", f'"{home / "spool"}"', "-s", "ejabberd"),
                env=environment,
                cwd=home,
                stdout=asyncio.subprocess.DEVNULL,
                stderr=asyncio.subprocess.DEVNULL,
                preexec_fn=tied_to_parent(signal.SIGTERM),
            )
        async with asyncio.timeout(START_SECONDS):
            while not await self._answers():
                await asyncio.sleep(0.1)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._owner.close()
        if self._process.returncode is None:
            self._process.terminate()
        await self._process.wait()
        self._folder.cleanup()

    def processes(self) -> list[int]:
        return [self._process.pid, *self._servers.processes]

    async def gather(self, count: int) -> None:
        """Do nothing: whoever comes is let in."""

    async def open_room(self, members: Sequence[int]) -> str:
        return f"r{uuid4().hex}@muc.localhost"  # the first who enters makes it

    async def line(self, talk: Talk, person: int, room: str, *, is_kept: bool) -> Line:
        _, line = await asyncio.get_running_loop().create_connection(
            lambda: EjabberdLine(talk, len(talk.lines), room, is_kept=is_kept), "127.0.0.1", self._port
        )
        talk.lines.append(line)
        async with asyncio.timeout(JOIN_SECONDS):
            await line.enter(person)
        return line

    async def fill(self, person: int, room: str, count: int) -> Talk:
        raise NotComparableError("ejabberd has no pages over HTTP.")

    def page(self, person: int, room: str) -> PageRequest:
        raise NotComparableError("ejabberd has no pages over HTTP.")

    async def check(self, talk: Talk, rooms: Sequence[str]) -> list[str]:
        """It promises that its archive has what was told."""
        heard = {mark[0] for noted in talk.journal if not noted.is_said and (mark := MARK.search(noted.payload))}
        deadline = time.perf_counter() + ARCHIVE_SECONDS
        while True:
            rows = await self._owner.fetch(SELECT_ARCHIVE, list(rooms))
            kept = {mark[0] for row in rows if (mark := MARK.search(row["txt"].encode()))}
            if heard <= kept or time.perf_counter() > deadline:
                return [f"{len(heard - kept)} messages that were heard are not kept"] * bool(heard - kept)
            await asyncio.sleep(0.5)

    async def check_access(self, room: str) -> list[str]:
        return []  # its rooms here are open to everybody

    def _configuration(self, url: str) -> str:
        parts = urlsplit(url)
        given = {
            "DATABASE": str(DATABASE_PORT),
            "PORT": str(self._port),
            "USER": str(parts.username),
            "PASSWORD": str(parts.password),
        }
        text = CONFIGURATION.read_text()
        for name, value in given.items():
            text = text.replace(name, value)
        return text

    async def _answers(self) -> bool:
        if self._process.returncode is not None:
            raise RuntimeError(f"ejabberd ended with {self._process.returncode}")
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", self._port)
        except OSError:
            return False
        writer.close()
        return True


class EjabberdLine(asyncio.Protocol):
    """A stream of XMPP, in one room."""

    def __init__(self, talk: Talk, number: int, room: str, *, is_kept: bool) -> None:
        self._talk = talk
        self._number = number
        self._room = room
        self._is_kept = is_kept
        self._buffer = b""
        self._awaited: tuple[bytes, asyncio.Future[bytes]] | None = None
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    async def enter(self, person: int) -> None:
        """Authenticate, and join the room under a nickname of one's own."""
        credentials = base64.b64encode(f"\0p{person}\0none".encode()).decode()
        await self._ask(STREAM, b"</stream:features>")
        await self._ask(
            f"<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>{credentials}</auth>", b"<success"
        )
        await self._ask(STREAM, b"</stream:features>")
        await self._ask(
            "<iq type='set' id='b'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'>"
            f"<resource>l{self._number}</resource></bind></iq>",
            b"</iq>",
        )
        await self._ask(
            f"<presence/><presence to='{self._room}/n{self._number}'>"
            "<x xmlns='http://jabber.org/protocol/muc'><history maxstanzas='0'/></x></presence>",
            b"status code='110'",
        )

    def say(self, text: str) -> None:
        stanza = f"<message type='groupchat' to='{self._room}'><body>{escape(text)}</body></message>"
        self._transport.write(stanza.encode())

    def close(self) -> None:
        self._transport.abort()

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        if self._awaited is not None:
            token, answer = self._awaited
            if token in self._buffer:
                self._awaited, got, self._buffer = None, self._buffer, b""
                answer.set_result(got)
            return
        *stanzas, self._buffer = self._buffer.split(b"</message>")
        for stanza in stanzas:
            if self._talk.hear(self._number, stanza, is_kept=self._is_kept) == self._number:
                mark = MARK.search(stanza)
                assert mark is not None, "it was found a moment ago"
                self._talk.acknowledge(self._number, time.perf_counter_ns() - int(mark[3]))

    def connection_lost(self, error: Exception | None) -> None:
        if self._awaited is not None and not self._awaited[1].done():
            self._awaited[1].set_exception(error or ConnectionError("ejabberd closed the stream"))

    async def _ask(self, stanza: str, token: bytes) -> bytes:
        self._awaited = (token, asyncio.get_running_loop().create_future())
        self._transport.write(stanza.encode())
        return await self._awaited[1]
