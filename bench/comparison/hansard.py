"""Hansard as a peer: `hansard up` on the given Postgres and Redis, spoken to by its public contract alone.

A send counts when its `reply` came: it is on the disk then. What was told is held against the record by the checker of the
chaos tests (`tests/chaos/checker.py`).
"""

import asyncio
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Self
from uuid import uuid4

import httpx
from hansard_client import Client

from bench.comparison.machine import pinned
from bench.comparison.peer import PageRequest
from bench.comparison.record_check import Checked, read_record
from bench.comparison.servers import Servers
from bench.comparison.talk import TEXTS, Line, Talk
from bench.deployment import Deployment
from bench.load import Socket, somebody

LIVE_SECONDS = 30.0
FILL_WINDOW = 512
AT_ONCE = 4


class Hansard:
    """A deployment with all its processes. Passwords are hashed cheaply: hashing is not what is compared."""

    name = "hansard"
    has_pages = True
    label = "Hansard"

    def __init__(
        self, servers: Servers, environment: dict[str, str], checkout: Path | None = None, *, name: str = "hansard"
    ) -> None:
        """`checkout`: a folder with another state of Hansard, to be compared with this one, on a database of its own."""
        self._servers = servers
        self._more = environment
        self._checkout = checkout
        self.name = name if checkout is None else checkout.resolve().name
        self._people: list[Client] = []
        self._ids: list[str] = []
        self._tokens: list[str] = []
        self._tag = uuid4().hex[:8]
        self._port = 0

    async def __aenter__(self) -> Self:
        self._deployment = Deployment(checkout=self._checkout)
        self._url = await self._servers.another_database(self.name)
        self._deployment.environment |= {
            "HANSARD_HOME": str(self._servers.folder(self.name)),  # the notary's memory is there, and outlives a run
            "HANSARD_DATABASE_URL": self._url,
            "HANSARD_REDIS_URL": self._servers.redis_url,
            "HANSARD_MASTER_KEY_FILE": str(self._servers.master_key),
            "HANSARD_ARGON2_MEMORY_KIB": "8192",
            "HANSARD_ARGON2_TIME": "1",
            **self._more,
        }
        if self._port:
            self._deployment.move_to(self._port)  # where the clients of earlier runs know it
        self._port = self._deployment.port
        with pinned(self._servers.cores.servers):
            await self._deployment.__aenter__()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._deployment.__aexit__()

    def processes(self) -> list[int]:
        return [self._deployment.pid, *self._servers.processes]

    async def gather(self, count: int) -> None:
        """Register, a few at once; the last of them is a stranger to every room."""
        missing = range(len(self._people), count + 1)
        for first in range(0, len(missing), AT_ONCE):
            numbers = missing[first : first + AT_ONCE]
            self._people += await asyncio.gather(
                *(somebody(self._deployment.base, f"{self._tag}-{number}") for number in numbers)
            )
        for person in self._people[len(self._ids) :]:
            self._ids.append((await person.me()).id)
        self._tokens = [await person.token() for person in self._people]

    async def open_room(self, members: Sequence[int]) -> str:
        owner, *others = members
        room = await self._people[owner].open_room("A room", is_private=True)
        for other in others:
            await self._people[owner].put_member(room.id, self._ids[other])
        return room.id

    async def line(self, talk: Talk, person: int, room: str, *, is_kept: bool) -> Line:
        line = HansardLine(talk, len(talk.lines), self._ids[person], room, is_kept=is_kept)
        talk.lines.append(line)
        await line.open(self._port, self._tokens[person])
        return line

    async def fill(self, person: int, room: str, count: int) -> Talk:
        """Send over one socket, many at once."""
        talk = Talk()
        line = HansardLine(talk, 0, self._ids[person], room, is_kept=False)
        talk.lines.append(line)
        await line.open(self._port, self._tokens[person])
        while talk.accepted < count:
            for _ in range(min(FILL_WINDOW - (talk.said - talk.accepted), count - talk.said)):
                talk.say(0)
            await asyncio.sleep(0.005)
        line.close()
        return talk

    def page(self, person: int, room: str) -> PageRequest:
        head = f"GET /api/v1/rooms/{room}/messages?limit=50 HTTP/1.1\r\nHost: bench\r\n"
        return PageRequest(self._port, f"{head}Authorization: Bearer {self._tokens[person]}\r\n\r\n".encode())

    async def check(self, talk: Talk, rooms: Sequence[str]) -> list[str]:
        record = await read_record(self._url, self._servers.master_key, rooms)
        lines = [line for line in talk.lines if isinstance(line, HansardLine)]
        checked = Checked(record)
        for line in lines:
            checked.hears(line.user_id, line.room, is_kept=line.is_kept)
        return await asyncio.to_thread(checked.findings, talk.journal)

    async def check_access(self, room: str) -> list[str]:
        token, found, path = self._tokens[-1], [], f"/api/v1/rooms/{room}/messages"
        headers = {"Authorization": f"Bearer {token}"}
        async with httpx.AsyncClient(base_url=self._deployment.base, headers=headers) as http:
            page, post = await http.get(path), await http.post(path, json={"content": TEXTS[0]})
        for what, answer in (("page", page), ("post", post)):
            if answer.status_code not in (403, 404):
                found.append(f"a stranger's {what} was answered {answer.status_code}")
        line = await Socket.open("127.0.0.1", self._port, f"/api/v1/ws/{room}", token, None)
        try:
            async with asyncio.timeout(LIVE_SECONDS):
                await line.closed
        except TimeoutError:
            found.append("a stranger's socket stayed open")
        return found


class HansardLine:
    """A socket that hears one room."""

    def __init__(self, talk: Talk, number: int, user_id: str, room: str, *, is_kept: bool) -> None:
        self.user_id = user_id
        self.room = room
        self.is_kept = is_kept
        self._talk = talk
        self._number = number
        self._waiting: dict[bytes, int] = {}
        self._live = asyncio.get_running_loop().create_future()
        self._head = f'"type":"send","room_id":"{room}","content":"'

    async def open(self, port: int, token: str) -> None:
        self._socket = await Socket.open("127.0.0.1", port, f"/api/v1/ws/{self.room}", token, self._heard)
        async with asyncio.timeout(LIVE_SECONDS):
            await self._live

    def say(self, text: str) -> None:
        number = text[1 : text.index(")")].split(".")[1]
        self._waiting[number.encode()] = time.perf_counter_ns()
        self._socket.send(f'{{"id":{number},{self._head}{text}"}}'.encode())

    def close(self) -> None:
        self._socket.close()

    def _heard(self, payload: bytes) -> None:
        if payload.startswith(b'{"type":"reply"'):
            self._replied(payload)
        elif payload.startswith(b'{"type":"live"'):
            if self.is_kept:
                self._talk.note(self._number, payload)
            if not self._live.done():
                self._live.set_result(None)
        else:
            self._talk.hear(self._number, payload, is_kept=self.is_kept)

    def _replied(self, payload: bytes) -> None:
        said_at = self._waiting.pop(payload.split(b'"id":', 1)[1].split(b",", 1)[0].rstrip(b"}"), None)
        if said_at is None:
            return  # to the opening of the room
        if b'"ok":true' not in payload:
            raise RuntimeError(payload.decode())
        self._talk.note(self._number, payload)
        self._talk.acknowledge(self._number, time.perf_counter_ns() - said_at)
