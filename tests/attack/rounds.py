"""Rounds: one attack on a deployment, measured from all sides, and judged."""

import asyncio
import json
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from bench.deployment import Deployment
from tests.attack.measuring import MIB, Held, Observed, Times, breaches_of, observing
from tests.attack.observer import NUMBER
from tests.attack.scene import Attack, Found

QUIET_SECONDS = 6.0
QUIET_BETWEEN_SECONDS = 1.5
QUIET_KEPT_SECONDS = 60.0
WINDOW_SECONDS_MIN = 1.5
RSS_GROWN_MIB = 16.0
LASTS_SECONDS_MAX = 150.0


@dataclass(frozen=True)
class Row:
    """What became of one attack."""

    name: str
    found: Found
    quiet: dict[str, Times] = field(default_factory=dict)
    during: dict[str, Times] = field(default_factory=dict)
    rss_growth_mib: float = 0.0
    descriptors: int = 0
    broken: tuple[str, ...] = ()
    slow: tuple[str, ...] = ()
    is_second: bool = False

    @property
    def breaches(self) -> tuple[str, ...]:
        return self.broken + self.slow


class Field:
    """A deployment under attack, with somebody who observes it."""

    def __init__(self, deployment: Deployment, observed: Observed) -> None:
        self._deployment = deployment
        self._observed = observed
        self._quiet: list[tuple[float, float]] = []
        self._number = 0
        self._rss_first = Held(deployment).rss_before

    async def rest(self, seconds: float) -> None:
        """Observe it in quiet."""
        began = time.monotonic()
        await asyncio.sleep(seconds)
        self._quiet.append((began, time.monotonic()))

    async def quiet(self) -> dict[str, Times]:
        """Return how those who only want to be served were served lately, while nobody attacked."""
        recent = [each for each in self._quiet if each[1] > time.monotonic() - QUIET_KEPT_SECONDS]
        return await self._observed.during(*(recent or self._quiet[-1:]))

    async def suffer(self, attack: Attack, seconds: float) -> Row:
        """Let one attack run its course."""
        self._number += 1
        if not attack.is_patient and Held(self._deployment).rss_before > self._rss_first + RSS_GROWN_MIB * MIB:
            await self._renew()
        await self.rest(QUIET_BETWEEN_SECONDS)
        quiet, held = await self.quiet(), Held(self._deployment)
        looking = asyncio.create_task(held.look())
        began, ended, found = await self._strike(attack, seconds)
        window = (began, max(ended, began + WINDOW_SECONDS_MIN))
        during = await self._observed.during(window) if attack.is_watched else {}
        looking.cancel()
        slow = breaches_of(quiet, during) if attack.is_watched else []
        breaches = list(found.breaches)
        if held.rss_growth_mib > attack.rss_growth_mib_max:
            breaches.append(f"the gateway's memory grew by {held.rss_growth_mib:.0f} MiB")
        if held.is_gone:
            breaches.append("the gateway ended")
        if not attack.is_patient and not await self._observed.recovered():
            breaches.append("half a minute later others are not served as before")
        sizes = (held.rss_growth_mib, held.descriptors_most)
        return Row(attack.name, found, quiet, during, *sizes, tuple(breaches), tuple(slow))

    async def _renew(self) -> None:
        """Have a new gateway: what an attack made the last one take, it keeps, and would hide what the next one takes."""
        self._deployment.process("gateway").kill()
        await self._observed.recovered()

    async def _strike(self, attack: Attack, seconds: float) -> tuple[float, float, Found]:
        """Run an attacker; answers when the attack began and ended, and what it found."""
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "tests.attack.attacker", attack.name, str(self._deployment.port)),
            *(str(self._deployment.home), str(seconds), str(self._number % NUMBER)),
            stdout=asyncio.subprocess.PIPE,
        )
        assert process.stdout is not None, "it is a pipe"
        told: dict[str, object] = {}
        try:
            async with asyncio.timeout(LASTS_SECONDS_MAX):
                async for line in process.stdout:
                    told |= json.loads(line)
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()
        now = time.monotonic()
        match told:
            case {"began": float(began), "ended": float(ended), "found": dict(found)}:
                return began, ended, Found(**found)
            case _:
                lost = Found("?", "?", [f"the attacker did not come to its end (exit code {process.returncode})"])
                return float(str(told.get("began", now - 1.0))), now, lost


@asynccontextmanager
async def battlefield() -> AsyncIterator[Field]:
    """A deployment of its own as production limits it, observed, and seen in quiet."""
    async with Deployment(limits="strict", is_logged=True) as deployment:
        async with observing(deployment.port, deployment.home) as observed:
            made = Field(deployment, observed)
            await made.rest(QUIET_SECONDS)
            yield made
