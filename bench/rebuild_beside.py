"""R: rebuilds of the live tables of a generated record, alone and while people send and read, and what those notice of them.

The record is written by `hansard bench generate` under a deployment that runs, and followed. Then the tables are rebuilt beside the
served ones by one process, and by two between which the record is divided; then messages are sent and pages are read, first
with nothing else, then beside the same two rebuilds, which exchange the tables. Rows are rate, processor time an event and memory above
idle of the former, and of the latter the p99 of sends, to that with nothing else, and how often a reader got an error.
`EVENTS` is how many events: a million unless the environment says otherwise.
"""

import asyncio
import json
import os
import resource
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from statistics import quantiles
from typing import Self

import httpx
import psutil
from msgspec import Struct, to_builtins
from msgspec.structs import replace

from adapters.clock import now
from adapters.postgres.data_keys import Vault
from adapters.postgres.database import Database
from adapters.postgres.event_store import PostgresRecord
from adapters.postgres.master_key import load_master
from bench.comparison.report import machine
from bench.deployment import Deployment
from bench.million import caught_up, command
from bench.rate_chart import chart
from bench.sockets import Measured, people, room_of
from projections import LIVE
from runtime.composition.part_processes import PartProcesses
from runtime.embedded.location import locate
from workers.rebuild import Rebuild
from workers.rebuild_parts import FillPart
from workers.rebuild_reports import Progress

EVENTS = int(os.environ.get("EVENTS", "1000000"))
QUIET_SECONDS = 20.0
SENDS_A_SECOND = 20
READERS = 4
JOBS = (1, 2)


class Rebuilt(Struct):
    """What was measured of one rebuild; memory above idle, of its parts all that they have. With nobody beside it the last four
    say nothing."""

    jobs: int
    events: int
    events_a_second: float
    seconds: float
    python_us: float
    memory_mib: float
    is_equal: bool
    said: list[Progress]
    quiet_p99_ms: float = 0.0
    beside_p99_ms: float = 0.0
    reads: int = 0
    errors: int = 0


class Beside:
    """Somebody who sends, and some who read; what each waits, and how often a reader is refused."""

    def __init__(self, http: httpx.AsyncClient, room: str) -> None:
        self._http = http
        self._room = room
        self._path = f"/rooms/{room}/messages"
        self.sent_ms: list[float] = []
        self.reads = 0
        self.errors = 0

    async def send(self) -> None:
        """Send at a steady rate, whatever the answers take."""
        async with asyncio.TaskGroup() as sends:
            while True:
                sends.create_task(self._one())
                await asyncio.sleep(1 / SENDS_A_SECOND)

    async def _one(self) -> None:
        began = time.perf_counter()
        (await self._http.post(self._path, json={"content": "beside a rebuild"})).raise_for_status()
        self.sent_ms.append((time.perf_counter() - began) * 1000)

    async def read(self) -> None:
        while True:
            for path in ("/rooms?joined=true", self._path):
                answer = await self._http.get(path)
                self.reads += 1
                self.errors += answer.status_code != 200 or not answer.json()["items"]

    def again(self) -> Self:
        """Return the same people, who have not begun."""
        return type(self)(self._http, self._room)

    async def during(self, doing: Callable[[], Awaitable[None]]) -> None:
        """Send and read for as long as something is done."""
        others = [asyncio.create_task(self.send()), *(asyncio.create_task(self.read()) for _ in range(READERS))]
        try:
            await doing()
        finally:
            for each in others:
                each.cancel()
            await asyncio.gather(*others, return_exceptions=True)


async def beside(deployment: Deployment, *, picture: Path | None = None, figures: Path | None = None) -> list[Measured]:
    """R; draws the rate of the rebuild by one process, and writes all figures down as JSON, where that is asked for."""
    async with deployment:
        url, master = locate(deployment.home).database_url, load_master(deployment.home / "master.key", create=False)
        await command(deployment, "bench", "generate", "--events", str(EVENTS), "--into")
        (ada,) = await people(deployment.base, 1)
        room = await room_of(ada, [], "Beside a rebuild")
        db = await Database.open(url, statement_seconds=600)
        record = PostgresRecord(db, Vault(db, master), now=now, chance=os.urandom)
        await caught_up(deployment, (await record.head()).position, time.perf_counter())
        processes = PartProcesses(url, deployment.environment)
        alone = [await _rebuilt(db, record, jobs, processes.fill, swap=False) for jobs in JOBS]
        async with httpx.AsyncClient(base_url=deployment.base + "/api/v1", timeout=60) as http:
            http.headers["Authorization"] = f"Bearer {await ada.token()}"
            quiet = Beside(http, str(room))
            await quiet.during(lambda: asyncio.sleep(QUIET_SECONDS))
            beside = [await _rebuilt_beside(quiet, db, record, jobs, processes.fill) for jobs in JOBS]
        await db.close()
    if picture:
        title = f"Rebuild of {beside[0].events:,} events beside {READERS} readers and {SENDS_A_SECOND} sends/s"
        await asyncio.to_thread(picture.write_text, chart(beside[0].said, title))
    if figures:
        said = {"alone": [_figures(each) for each in alone], "beside": [_figures(each) for each in beside]}
        written = json.dumps({"made": time.strftime("%Y-%m-%d"), "machine": machine(), **said}, indent=1)
        await asyncio.to_thread(figures.write_text, written + "\n")
    faster = alone[-1].events_a_second / alone[0].events_a_second
    return [
        *(row for each in alone for row in _rows(each)),
        Measured(f"R by {JOBS[-1]} processes, to one", f"{faster:.2f} x"),
        *(row for each in beside for row in _rows_beside(each)),
    ]


async def _rebuilt(db: Database, record: PostgresRecord, jobs: int, fill: FillPart, *, swap: bool) -> Rebuilt:
    said: list[Progress] = []
    memory = before = _memory_mib()
    cpu, began = _cpu_seconds(), time.perf_counter()

    def hear(progress: Progress) -> None:
        nonlocal memory
        said.append(progress)
        memory = max(memory, _memory_mib())

    verdicts = await Rebuild(LIVE, record, db, progress=hear, jobs=jobs, fill=fill).run(swap=swap)
    seconds, events = time.perf_counter() - began, said[-1].done
    filled = max(each.seconds for each in said if each.began == 0)
    return Rebuilt(
        jobs, events, events / filled, seconds, 1e6 * (_cpu_seconds() - cpu) / events, memory - before,
        all(verdict.is_equal for verdict in verdicts), said,
    )  # fmt: skip


async def _rebuilt_beside(quiet: Beside, db: Database, record: PostgresRecord, jobs: int, fill: FillPart) -> Rebuilt:
    """Rebuild while somebody sends and some read."""
    busy, found = quiet.again(), list[Rebuilt]()

    async def rebuild() -> None:
        found.append(await _rebuilt(db, record, jobs, fill, swap=True))

    await busy.during(rebuild)
    p99 = {"quiet_p99_ms": _p99(quiet), "beside_p99_ms": _p99(busy)}
    return replace(found[0], **p99, reads=busy.reads, errors=busy.errors)


def _rows(found: Rebuilt) -> list[Measured]:
    by, equal = _by(found), "equal" if found.is_equal else "DIFFERENT"
    return [
        Measured(f"{by}: {found.events:,} events, events/s until the tables are full", f"{found.events_a_second:,.0f}"),
        Measured(f"{by}: Python's processor time an event", f"{found.python_us:.1f} us"),
        Measured(f"{by}: all of it, with indexes and comparison ({equal})", f"{found.seconds:,.0f} s"),
        Measured(f"{by}: memory above idle", f"{found.memory_mib:,.0f} MiB"),
    ]


def _rows_beside(found: Rebuilt) -> list[Measured]:
    by, ratio = f"{_by(found)}, beside sends and readers", found.beside_p99_ms / found.quiet_p99_ms
    p99 = f"{found.quiet_p99_ms:,.1f}, {found.beside_p99_ms:,.1f} ms ({ratio:.2f} x)"
    return [
        Measured(f"{by}: events/s", f"{found.events_a_second:,.0f}"),
        Measured(f"{by}: p99 of a send without and with it", p99),
        Measured(f"{by}: errors of readers", f"{found.errors} of {found.reads:,}"),
    ]


def _by(found: Rebuilt) -> str:
    return f"R by {found.jobs} process{'es' if found.jobs > 1 else ''}"


def _figures(found: Rebuilt) -> dict[str, object]:
    return {name: value for name, value in to_builtins(found).items() if name != "said"}


def _p99(who: Beside) -> float:
    return quantiles(who.sent_ms, n=100)[98]


def _cpu_seconds() -> float:
    """Return the processor time of this process and of those that it waited for."""
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + ended.ru_utime + ended.ru_stime


def _memory_mib() -> float:
    """Return what this process holds and what the parts of a rebuild do."""
    processes = [psutil.Process(), *(each for each in psutil.Process().children() if "--part" in _typed(each))]
    return sum(_resident_bytes(each) for each in processes) / 1024**2


def _typed(process: psutil.Process) -> list[str]:
    try:
        return list(process.cmdline())
    except psutil.Error:
        return []


def _resident_bytes(process: psutil.Process) -> int:
    try:
        return int(process.memory_info().rss)
    except psutil.Error:
        return 0
