"""The usual chat (`bench/usual_chat`) as a peer. Accounts and memberships are made by SQL: hashing is not what is compared.

Its own echo is its acknowledgement: it is published after the commit.
"""

import asyncio
import json
import secrets
import signal
import sys
import time
from collections.abc import Sequence
from importlib.util import find_spec
from typing import Self
from urllib.parse import quote

import asyncpg
import httpx
import jwt

from bench.comparison.machine import pinned
from bench.comparison.peer import PageRequest
from bench.comparison.servers import Servers
from bench.comparison.talk import MARK, TEXTS, Line, Talk
from bench.deployment import free_port
from bench.load import Socket
from runtime.embedded.children import tied_to_parent

START_SECONDS = 30
TOKEN_SECONDS = 86_400
INSERT_PEOPLE = (
    "INSERT INTO users (id, username) SELECT i, 'p' || i FROM generate_series(1, $1::int) i ON CONFLICT DO NOTHING"
)
INSERT_ROOM = "INSERT INTO rooms (name) VALUES ('A room') RETURNING id"
INSERT_MEMBERS = "INSERT INTO members (room_id, user_id) SELECT $1, unnest($2::bigint[]) ON CONFLICT DO NOTHING"
INSERT_MESSAGES = """
    INSERT INTO messages (room_id, user_id, body) SELECT $1, $2, ($4::text[])[1 + i % 3] FROM generate_series(1, $3::int) i
"""
SELECT_MESSAGES = "SELECT id, body FROM messages WHERE room_id = ANY ($1::bigint[]) ORDER BY id"


class UsualChat:
    """The usual chat, on one process of uvicorn."""

    name = "usual"
    has_pages = True
    label = "the usual chat (FastAPI, SQLAlchemy, pub/sub)"

    def __init__(self, servers: Servers) -> None:
        self._servers = servers
        self._secret = secrets.token_hex(32)
        self._people = 0
        self._port = free_port()

    @staticmethod
    def is_there() -> bool:
        return all(find_spec(name) for name in ("fastapi", "sqlalchemy", "orjson"))

    async def __aenter__(self) -> Self:
        self._url = await self._servers.another_database("usual_chat")
        environment = {
            "USUAL_CHAT_SECRET": self._secret,
            "USUAL_CHAT_DATABASE": self._url.replace("postgresql://", "postgresql+asyncpg://", 1),
            "USUAL_CHAT_REDIS": self._servers.redis_url,
        }
        with pinned(self._servers.cores.servers):
            self._process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "uvicorn", "bench.usual_chat.app:app", "--port", str(self._port)),
                *("--loop", "uvloop", "--http", "httptools", "--ws", "auto", "--backlog", "4096"),
                *("--no-access-log", "--log-level", "warning"),
                env=environment,
                preexec_fn=tied_to_parent(signal.SIGTERM),
            )
        async with asyncio.timeout(START_SECONDS), httpx.AsyncClient() as http:
            while not await self._is_ready(http):
                await asyncio.sleep(0.1)
        self._owner = await asyncpg.connect(self._url)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._owner.close()
        if self._process.returncode is None:
            self._process.terminate()
        await self._process.wait()

    async def _is_ready(self, http: httpx.AsyncClient) -> bool:
        if self._process.returncode is not None:
            raise RuntimeError(f"the usual chat ended with {self._process.returncode}")
        try:
            return (await http.get(f"http://127.0.0.1:{self._port}/healthz")).status_code == 200
        except httpx.TransportError:
            return False

    def processes(self) -> list[int]:
        return [self._process.pid, *self._servers.processes]

    async def gather(self, count: int) -> None:
        self._people = max(self._people, count)
        await self._owner.execute(INSERT_PEOPLE, self._people + 1)  # and a stranger

    async def open_room(self, members: Sequence[int]) -> str:
        room = await self._owner.fetchval(INSERT_ROOM)
        await self._owner.execute(INSERT_MEMBERS, room, [person + 1 for person in members])
        return str(room)

    async def line(self, talk: Talk, person: int, room: str, *, is_kept: bool) -> Line:
        line = UsualLine(talk, len(talk.lines), is_kept=is_kept)
        talk.lines.append(line)
        await line.open(self._port, f"/ws/{room}?token={quote(self._token(person))}")
        return line

    async def fill(self, person: int, room: str, count: int) -> Talk:
        await self._owner.execute(INSERT_MESSAGES, int(room), person + 1, count, list(TEXTS), timeout=120)
        await self._owner.execute("VACUUM ANALYZE messages")
        return Talk()

    def page(self, person: int, room: str) -> PageRequest:
        head = f"GET /rooms/{room}/messages?limit=50 HTTP/1.1\r\nHost: bench\r\n"
        return PageRequest(self._port, f"{head}Authorization: Bearer {self._token(person)}\r\n\r\n".encode())

    async def check(self, talk: Talk, rooms: Sequence[str]) -> list[str]:
        """It promises that what it echoed is kept, and nothing of order: what came out of order is told as such."""
        rows = await self._owner.fetch(SELECT_MESSAGES, [int(room) for room in rooms])
        kept = {mark[0]: row["id"] for row in rows if (mark := MARK.search(row["body"].encode()))}
        heard: dict[int, int] = {}
        lost = unordered = 0
        for noted in talk.journal:
            if not noted.is_said:
                message = json.loads(noted.payload)
                mark = MARK.search(noted.payload)
                lost += mark is None or kept.get(mark[0]) != message["id"]
                unordered += message["id"] < heard.get(noted.line, 0)
                heard[noted.line] = message["id"]
        told = [(lost, "messages that were heard are not kept"), (unordered, "messages were heard out of order")]
        return [f"{count} {what}" for count, what in told if count]

    async def check_access(self, room: str) -> list[str]:
        """Try as the one person who is in no room."""
        token, found = self._token(self._people), []
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{self._port}") as http:
            page = await http.get(f"/rooms/{room}/messages", headers={"Authorization": f"Bearer {token}"})
        if page.status_code != 403:
            found.append(f"a stranger's page was answered {page.status_code}")
        try:
            (await Socket.open("127.0.0.1", self._port, f"/ws/{room}?token={token}", token, None)).close()
            found.append("a stranger's socket was accepted")
        except ConnectionError:
            pass
        return found

    def _token(self, person: int) -> str:
        claims = {"sub": str(person + 1), "exp": int(time.time()) + TOKEN_SECONDS}
        return jwt.encode(claims, self._secret, "HS256")


class UsualLine:
    """A socket of the usual chat."""

    def __init__(self, talk: Talk, number: int, *, is_kept: bool) -> None:
        self._talk = talk
        self._number = number
        self._is_kept = is_kept

    async def open(self, port: int, path: str) -> None:
        self._socket = await Socket.open("127.0.0.1", port, path, "none", self._heard)

    def say(self, text: str) -> None:
        self._said_at = time.perf_counter_ns()
        self._socket.send(f'{{"type":"message","body":"{text}"}}'.encode())

    def close(self) -> None:
        self._socket.close()

    def _heard(self, payload: bytes) -> None:
        if self._talk.hear(self._number, payload, is_kept=self._is_kept) == self._number:
            mark = MARK.search(payload)
            assert mark is not None, "it was found a moment ago"
            self._talk.acknowledge(self._number, time.perf_counter_ns() - int(mark[3]))
