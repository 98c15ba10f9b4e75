"""Receivers of syslog for tests, which read as RFC 5424 and RFC 6587 say, and the record that is forwarded to them."""

import asyncio
import os
import re
import ssl
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from tests.deployments import SECRET, as_login

# RFC 5424 6: PRI, version, time, host, application, process, message id, structured data, and a message.
HEAD = re.compile(
    r"<(?P<priority>\d{1,3})>1 (?P<at>\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z) (?P<host>[!-~]{1,255}) (?P<app>[!-~]{1,48}) "
    r"(?P<process>[!-~]{1,128}) (?P<id>[!-~]{1,32}) "
)
ELEMENT = re.compile(
    r"\[(?P<id>[!#-<>-\\^-~]{1,32})(?P<parameters>(?: [!#-<>-\\^-~]{1,32}=\"(?:[^\"\\\]]|\\[\"\\\]])*\")*)\]"
)
PARAMETER = re.compile(r" (?P<name>[!#-<>-\\^-~]{1,32})=\"(?P<value>(?:[^\"\\\]]|\\[\"\\\]])*)\"")


class Message(NamedTuple):
    priority: int
    at: datetime
    host: str
    id: str
    data: dict[str, dict[str, str]]
    said: bytes


def read(raw: bytes) -> Message:
    """Return what a message says; fails where it is none."""
    text = raw.decode()
    head = HEAD.match(text)
    assert head, text
    at, data = head.end(), {}
    while element := ELEMENT.match(text, at):
        found = {
            one["name"]: re.sub(r"\\(.)", r"\1", one["value"]) for one in PARAMETER.finditer(element["parameters"])
        }
        data[element["id"]] = found
        at = element.end()
    assert data and text[at] == " ", text
    said = text[at + 1 :].encode()
    assert said.isascii() or said.startswith(b"\xef\xbb\xbf"), "UTF-8 says so"
    return Message(
        int(head["priority"]), datetime.fromisoformat(head["at"]), head["host"], head["id"], data,
        said.removeprefix(b"\xef\xbb\xbf"),
    )  # fmt: skip


class Receiver:
    """Takes messages over TCP or TLS. `cuts`: after how many messages each of the first
    connections ends, as if the receiver died."""

    def __init__(self) -> None:
        self.port = 0
        self.messages: list[Message] = []
        self.connections: list[list[int]] = []
        self.cuts: list[int] = []
        self.came = asyncio.Condition()
        self._tasks: set[asyncio.Task[None] | None] = set()

    @property
    def positions(self) -> list[int]:
        return [int(message.data["hansard@32473"]["position"]) for message in self.messages]

    async def has(self, position: int, *, seconds: float = 60.0) -> None:
        """Wait until this position has come."""
        async with asyncio.timeout(seconds), self.came:
            await self.came.wait_for(lambda: position in self.positions)

    async def take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._tasks.add(asyncio.current_task())
        heard: list[int] = []
        cut = self.cuts.pop(0) if self.cuts else 0
        self.connections.append(heard)
        try:
            while True:
                size = await reader.readuntil(b" ")
                assert re.fullmatch(rb"[1-9]\d* ", size), size
                message = read(await reader.readexactly(int(size)))
                async with self.came:
                    self.messages.append(message)
                    heard.append(self.positions[-1])
                    self.came.notify_all()
                if cut and len(heard) >= cut:
                    writer.transport.abort()
                    return
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()


@asynccontextmanager
async def receiver(context: ssl.SSLContext | None = None) -> AsyncIterator[Receiver]:
    made = Receiver()
    server = await asyncio.start_server(made.take, "127.0.0.1", 0, ssl=context)
    made.port = server.sockets[0].getsockname()[1]
    try:
        yield made
    finally:
        server.close()
        for task in made._tasks:
            if task is not None:
                task.cancel()


async def forwarder(
    database_url: str, folder: Path, words: Sequence[str], **environment: str
) -> asyncio.subprocess.Process:
    """Start `hansard audit forward` with these arguments."""
    key = folder / "master.key"
    if not key.exists():
        key.write_text(SECRET.hex())
        key.chmod(0o600)
    given = {
        **{name: value for name, value in os.environ.items() if not name.startswith("HANSARD_")},
        "HANSARD_HOME": str(folder / "home"), "HANSARD_DATABASE_URL": as_login(database_url, "operator"),
        "HANSARD_MASTER_KEY_FILE": str(key), **environment,
    }  # fmt: skip
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "runtime.cli", "audit", "forward", "--reason", "the archive of the law", *words),
        env=given, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
