"""Hashing gives way to who talks, and still gets its share where the machine is busy with something else."""

import asyncio
import os
import sys
import time
from statistics import median

import pytest

from adapters.credentials.passwords import AT_ONCE_MAX, FLOOD_WAITING, REST_SECONDS_MAX, WAITING_MAX, Argon2Passwords

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


async def rests_of(count: int) -> list[float]:
    """Return the seconds of each rest while so many log in at once, each from an address and to an account of its own."""
    rests: list[float] = []
    with Argon2Passwords(memory_kib=8, time_cost=1, parallelism=1, rest=rests.append) as passwords:
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


async def test_a_rest_is_bounded_however_long_a_hash_took() -> None:
    rests: list[float] = []
    with Argon2Passwords(memory_kib=8, time_cost=1, parallelism=1, rest=rests.append) as passwords:
        passwords._thread.worked = 3_600.0
        assert passwords._paced(True, lambda: "done") == "done"
    assert rests == [REST_SECONDS_MAX]
