"""R: rebuilds of the live tables of a generated record, alone and while people send and read, and what those notice of it.

The record is written by `hansard bench generate` under a deployment that runs, and followed. Then `hansard rebuild live` makes the
tables: by one process with everything on one core; by one on all cores; and by two, between which the record is divided. Then messages
are sent and pages are read, first with nothing else, then beside rebuilds by one and by two processes, which exchange the tables.
`EVENTS` is how many events: a million unless the environment says otherwise.
"""

import asyncio
import json
import os
import time
from collections.abc import Awaitable, Callable
from itertools import pairwise
from pathlib import Path
from statistics import quantiles

import httpx
from msgspec import Struct, to_builtins

from adapters.postgres.database import Database
from bench.comparison.report import machine
from bench.deployment import Deployment
from bench.million import caught_up, command
from bench.rate_chart import chart
from bench.rebuild_runs import Rebuilt, Step, Watched, all_cores
from bench.sockets import Measured, people, room_of
from runtime.embedded.location import locate

EVENTS = int(os.environ.get("EVENTS", "1000000"))
QUIET_SECONDS = 30.0
SENDS_A_SECOND = 20
READERS = 4
JOBS = (1, 2)
SELECT_HEAD = "SELECT position FROM record.head"


class Sent(Struct, frozen=True):
    """When a message was sent, in seconds since that began, and what its answer took."""

    at: float
    ms: float


class Beside:
    """Somebody who sends, and some who read; what each waits, and how often one is refused or not answered."""

    def __init__(self, http: httpx.AsyncClient, token: Callable[[], Awaitable[str]], room: str) -> None:
        """`token` answers one that is still valid: a rebuild may take longer than that."""
        self._http = http
        self._token = token
        self._path = f"/rooms/{room}/messages"
        self._began = 0.0
        self.sent: list[Sent] = []
        self.reads = self.read_errors = self.send_errors = 0

    async def send(self) -> None:
        """Send at a steady rate, whatever the answers take."""
        async with asyncio.TaskGroup() as sends:
            while True:
                sends.create_task(self._one())
                await asyncio.sleep(1 / SENDS_A_SECOND)

    async def _one(self) -> None:
        began = time.perf_counter()
        try:
            said, headers = {"content": "beside a rebuild"}, await self._headers()
            (await self._http.post(self._path, json=said, headers=headers)).raise_for_status()
        except httpx.HTTPError:
            self.send_errors += 1
        self.sent.append(Sent(began - self._began, (time.perf_counter() - began) * 1000))

    async def _headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {await self._token()}"}

    async def read(self) -> None:
        while True:
            for path in ("/rooms?joined=true", self._path):
                self.reads += 1
                try:
                    answer = await self._http.get(path, headers=await self._headers())
                    self.read_errors += answer.status_code != 200 or not answer.json()["items"]
                except httpx.HTTPError:
                    self.read_errors += 1

    async def during(self, doing: Callable[[], Awaitable[None]]) -> None:
        """Send and read for as long as something is done."""
        self._began = time.perf_counter()
        others = [asyncio.create_task(self.send()), *(asyncio.create_task(self.read()) for _ in range(READERS))]
        try:
            await doing()
        finally:
            assert not any(each.done() for each in others), "somebody fell silent"
            for each in others:
                each.cancel()
            await asyncio.gather(*others, return_exceptions=True)


class Noticed(Struct):
    """A rebuild, and what people noticed of it; `p99_by_step_ms`: of sends during each step of it."""

    rebuilt: Rebuilt
    quiet_p99_ms: float
    beside_p99_ms: float
    p99_by_step_ms: dict[str, float]
    reads: int
    read_errors: int
    sends: int
    send_errors: int


async def beside(deployment: Deployment, *, picture: Path | None = None, figures: Path | None = None) -> list[Measured]:
    """R; draws the rates of the rebuilds beside people, and writes all figures down as JSON, where that is asked for."""
    async with deployment:
        await command(deployment, "bench", "generate", "--events", str(EVENTS), "--into")
        (ada,) = await people(deployment.base, 1)
        room = await room_of(ada, [], "Beside a rebuild")
        await caught_up(deployment, await _head(deployment), time.perf_counter())
        idle = await _idle_mib(deployment)
        runs = [(1, min(all_cores())), *((jobs, None) for jobs in JOBS)]
        alone = [await Watched(deployment, jobs, swap=False, idle_mib=idle, core=core).run() for jobs, core in runs]
        async with httpx.AsyncClient(base_url=deployment.base + "/api/v1", timeout=60) as http:
            noticed = await _beside_people(deployment, lambda: Beside(http, ada.token, str(room)), idle)
    if picture:
        title = f"Rebuild of {alone[0].events:,} events beside {READERS} readers and {SENDS_A_SECOND} sends a second"
        await asyncio.to_thread(picture.write_text, chart([each.rebuilt for each in noticed], title))
    if figures:
        said = {"alone": [_figures(each) for each in alone], "beside": [_noticed(each) for each in noticed]}
        written = json.dumps({"made": time.strftime("%Y-%m-%d"), "machine": machine(), **said}, indent=1)
        await asyncio.to_thread(figures.write_text, written + "\n")
    return [
        *(row for each in alone for row in _rows(each)),
        *_ratios(alone[0], alone[-1]), *_ratios(alone[1], alone[-1]),
        *(row for each in noticed for row in _rows_beside(each)),
    ]  # fmt: skip


async def _beside_people(deployment: Deployment, made: Callable[[], Beside], idle: float) -> list[Noticed]:
    """Rebuild by each number of processes beside people; before, between and after they are alone."""
    quiet = [made()]
    await quiet[0].during(lambda: asyncio.sleep(QUIET_SECONDS))
    runs: list[tuple[Rebuilt, Beside]] = []
    for jobs in JOBS:
        busy, watched = made(), Watched(deployment, jobs, swap=True, idle_mib=idle)
        rebuilt: list[Rebuilt] = []
        await busy.during(lambda watched=watched, rebuilt=rebuilt: _run(watched, rebuilt))  # type: ignore[misc]
        runs.append((rebuilt[0], busy))
        quiet.append(made())
        await quiet[-1].during(lambda: asyncio.sleep(QUIET_SECONDS))
    p99 = _p99([sent for each in quiet for sent in each.sent])
    return [
        Noticed(
            rebuilt, p99, _p99(busy.sent), _by_step(rebuilt, busy), busy.reads, busy.read_errors, len(busy.sent), busy.send_errors
        )
        for rebuilt, busy in runs
    ]  # fmt: skip


async def _run(watched: Watched, rebuilt: list[Rebuilt]) -> None:
    rebuilt.append(await watched.run())


def _by_step(rebuilt: Rebuilt, busy: Beside) -> dict[str, float]:
    steps = [Step("filling", 0.0), *rebuilt.steps, Step("", rebuilt.seconds)]
    found = {}
    for step, after in pairwise(steps):
        sent = [each for each in busy.sent if step.seconds <= each.at < after.seconds]
        if len(sent) > 1:
            found[step.name] = _p99(sent)
    return found


async def _idle_mib(deployment: Deployment) -> float:
    """Return what a process of the command holds that has loaded everything, and has nothing to do yet."""
    found = await Watched(deployment, JOBS[-1], swap=False, idle_mib=0.0).run()
    return found.peaks_mib[0]


async def _head(deployment: Deployment) -> int:
    db = await Database.open(locate(deployment.home).database_url, size=1)
    try:
        return int(await db.value(SELECT_HEAD))
    finally:
        await db.close()


def _rows(found: Rebuilt) -> list[Measured]:
    by, equal = _by(found), "equal" if found.is_equal else "DIFFERENT"
    return [
        Measured(f"{by}: {found.events:,} events, events/s until they are in", f"{found.events_a_second:,.0f}"),
        Measured(
            f"{by}: processor time an event, Python and Postgres", f"{found.python_us:.1f} + {found.postgres_us:.1f} us"
        ),
        Measured(f"{by}: all of it, with indexes and comparison ({equal})", f"{found.seconds:,.0f} s"),
        Measured(f"{by}: peak of its largest process, above idle", f"{found.memory_mib:,.0f} MiB"),
    ]


def _ratios(one: Rebuilt, other: Rebuilt) -> list[Measured]:
    filling, whole = other.events_a_second / one.events_a_second, one.seconds / other.seconds
    return [
        Measured(
            f"{_by(other)}, to {_by(one).removeprefix('R ')}: filling, all of it", f"{filling:.2f} x, {whole:.2f} x"
        )
    ]


def _rows_beside(found: Noticed) -> list[Measured]:
    by, ratio = f"{_by(found.rebuilt)}, beside people", found.beside_p99_ms / found.quiet_p99_ms
    p99 = f"{found.quiet_p99_ms:,.1f}, {found.beside_p99_ms:,.1f} ms ({ratio:.2f} x)"
    steps = ", ".join(f"{name} {ms:,.0f}" for name, ms in found.p99_by_step_ms.items())
    return [
        Measured(f"{by}: events/s", f"{found.rebuilt.events_a_second:,.0f}"),
        Measured(f"{by}: p99 of a send without and with it", p99),
        Measured(f"{by}: p99 by what it does, ms", steps),
        Measured(f"{by}: errors of readers", f"{found.read_errors} of {found.reads:,}"),
        Measured(f"{by}: errors of senders", f"{found.send_errors} of {found.sends:,}"),
    ]


def _by(found: Rebuilt) -> str:
    return f"R by {found.jobs} on {found.cores} core{'s' if found.cores > 1 else ''}"


def _figures(found: Rebuilt) -> dict[str, object]:
    return {name: value for name, value in to_builtins(found).items() if name != "said"}


def _noticed(found: Noticed) -> dict[str, object]:
    return {
        **_figures(found.rebuilt),
        **{name: value for name, value in to_builtins(found).items() if name != "rebuilt"},
    }


def _p99(sent: list[Sent]) -> float:
    return quantiles((each.ms for each in sent), n=100)[98]
