"""M: a record of a million messages under a deployment that runs, and what those notice of it who read.

`M` is the first page of rooms and the newest messages of one of them, a log-in, the audit trail by each filter and by two, and
the start of another gateway; medians over one connection; and what a message costs in bytes (`size.py`). How the record is made: `generator.py`; the followers' catching up with it
is waited for, and is a row too.
"""

import asyncio
import os
import sys
import time
from collections.abc import Awaitable, Callable
from functools import partial
from statistics import median
from uuid import UUID

import httpx

from adapters.postgres.database import Database
from adapters.postgres.master_key import load_master
from bench import size
from bench.deployment import Deployment, free_port
from bench.generator import Made, generate
from bench.load import PASSWORD
from bench.sockets import Measured, people
from domain.ids import UserId
from projections import PROJECTIONS, checkpoints
from runtime.embedded.location import locate

MESSAGES = 1_000_000
CATCH_UP_SECONDS = 7_200  # of ten million events, on a busy machine
ROUNDS = 30
LOG_INS = 10
STARTS = 5
WHY = {"Hansard-Reason": "bench"}
SINCE = "from=2000-01-01T00:00:00Z&to=2100-01-01T00:00:00Z"


async def million(deployment: Deployment, *, messages: int = MESSAGES) -> list[Measured]:
    """M."""
    async with deployment:
        (ada,) = await people(deployment.base, 1)
        async with httpx.AsyncClient(base_url=deployment.base + "/api/v1", timeout=60) as http:
            http.headers["Authorization"] = f"Bearer {await ada.token()}"
            me = (await http.get("/users/me")).raise_for_status().json()
            await command(deployment, "grant", me["email"], "auditor")
            master = load_master(deployment.home / "master.key", create=False)
            owner = locate(deployment.home).database_url
            rows = await _log(deployment, owner, {"fresh": (size.AT_CHECKPOINT, True)})
            started = time.perf_counter()
            made, head = await generate(owner, master, UserId(UUID(me["id"])), messages=messages)
            seconds = await caught_up(deployment, head, started)
            rows.append(Measured(f"M {head:,} events, followed by all groups, events/s", f"{head / seconds:,.0f}"))
            rows += await _reads(http, made)
            rows.append(await _log_ins(http, me["email"]))
            rows += await size.disk(owner)
            rows += await _log(
                deployment,
                owner,
                {
                    "right after a checkpoint": (size.AT_CHECKPOINT, True),
                    f"the next {size.WARM:,}": (size.WARM, False),
                    "steady": (size.STEADY, False),
                },
            )
        rows.append(await _starts(deployment))
        return rows


async def _log(deployment: Deployment, owner: str, amounts: dict[str, tuple[int, bool]]) -> list[Measured]:
    """Post so many messages for each row, after a checkpoint or not."""
    posting = size.Posting(deployment, owner, lambda head: caught_up(deployment, head, time.perf_counter()))
    await posting.begin()
    rows = [await posting.row(name, messages, checkpoint=is_first) for name, (messages, is_first) in amounts.items()]
    posting.close()
    return rows


async def _reads(http: httpx.AsyncClient, made: Made) -> list[Measured]:
    reads = {
        "first page of /rooms, 200 joined, nothing read": "/rooms?joined=true",
        "first page of /rooms": "/rooms",
        "newest 50 messages of a room": f"/rooms/{made.busy_room}/messages",
        "audit, no filter": "/audit/events",
        "audit, all of its time": f"/audit/events?{SINCE}",
        "audit by a rare actor in all of its time": f"/audit/events?actor={made.actor}&{SINCE}",
        "audit by a rare type in all of its time": f"/audit/events?type={made.type}&{SINCE}",
        "audit by a rare actor": f"/audit/events?actor={made.actor}",
        "audit by a rare subject": f"/audit/events?subject={made.subject}",
        "audit by a rare room": f"/audit/events?room={made.room}",
        "audit by a rare type": f"/audit/events?type={made.type}&subject={made.subject}",
        "audit by a busy room and a type": f"/audit/events?room={made.busy_room}&type=member.joined",
        "audit by a busy room and the commonest type": f"/audit/events?room={made.busy_room}&type=message.posted",
        "audit by a busy person and a busy room": f"/audit/events?actor={made.busy_person}&room={made.busy_room}",
        "audit by a busy person and a type": f"/audit/events?actor={made.busy_person}&type=member.joined",
        "audit by a busy person as actor and subject": f"/audit/events?actor={made.busy_person}&subject={made.busy_person}",
        "audit by a busy subject and a busy room": f"/audit/events?subject={made.busy_person}&room={made.busy_room}",
        "audit by a busy subject and a type": f"/audit/events?subject={made.busy_person}&type=member.joined",
        "audit by two who share nothing": f"/audit/events?actor={made.busy_person}&room={made.room}",
    }
    return [await _median(f"M {name}", partial(_read, http, path), ROUNDS) for name, path in reads.items()]


async def _read(http: httpx.AsyncClient, path: str) -> None:
    """Read a list until something is on its page, or to its end."""
    answer = (await http.get(path, headers=WHY)).raise_for_status().json()
    while not answer["items"] and answer["next_cursor"]:
        joint = "&" if "?" in path else "?"
        answer = (await http.get(f"{path}{joint}cursor={answer['next_cursor']}", headers=WHY)).raise_for_status().json()


async def _log_ins(http: httpx.AsyncClient, email: str) -> Measured:
    async def log_in() -> None:
        (await http.post("/auth/login", json={"email": email, "password": PASSWORD})).raise_for_status()

    return await _median("M log-in", log_in, LOG_INS)


async def _starts(deployment: Deployment) -> Measured:
    """From the start of a process to its first answer."""
    taken = []
    for _ in range(STARTS):
        port, started = free_port(), time.perf_counter()
        environment = {**deployment.environment, "HANSARD_PORT": str(port)}
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "runtime.cli", "gateway"), env=environment, stderr=asyncio.subprocess.DEVNULL
        )
        async with httpx.AsyncClient() as http:
            while True:
                try:
                    if (await http.get(f"http://127.0.0.1:{port}/readyz")).status_code == 200:
                        taken.append((time.perf_counter() - started) * 1000)
                        break
                except httpx.TransportError:
                    assert process.returncode is None, "it ended"
                    await asyncio.sleep(0.01)
        process.terminate()
        await process.wait()
    return _row("M start of a gateway, until it is ready", taken)


async def _median(name: str, ask: Callable[[], Awaitable[None]], rounds: int) -> Measured:
    taken = []
    for _ in range(rounds):
        started = time.perf_counter()
        await ask()
        taken.append((time.perf_counter() - started) * 1000)
    return _row(name, taken)


def _row(name: str, taken: list[float]) -> Measured:
    return Measured(name, f"{median(taken):,.1f} ms, worst {max(taken):,.1f}")


async def caught_up(deployment: Deployment, head: int, started: float) -> float:
    """Wait until every group of read tables is at a position; answers how long it took since the start."""
    db = await Database.open(locate(deployment.home).database_url, size=1)
    try:
        async with asyncio.timeout(CATCH_UP_SECONDS):
            while True:
                groups = {group.name: group.position for group in await checkpoints.every(db)}
                if all(groups.get(name, 0) >= head for name in PROJECTIONS):
                    return time.perf_counter() - started
                await asyncio.sleep(0.5)
    finally:
        await db.close()


async def command(deployment: Deployment, *arguments: str) -> None:
    """Run a command of `hansard` beside the deployment."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "runtime.cli", *arguments), env={**os.environ, **deployment.environment}
    )
    assert await process.wait() == 0, arguments
