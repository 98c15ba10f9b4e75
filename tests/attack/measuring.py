"""Measuring: what the observer was served, and what the gateway held, from one moment to another."""

import asyncio
import json
import math
import sys
import time
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from bench.deployment import Deployment
from tests.attack.observer import LIVEZ_A_SECOND, LOGINS_A_SECOND, SENDS_A_SECOND

RATES = {"livez": LIVEZ_A_SECOND, "sends": SENDS_A_SECOND, "log-ins": LOGINS_A_SECOND}
JUDGED = {"livez": "p99", "sends": "p99", "log-ins": "p50"}
WAIT_SECONDS = 25.0
RECOVERY_SECONDS = 30.0
RECOVERED_SECONDS = {"livez": 0.3, "sends": 0.5, "log-ins": 3.0}
RECOVERED_LOOK_SECONDS = 1.2
LOOK_SECONDS = 0.1
FLOOR_MS = 25.0
RATIO_MAX = 3.0
MIB = 1024**2


@dataclass(frozen=True)
class Times:
    """How long one kind of thing took, in ms; what failed took for ever."""

    p50: float
    p99: float
    count: int
    failed: int

    @classmethod
    def of(cls, taken: list[float | None]) -> "Times":
        ordered = sorted(math.inf if each is None else each * 1000 for each in taken)
        if not ordered:
            return cls(0.0, 0.0, 0, 0)
        count = len(ordered)
        return cls(ordered[count // 2], ordered[math.ceil(count * 0.99) - 1], count, ordered.count(math.inf))


class Observed:
    """The samples of an observer."""

    def __init__(self) -> None:
        self._samples: dict[str, list[tuple[float, float | None]]] = defaultdict(list)

    async def run(self, lines: asyncio.StreamReader) -> None:
        async for line in lines:
            sample = json.loads(line)
            self._samples[sample["what"]].append((sample["at"], sample["took"]))

    async def during(self, *windows: tuple[float, float]) -> dict[str, Times]:
        """Return the times of what was due in these windows; waits a while for what is still under way."""
        deadline = time.monotonic() + WAIT_SECONDS
        while time.monotonic() < deadline and any(self._missing(what, *each) for what in RATES for each in windows):
            await asyncio.sleep(LOOK_SECONDS)
        return {what: Times.of([took for each in windows for took in self._due(what, *each)]) for what in RATES}

    async def recovered(self) -> bool:
        """Wait until everything is served at once again; False where it is not in time."""
        deadline = time.monotonic() + RECOVERY_SECONDS
        while time.monotonic() < deadline:
            since = time.monotonic()
            await asyncio.sleep(RECOVERED_LOOK_SECONDS)
            latest = {what: self._taken(what, since, time.monotonic()) for what in RATES}
            if all(
                len(taken) >= RATES[what] / 3
                and all(each is not None and each < RECOVERED_SECONDS[what] for each in taken)
                for what, taken in latest.items()
            ):
                return True
        return False

    def _taken(self, what: str, began: float, ended: float) -> list[float | None]:
        return [took for at, took in self._samples[what] if began <= at < ended]

    def _missing(self, what: str, began: float, ended: float) -> int:
        """How many samples have not come that are due."""
        return max(0, int(RATES[what] * (ended - began)) - 1 - len(self._taken(what, began, ended)))

    def _due(self, what: str, began: float, ended: float) -> list[float | None]:
        return self._taken(what, began, ended) + [None] * self._missing(what, began, ended)


@asynccontextmanager
async def observing(port: int, home: Path) -> AsyncIterator[Observed]:
    """Have an observer look at a deployment for a block; begins when it is served."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.attack.observer", str(port), str(home)), stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None, "it is a pipe"
    observed = Observed()
    reading = asyncio.create_task(observed.run(process.stdout))
    try:
        if not await observed.recovered():
            raise RuntimeError("the observer is not served, and nobody attacks")
        yield observed
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()
        await reading


class Held:
    """What the gateway holds: its memory and descriptors, before and at most, and whether it is the same process."""

    def __init__(self, deployment: Deployment) -> None:
        self._gateway = deployment.process("gateway")
        self.rss_before = self.rss_most = self._gateway.memory_info().rss
        self.descriptors_most = self._gateway.num_fds()
        self.is_gone = False

    async def look(self) -> None:
        """Look again and again, until cancelled or there is nothing to see."""
        while not self.is_gone:
            try:
                self.rss_most = max(self.rss_most, self._gateway.memory_info().rss)
                self.descriptors_most = max(self.descriptors_most, self._gateway.num_fds())
            except psutil.NoSuchProcess:
                self.is_gone = True
            await asyncio.sleep(LOOK_SECONDS)

    @property
    def rss_growth_mib(self) -> float:
        return float(self.rss_most - self.rss_before) / MIB


def breaches_of(quiet: dict[str, Times], during: dict[str, Times]) -> list[str]:
    """Return what took more than three times as long as in quiet, by its p99; what is below the floor does not count.

    Of log-ins there are too few for a p99, and hashing takes what time nobody else wants: their median is held to it.
    """
    found = []
    for what, name in JUDGED.items():
        before, now = getattr(quiet[what], name), getattr(during[what], name)
        if now > RATIO_MAX * max(FLOOR_MS, before):
            failed = f"; {during[what].failed} of {during[what].count} failed" if during[what].failed else ""
            found.append(f"{what}: {name} {now:.0f} ms, {before:.0f} in quiet{failed}")
    return found
