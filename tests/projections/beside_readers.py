"""Rebuilds in a row beside readers, senders and sockets, over HTTP: `python -m tests.projections.beside_readers --rebuilds 8`.

Nobody may get an answer that is neither 200 nor 201, see an empty page or a step back, or hear an event twice.
`tests/projections/test_rebuild_beside_readers.py` does the same for a few seconds.
"""

import argparse
import asyncio
import os
import sys
import time
from asyncio.subprocess import PIPE
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx

from adapters.postgres.database import Database
from projections import PROJECTIONS
from runtime.embedded.servers import Embedded
from runtime.groups import LOGINS
from runtime.migrate import create_database, migrate
from tests.deployments import LOGIN_PASSWORD, SECRET, Gateway, Person, as_login, deployment, ledger, running
from tests.lines import Line, line
from workers.rebuild import Rebuild

SELECT_DEADLOCKS = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"


@dataclass
class Seen:
    """What everybody met: statuses, and a sentence for each rule that was broken."""

    statuses: Counter[int] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)
    sent: list[int] = field(default_factory=list)
    sending: list[tuple[bool, float]] = field(default_factory=list)  # whether a rebuild ran, and how long it took
    heard: list[list[int]] = field(default_factory=list)
    is_rebuilding: bool = False

    def milliseconds(self, share: float, *, beside: bool) -> float:
        """Return what this share of the sends took at most, beside rebuilds or before them."""
        took = sorted(seconds for was_rebuilding, seconds in self.sending if was_rebuilding is beside)
        return 1000 * took[min(len(took) - 1, int(share * len(took)))] if took else 0.0

    def note(self, answer: httpx.Response) -> bool:
        self.statuses[answer.status_code] += 1
        if answer.status_code in (200, 201):
            return True
        self.faults.append(
            f"{answer.request.method} {answer.request.url.path}: {answer.status_code} {answer.text[:200]}"
        )
        return False


async def read(hansard: Gateway, who: Person, room_id: str, members: int, seen: Seen) -> None:
    """Read what a client reads, for ever; no page is empty, and none is older than the one before."""
    newest = activity = 0
    async with httpx.AsyncClient(base_url=hansard.base + "/api/v1", headers=who.http.headers, timeout=30) as http:
        while True:
            page = await http.get(f"/rooms/{room_id}/messages", params={"limit": 20})
            if seen.note(page):
                position = max((message["position"] for message in page.json()["items"]), default=0)
                if position < newest or position == 0:
                    seen.faults.append(f"messages went back from {newest} to {position}")
                newest = position
            rooms = await http.get("/rooms")
            if seen.note(rooms):
                position = max((room["last_message"]["position"] for room in rooms.json()["items"]), default=0)
                if position < activity or position == 0:
                    seen.faults.append(f"rooms went back from {activity} to {position}")
                activity = position
            found = await http.get(f"/rooms/{room_id}/members")
            if seen.note(found) and len(found.json()["items"]) != members:
                seen.faults.append(f"{len(found.json()['items'])} of {members} members")
            seen.note(await http.get(f"/users/{who.id}"))


async def send(hansard: Gateway, who: Person, room_id: str, seen: Seen) -> None:
    """Post, for ever."""
    async with httpx.AsyncClient(base_url=hansard.base + "/api/v1", headers=who.http.headers, timeout=30) as http:
        while True:
            began, beside = time.perf_counter(), seen.is_rebuilding
            answer = await http.post(f"/rooms/{room_id}/messages", json={"content": f"**{len(seen.sent)}**"})
            seen.sending.append((beside, time.perf_counter() - began))
            if seen.note(answer):
                seen.sent.append(answer.json()["position"])
            await asyncio.sleep(0.01)


async def hear(socket: Line, heard: list[int]) -> None:
    """Keep the position of each event, for ever. What the inbox tells comes behind the event that it is about."""
    while True:
        frame = await socket.frame(seconds=60)
        if frame["type"] == "event" and frame["event"] != "notification":
            heard.append(frame["position"])


Rebuilding = Callable[[], Awaitable[list[str]]]


async def beside(
    hansard: Gateway, *, rebuilding: Rebuilding, rebuilds: int, readers: int, senders: int, seconds_before: float = 0.0
) -> Seen:
    """Rebuild some times in a row beside them all. `rebuilding` rebuilds once, and returns a sentence for each thing wrong."""
    seen = Seen()
    people = [await hansard.person() for _ in range(3)]
    room_id = await people[0].room(*people[1:])
    last = await people[0].say(room_id, "the first one")
    await people[1].ask("GET", f"/rooms/{room_id}", 200, headers={"Hansard-After": str(last["position"])})
    async with AsyncExitStack() as stack:
        sockets = [await stack.enter_async_context(line(hansard, who, room_id)) for who in people]
        for socket in sockets:
            await socket.until("live")
            seen.heard.append([])
        hearing = [hear(socket, heard) for socket, heard in zip(sockets, seen.heard, strict=True)]
        async with running(*hearing):
            reading = [read(hansard, people[i % 3], room_id, 3, seen) for i in range(readers)]
            async with running(*reading, *(send(hansard, people[i % 3], room_id, seen) for i in range(senders))):
                await asyncio.sleep(seconds_before)
                seen.is_rebuilding = True
                for _ in range(rebuilds):
                    seen.faults += await rebuilding()
            async with asyncio.timeout(30):
                while any(set(seen.sent) - set(heard) for heard in seen.heard):
                    await asyncio.sleep(0.01)
        for heard in seen.heard:
            if len(set(heard)) != len(heard) or sorted(heard) != heard:
                seen.faults.append("a socket heard an event twice, or out of order")
        if deadlocks := await hansard.services.db.value(SELECT_DEADLOCKS):
            seen.faults.append(f"{deadlocks} deadlocks")
    return seen


@asynccontextmanager
async def here(database_url: str) -> AsyncIterator[Rebuilding]:
    """Rebuilds of all groups in this process."""
    async with ledger(database_url, size=2) as (_, record, _bus):
        db = await Database.open(as_login(database_url, "operator"), size=4)

        async def rebuild() -> list[str]:
            faults: list[str] = []
            for group in PROJECTIONS.values():
                verdicts = await Rebuild(group, record, db, progress=lambda progress: None).run(swap=True)
                faults += [verdict.sentence() for verdict in verdicts if not verdict.is_equal]
            return faults

        yield rebuild
        await db.close()


def apart(database_url: str, redis_url: str, folder: Path) -> Rebuilding:
    """Rebuilds of all groups as an operator types them."""
    key = folder / "master.key"
    key.write_text(SECRET.hex())
    key.chmod(0o600)
    told = {
        "HANSARD_HOME": str(folder), "HANSARD_DATABASE_URL": as_login(database_url, "operator"), "HANSARD_REDIS_URL": redis_url,
        "HANSARD_MASTER_KEY_FILE": str(key),
    }  # fmt: skip

    async def rebuild() -> list[str]:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "runtime.cli", "rebuild", "--all"), env=os.environ | told, stdout=PIPE, stderr=PIPE
        )
        said, failed = await process.communicate()
        return [] if process.returncode == 0 else [(said + failed).decode()]

    return rebuild


@asynccontextmanager
async def servers(folder: Path) -> AsyncIterator[tuple[str, str]]:
    """Servers of its own, migrated."""
    with Embedded(folder / "home") as embedded:
        url = embedded.servers.database_url
        await create_database(url)
        await migrate(url, say=lambda sentence: None, logins=dict.fromkeys(LOGINS, LOGIN_PASSWORD))
        yield url, embedded.servers.redis_url


async def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.projections.beside_readers")
    parser.add_argument("--rebuilds", type=int, default=8, help="how often each group is rebuilt (default 8)")
    parser.add_argument("--readers", type=int, default=8)
    parser.add_argument("--senders", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=20.0, help="of sends before the first rebuild")
    asked = parser.parse_args()
    with TemporaryDirectory(prefix="hansard-beside-") as folder:
        async with servers(Path(folder)) as (database_url, redis_url), deployment(database_url, redis_url) as hansard:
            began = time.perf_counter()
            seen = await beside(
                hansard,
                rebuilding=apart(database_url, redis_url, Path(folder)),
                rebuilds=asked.rebuilds,
                readers=asked.readers,
                senders=asked.senders,
                seconds_before=asked.seconds,
            )
    answers = ", ".join(f"{count:,} × {status}" for status, count in sorted(seen.statuses.items()))
    took = time.perf_counter() - began
    print(f"{asked.rebuilds} × --all in {took:.0f} s; answers: {answers}; {len(seen.sent):,} sent.")
    for share, name in ((0.5, "p50"), (0.99, "p99")):
        quiet, loud = seen.milliseconds(share, beside=False), seen.milliseconds(share, beside=True)
        print(f"  a send, {name}: {quiet:.1f} ms before, {loud:.1f} ms beside rebuilds")
    for fault, count in Counter(seen.faults).most_common(20):
        print(f"  {count} × {fault}")
    return 1 if seen.faults else 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
