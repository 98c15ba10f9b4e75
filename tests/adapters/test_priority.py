"""Hashing gives way to who talks, and still gets its share where the machine is busy with something else."""

import asyncio
import os
import sys
import time
from statistics import median

import pytest

from adapters.credentials.passwords import AT_ONCE_MAX, REST_SECONDS_MAX, Argon2Passwords

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


async def test_who_waits_alone_waits_for_no_rest_of_a_flood() -> None:
    """A rest is made to be long; the flood's own wait for it, in bounds, and nobody else does."""
    with Argon2Passwords(memory_kib=8, time_cost=1, parallelism=1) as passwords:
        loop = asyncio.get_running_loop()
        passwords._rests_until = time.monotonic() + 3_600
        async with asyncio.timeout(60):
            began = time.monotonic()
            await passwords.hash("x", address="here", account="mine")
            alone = time.monotonic() - began
            passwords._rests_until = time.monotonic() + 3_600
            began = time.monotonic()
            flood = [
                loop.create_task(passwords.hash("x", address="there", account=f"{i}")) for i in range(4 * AT_ONCE_MAX)
            ]
            await asyncio.gather(*flood)
            crowd = time.monotonic() - began
    assert alone < REST_SECONDS_MAX <= crowd < 60
