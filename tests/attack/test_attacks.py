"""Attacks whose outcome does not hang on how fast a machine is: what must be closed, refused or kept in bounds.

`make attack` runs them all, and measures what others notice. Here each has a second, on one deployment for all.
"""

import asyncio
import math
from collections.abc import AsyncIterator

import psutil
import pytest
import pytest_asyncio

from bench.deployment import Deployment
from tests.attack.attacks import ATTACKS
from tests.attack.measuring import Held, Times, breaches_of
from tests.attack.scene import Scene
from tests.attack.wires import HOST, ask

pytestmark = pytest.mark.asyncio(loop_scope="module")
SECONDS = 1.0
LIVEZ_SECONDS = 5.0
PROBE_SECONDS = 0.25
# In the order in which they come; what would stop the deployment for good, last.
SOON = (
    "pings", "pongs", "continuations", "fragments", "big-heads", "endless-header", "endless-url", "many-headers",
    "upgrade-heads", "chunk-extension", "trailers", "hosts", "smuggling", "idle-connections", "spelling-register",
    "spelling-messages", "lock-out", "forgot", "database-log-in", "deleted-text", "joined-history", "look-alikes", "log-lines",
    "markdown-definitions", "poison-event",
)  # fmt: skip


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def deployment() -> AsyncIterator[Deployment]:
    async with Deployment(limits="strict", is_logged=True) as made:
        yield made


@pytest.mark.parametrize(("number", "name"), enumerate(SOON), ids=SOON)
async def test_it_is_held(deployment: Deployment, number: int, name: str) -> None:
    """Nothing is broken, `/livez` is answered all the while, and the gateway neither swells nor ends."""
    attack, slowest = ATTACKS[name], 0.0
    loop, held = asyncio.get_running_loop(), Held(deployment)

    async def probe() -> None:
        nonlocal slowest
        while True:
            started = loop.time()
            answer = await ask(deployment.port, HOST, "GET", "/livez")
            slowest = max(slowest, loop.time() - started if answer.status == 200 else math.inf)
            await asyncio.sleep(PROBE_SECONDS)

    beside = [asyncio.create_task(probe()), asyncio.create_task(held.look())]
    try:
        found = await attack.run(Scene(deployment.port, deployment.home, SECONDS, number=number))
    finally:
        for task in beside:
            task.cancel()
        await asyncio.gather(*beside, return_exceptions=True)
    assert not found.breaches, f"{attack.rule} {found.sent}: {found.answered}"
    assert slowest < LIVEZ_SECONDS, f"/livez took {slowest:.1f} s"
    assert not held.is_gone and psutil.pid_exists(deployment.process("gateway").pid)
    assert held.rss_growth_mib < attack.rss_growth_mib_max


def _times(p99: float) -> dict[str, Times]:
    return dict.fromkeys(("livez", "sends", "log-ins"), Times(p99 / 2, p99, 100, 0))


async def test_the_worst_is_told_and_what_failed_took_for_ever() -> None:
    assert Times.of([0.001 * n for n in range(1, 201)]) == Times(101.0, 198.0, 200, 0)
    assert Times.of([0.005, None, 0.005]) == Times(5.0, math.inf, 3, 1)
    assert Times.of([]) == Times(0.0, 0.0, 0, 0)


async def test_three_times_as_long_as_in_quiet_is_a_breach_and_what_is_short_anyway_is_none() -> None:
    assert breaches_of(_times(4.0), _times(74.0)) == []
    assert len(breaches_of(_times(4.0), _times(76.0))) == 2
    assert breaches_of(_times(100.0), _times(299.0)) == []
    assert breaches_of(_times(100.0), _times(301.0)) == [
        "livez: p99 301 ms, 100 in quiet",
        "sends: p99 301 ms, 100 in quiet",
        "log-ins: p50 150 ms, 50 in quiet",
    ]
    failed = _times(10.0) | {"sends": Times(5.0, math.inf, 60, 2)}
    assert breaches_of(_times(10.0), failed) == ["sends: p99 inf ms, 10 in quiet; 2 of 60 failed"]


@pytest.mark.parametrize("name", ATTACKS)
async def test_an_attack_names_the_rule_that_it_tries_to_break(name: str) -> None:
    assert ATTACKS[name].rule.endswith((".", ")."))
