"""A rolling update: processes of two releases at once, the newer with a raised version of the live group, and nobody notices."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from itertools import count
from pathlib import Path
from typing import Any
from uuid import uuid4

import asyncpg
import httpx
from websockets.asyncio.client import ClientConnection, connect

from adapters.postgres.database import Database
from projections import LIVE, checkpoints
from tests.deployments import PASSWORD, SECRET, as_login, running, until
from tests.lines import Line
from tests.ports import free_port
from tests.projections.raised import MIGRATION, SELECT_WRONG

ROOT = Path(__file__).parents[2]
THIS, NEXT = "runtime.cli", "tests.projections.raised"
READY_SECONDS = 120.0


class Release:
    """Processes of one release, each with the log-in of its kind."""

    def __init__(self, module: str, database_url: str, redis_url: str, folder: Path) -> None:
        self.port = free_port()
        self.base = f"http://127.0.0.1:{self.port}"
        self._module = module
        self._database_url = database_url
        kept = {name: value for name, value in os.environ.items() if not name.startswith("HANSARD_")}
        self._environment = {
            **kept, "HANSARD_HOME": str(folder), "HANSARD_PORT": str(self.port), "HANSARD_REDIS_URL": redis_url,
            "HANSARD_MASTER_KEY_FILE": str(folder / "master.key"), "HANSARD_LIMITS": "off",
            "HANSARD_ARGON2_MEMORY_KIB": "8192", "HANSARD_REBUILD_URL": as_login(database_url, "operator"),
        }  # fmt: skip
        self._processes: dict[str, asyncio.subprocess.Process] = {}

    async def start(self, kind: str) -> None:
        self._processes[kind] = await asyncio.create_subprocess_exec(
            sys.executable, "-m", self._module, kind, cwd=ROOT, stdout=sys.stderr, stderr=sys.stderr,
            env=self._environment | {"HANSARD_DATABASE_URL": as_login(self._database_url, kind)},
        )  # fmt: skip

    async def readiness(self) -> dict[str, Any]:
        """Return what the gateway says of itself; {} while it does not listen."""
        try:
            async with httpx.AsyncClient() as http:
                return dict((await http.get(f"{self.base}/readyz")).json())
        except httpx.TransportError:
            return {}

    async def is_ready(self) -> bool:
        return (await self.readiness()).get("status") == "ready"

    async def stop(self) -> list[int]:
        """End all of them as a supervisor does; return their exit codes."""
        for process in self._processes.values():
            if process.returncode is None:
                process.send_signal(signal.SIGTERM)
        return [await process.wait() for process in self._processes.values()]


@asynccontextmanager
async def release(module: str, database_url: str, redis_url: str, folder: Path) -> AsyncIterator[Release]:
    made = Release(module, database_url, redis_url, folder)
    try:
        yield made
    finally:
        await made.stop()


class Talk:
    """Somebody who posts, reads and listens, wherever they are told to, and counts what was not as it should be."""

    def __init__(self, http: httpx.AsyncClient, room_id: str) -> None:
        self.http, self.room_id = http, room_id
        self.sent: list[int] = []
        self.heard: list[int] = []
        self.faults: list[str] = []
        self.is_live = asyncio.Event()

    async def post_and_read(self, pause_seconds: float = 0.02) -> None:
        newest = 0
        await self.is_live.wait()  # what was said before is not told
        for number in count():
            path = f"/rooms/{self.room_id}/messages"
            posted = await self.http.post(path, json={"content": f"number {number} of many", "id": str(uuid4())})
            page = await self.http.get(path, params={"limit": 5})
            if (posted.status_code, page.status_code) != (201, 200):
                self.faults.append(f"{posted.status_code} {posted.text} {page.status_code} {page.text}"[:300])
                continue
            self.sent.append(posted.json()["position"])
            position = max(message["position"] for message in page.json()["items"])
            if position < newest:
                self.faults.append(f"a step back from {newest} to {position}")
            newest = position
            await asyncio.sleep(pause_seconds)

    async def hear(self, socket: ClientConnection) -> None:
        line = Line(socket)
        while True:
            frame = await line.frame(seconds=READY_SECONDS)
            if frame["type"] == "live":
                self.is_live.set()
            elif frame["type"] == "event" and frame["event"] == "message.posted":
                self.heard.append(frame["position"])

    async def has_heard(self) -> bool:
        return set(self.sent) <= set(self.heard)


async def settled(talk: Talk) -> None:
    """Wait until ten more messages were posted, and everything was heard."""
    wanted = len(talk.sent) + 10

    async def are_sent() -> bool:
        return len(talk.sent) >= wanted

    await until(are_sent, READY_SECONDS)


def versions(db: Database, wanted: int) -> Callable[[], Awaitable[bool]]:
    async def is_served() -> bool:
        return await checkpoints.version(db, "live") == wanted

    return is_served


async def begun(base: str) -> tuple[httpx.AsyncClient, str]:
    """Register somebody, log them in and open a room."""
    http = httpx.AsyncClient(base_url=base + "/api/v1", timeout=30)
    person = {"email": "ada@example.com", "username": "ada", "password": PASSWORD}
    assert (await http.post("/auth/register", json=person)).status_code == 201
    del person["username"]
    http.headers["Authorization"] = f"Bearer {(await http.post('/auth/login', json=person)).json()['access_token']}"
    room = await http.post("/rooms", json={"name": "Room"})
    return http, room.json()["id"]


def listening(base: str, http: httpx.AsyncClient, room_id: str) -> connect:
    headers = {"Authorization": http.headers["Authorization"]}
    return connect(f"ws{base.removeprefix('http')}/api/v1/ws/{room_id}", additional_headers=headers)


async def test_an_update_with_a_raised_version_is_noticed_by_nobody(
    database_url: str, redis_url: str, tmp_path: Path
) -> None:
    (tmp_path / "master.key").write_text(SECRET.hex())
    (tmp_path / "master.key").chmod(0o600)
    async with AsyncExitStack() as stack:
        db = await Database.open(as_login(database_url, "operator"), size=2)
        stack.push_async_callback(db.close)
        new = await stack.enter_async_context(release(NEXT, database_url, redis_url, tmp_path))
        old = await stack.enter_async_context(release(THIS, database_url, redis_url, tmp_path))
        for kind in ("gateway", "projector", "worker"):
            await old.start(kind)
        await until(old.is_ready, READY_SECONDS)
        http, room_id = await begun(old.base)
        talk = Talk(http, room_id)
        socket = await stack.enter_async_context(listening(old.base, http, room_id))
        async with running(talk.hear(socket)):
            async with running(talk.post_and_read()):
                await settled(talk)
                owner = await asyncpg.connect(database_url)
                await owner.execute(MIGRATION)
                await owner.close()
                await new.start("gateway")

                async def is_up() -> bool:
                    return "read_tables" in await new.readiness()

                await until(is_up, READY_SECONDS)
                assert (await new.readiness())["read_tables"] == {
                    "live": f"version {LIVE.version} is served, this release reads {LIVE.version + 1}"
                }
                for kind in ("worker", "projector"):
                    await new.start(kind)
                await until(versions(db, LIVE.version + 1), READY_SECONDS)
                await until(new.is_ready, READY_SECONDS)
                await settled(talk)  # by the gateway of the old release, with tables and frames of the new one
            await until(talk.has_heard, READY_SECONDS)
        assert len(talk.heard) == len(set(talk.heard))
        later = await stack.enter_async_context(listening(new.base, http, room_id))
        assert await old.stop() == [0, 0, 0]
        http.base_url = httpx.URL(new.base + "/api/v1")
        before, talk.sent, talk.heard, talk.is_live = len(talk.sent), [], [], asyncio.Event()
        async with running(talk.hear(later)):
            async with running(talk.post_and_read()):
                await settled(talk)
            await until(talk.has_heard, READY_SECONDS)
        assert talk.faults == [] and before > 20
        head = talk.sent[-1]

        async def has_all() -> bool:
            return await checkpoints.position(db, "live") >= head

        await until(has_all, READY_SECONDS)
        assert await db.value(SELECT_WRONG) == 0, "of every message the words are counted, whoever was serving"
        await http.aclose()
