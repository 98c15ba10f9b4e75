"""R: a rebuild of the live tables of a generated record while people send and read, and what those notice of it.

The record is generated under a deployment that runs, and followed. Then messages are sent and pages are read, first with nothing
else, then beside `Rebuild`, which is told by its progress. Rows are the rate of the rebuild, the p99 of sends beside it and without,
how often a reader got an error, and the memory of the process that rebuilds above what it had before. `EVENTS` is how many
events: a million unless the environment says otherwise. The picture of the rate is written beside the working directory.
"""

import asyncio
import os
import resource
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from statistics import quantiles

import httpx

from adapters.clock import now
from adapters.postgres.data_keys import Vault
from adapters.postgres.database import Database
from adapters.postgres.event_store import PostgresRecord
from adapters.postgres.master_key import load_master
from bench.deployment import Deployment
from bench.million import caught_up
from bench.rate_chart import chart
from bench.sockets import Measured, people, room_of
from projections import LIVE
from runtime.embedded.location import locate
from runtime.operators.generating.generator import Generator
from runtime.operators.generating.in_order import InOrder
from workers.rebuild import Rebuild
from workers.rebuild_reports import Progress, Verdict

EVENTS = int(os.environ.get("EVENTS", "1000000"))
QUIET_SECONDS = 20.0
SENDS_A_SECOND = 20
READERS = 4
PICTURE = Path("rebuild.svg")


class Beside:
    """Somebody who sends, and some who read; what each waits, and how often a reader is refused."""

    def __init__(self, http: httpx.AsyncClient, room: str) -> None:
        self._http = http
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

    async def during(self, doing: Callable[[], Awaitable[None]]) -> None:
        """Send and read for as long as something is done."""
        others = [asyncio.create_task(self.send()), *(asyncio.create_task(self.read()) for _ in range(READERS))]
        try:
            await doing()
        finally:
            for each in others:
                each.cancel()
            await asyncio.gather(*others, return_exceptions=True)


async def beside(deployment: Deployment) -> list[Measured]:
    """R."""
    async with deployment:
        url, master = locate(deployment.home).database_url, load_master(deployment.home / "master.key", create=False)
        (ada,) = await people(deployment.base, 1)
        room = await room_of(ada, [], "Beside a rebuild")
        db = await Database.open(url, statement_seconds=600)
        written = await _generate(db, master)
        await caught_up(deployment, written, time.perf_counter())
        async with httpx.AsyncClient(base_url=deployment.base + "/api/v1", timeout=60) as http:
            http.headers["Authorization"] = f"Bearer {await ada.token()}"
            quiet, busy = Beside(http, str(room)), Beside(http, str(room))
            await quiet.during(lambda: asyncio.sleep(QUIET_SECONDS))
            record = PostgresRecord(db, Vault(db, master), now=now, chance=os.urandom)
            said: list[Progress] = []
            before, began = _memory_mib(), time.perf_counter()
            verdicts: list[Verdict] = []

            async def rebuild() -> None:
                verdicts.extend(await Rebuild(LIVE, record, db, progress=said.append).run(swap=True))

            await busy.during(rebuild)
            seconds = time.perf_counter() - began
        await db.close()
    title = f"Rebuild of {said[-1].total:,} events beside {READERS} readers and {SENDS_A_SECOND} sends/s"
    await asyncio.to_thread(PICTURE.write_text, chart(said, title))
    return _rows(said, seconds, quiet, busy, _memory_mib() - before, all(each.is_equal for each in verdicts))


def _rows(
    said: list[Progress], seconds: float, quiet: Beside, busy: Beside, memory_mib: float, is_equal: bool
) -> list[Measured]:
    filled = said[-1].done / max(each.seconds for each in said)
    p99 = [quantiles(each.sent_ms, n=100)[98] for each in (quiet, busy)]
    return [
        Measured("R rebuild beside sends and readers, events/s until the tables are full", f"{filled:,.0f}"),
        Measured(f"R the whole of it, {'equal' if is_equal else 'DIFFERENT'}", f"{seconds:,.0f} s"),
        Measured("R p99 of a send, quiet and beside", f"{p99[0]:,.1f} and {p99[1]:,.1f} ms ({p99[1] / p99[0]:.2f} x)"),
        Measured("R errors of readers", f"{busy.errors} of {busy.reads:,}"),
        Measured("R memory above idle", f"{memory_mib:,.0f} MiB"),
    ]


async def _generate(db: Database, master: object) -> int:
    record = InOrder(db, Vault(db, master), now=now, chance=os.urandom)  # type: ignore[arg-type]
    writer = asyncio.create_task(record.run())
    try:
        generator = Generator(record, events=EVENTS, seed=1, now=now, chance=os.urandom, progress=lambda progress: None)
        await generator.run()
        return (await record.head()).position
    finally:
        writer.cancel()
        await asyncio.gather(writer, return_exceptions=True)


def _memory_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
