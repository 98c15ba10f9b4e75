"""Hashing gives way to who talks, and still gets its share where the machine is busy with something else."""

import asyncio
import os
import sys
import threading
import time
from statistics import median

import pytest

from adapters.credentials.other_work import OtherWork
from adapters.credentials.passwords import (
    AT_ONCE_IDLE_MAX,
    AT_ONCE_MAX,
    FLOOD_WAITING,
    PROCESSORS,
    REST_SECONDS_MAX,
    WAITING_MAX,
    Argon2Passwords,
)

HASHES = 5


async def took(passwords: Argon2Passwords) -> float:
    """Return the seconds that a hash takes, in the middle."""
    times = []
    for _ in range(HASHES):
        began = time.perf_counter()
        await passwords.hash("x", address="here", account="mine")
        times.append(time.perf_counter() - began)
    return median(times)


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="processors are chosen on Linux only")
async def test_a_hash_beside_a_busy_process_takes_a_few_times_as_long_and_does_not_starve() -> None:
    """On one processor, with a neighbour of the same session that never rests: with SCHED_IDLE it took 500 times as long."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(before)})
    try:
        with Argon2Passwords(memory_kib=19_456, time_cost=2, parallelism=1) as passwords:
            alone = await took(passwords)
            neighbour = await asyncio.create_subprocess_exec(sys.executable, "-c", "while True: pass")
            try:
                async with asyncio.timeout(60):
                    beside = await took(passwords)
            finally:
                neighbour.kill()
                await neighbour.wait()
    finally:
        os.sched_setaffinity(0, before)
    assert beside < 25 * alone, f"{alone:.3f} s alone, {beside:.3f} s beside a busy process"


class Others(OtherWork):
    """A machine of which others use so many processors."""

    def __init__(self, processors: float) -> None:
        super().__init__()
        self.busy = processors

    def processors(self) -> float:
        return self.busy


BUSY = Others(PROCESSORS)
IDLE = Others(0.0)


async def rests_of(count: int, others: OtherWork = BUSY) -> list[float]:
    """Return the seconds of each rest while so many log in at once, each from an address and to an account of its own."""
    rests: list[float] = []
    with Argon2Passwords(memory_kib=8, time_cost=1, parallelism=1, rest=rests.append, others=others) as passwords:
        async with asyncio.timeout(60), asyncio.TaskGroup() as tasks:
            for i in range(count):
                tasks.create_task(passwords.hash("x", address=f"address {i}", account=f"account {i}"))
    return rests


async def test_a_flood_rests_between_hashes_wherever_it_comes_from() -> None:
    """All but the first find a long queue, until no more than FLOOD_WAITING are left of them."""
    rests = await rests_of(WAITING_MAX)
    most = WAITING_MAX - 1 - FLOOD_WAITING
    assert most - AT_ONCE_MAX < len(rests) <= most
    assert all(0 <= seconds <= REST_SECONDS_MAX for seconds in rests) and any(rests)


@pytest.mark.parametrize("count", [1, FLOOD_WAITING])
async def test_nobody_rests_while_few_wait(count: int) -> None:
    assert await rests_of(count) == []


async def test_nobody_rests_on_a_machine_that_has_nothing_else_to_do() -> None:
    assert await rests_of(WAITING_MAX, IDLE) == []


@pytest.mark.parametrize(("others", "most"), [(BUSY, AT_ONCE_MAX), (IDLE, AT_ONCE_IDLE_MAX)])
async def test_all_cores_hash_where_nothing_else_is_to_be_done(others: OtherWork, most: int) -> None:
    at_once, begun, goes_on = 0, asyncio.Event(), threading.Event()
    loop = asyncio.get_running_loop()

    def work() -> None:
        nonlocal at_once
        at_once += 1
        if at_once == most:
            loop.call_soon_threadsafe(begun.set)
        goes_on.wait(30)

    with Argon2Passwords(memory_kib=8, time_cost=1, parallelism=1, others=others) as passwords:
        async with asyncio.timeout(30), asyncio.TaskGroup() as tasks:
            for i in range(WAITING_MAX):
                tasks.create_task(passwords._run(f"address {i}", f"account {i}", work))
            await begun.wait()
            assert at_once == most
            goes_on.set()


def test_other_work_is_what_the_machine_did_without_ours() -> None:
    seconds = {"clock": 100.0, "busy": 50.0}
    others = OtherWork(lambda: seconds["busy"], lambda: seconds["clock"])
    assert others.processors() == float("inf"), "nothing is known yet"
    seconds |= {"clock": 102.0, "busy": 53.0}
    others.note(2.0)
    assert others.processors() == 0.5
    seconds |= {"clock": 102.1, "busy": 53.2}
    assert others.processors() == 0.5, "it does not look so often"
    seconds |= {"clock": 104.0, "busy": 57.0}
    assert others.processors() == 2.0, "what was ours is taken off once"
    assert OtherWork(lambda: None).processors() == float("inf")


async def test_a_rest_is_bounded_however_long_a_hash_took() -> None:
    rests: list[float] = []
    with Argon2Passwords(memory_kib=8, time_cost=1, parallelism=1, rest=rests.append) as passwords:
        passwords._thread.worked = 3_600.0
        assert passwords._paced(True, lambda: "done") == "done"
    assert rests == [REST_SECONDS_MAX]
