"""The record under several gateways: commands a second when the same number of commands waits in 1, 4 or 16 processes (S9).

Run as `python -m bench.writers URL MASTER_KEY WAITING SECONDS` this is one such process: it says that it is ready, posts
once it is told to, and prints how many posts were acknowledged.
"""

import asyncio
import os
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from uuid import UUID

import uvloop

from adapters.postgres.master_key import load_master
from bench.record import record_in, settle
from bench.sockets import TEXT, Measured
from commands import HANDLERS
from commands.command_bus import CommandBus
from commands.message import PostMessage
from domain.ids import MessageId

WAITING = 16
PROCESSES = (1, 4, 16)
SECONDS = 4.0
WARM_UP_SECONDS = 0.5
RUNS = 3


async def gateways(url: str, master_key: Path) -> list[Measured]:
    """S9: the processes take turns within each of the runs, so that what else the machine does meets all of them."""
    rates: dict[int, list[float]] = {count: [] for count in PROCESSES}
    for _ in range(RUNS):
        for count in PROCESSES:
            rates[count].append(await _run(url, master_key, count))
    one = median(rates[PROCESSES[0]])
    return [
        Measured(
            f"S9 commands/s into the record, {WAITING} waiting over {count} processes",
            f"{median(found):,.0f} (× {median(found) / one:.2f})",
        )
        for count, found in rates.items()
    ]


async def _run(url: str, master_key: Path, count: int) -> float:
    arguments = ("-m", "bench.writers", url, str(master_key), str(WAITING // count), str(SECONDS))
    pipes = {"stdin": asyncio.subprocess.PIPE, "stdout": asyncio.subprocess.PIPE}
    processes = [await asyncio.create_subprocess_exec(sys.executable, *arguments, **pipes) for _ in range(count)]  # type: ignore[arg-type]
    for process in processes:
        assert process.stdout is not None
        await process.stdout.readline()
    answers = await asyncio.gather(*(process.communicate(b"go\n") for process in processes))
    return sum(int(answer) for answer, _ in answers) / SECONDS


async def post(url: str, master_key: Path, waiting: int, seconds: float) -> None:
    async with record_in(url, load_master(master_key, create=False)) as record:
        command_bus = CommandBus(record, HANDLERS, now=lambda: datetime.now(UTC), chance=os.urandom)
        caller, rooms = await settle(command_bus)
        done = 0

        async def post_until(room: int, until: float) -> None:
            nonlocal done
            while time.perf_counter() < until:
                await command_bus.do(PostMessage(rooms[room], MessageId(UUID(bytes=os.urandom(16))), TEXT), caller)
                done += 1

        async def post_for(seconds: float) -> None:
            await asyncio.gather(*(post_until(i, time.perf_counter() + seconds) for i in range(waiting)))

        await post_for(WARM_UP_SECONDS)
        print("ready", flush=True)
        await asyncio.to_thread(sys.stdin.readline)
        done = 0
        await post_for(seconds)
        print(done)


if __name__ == "__main__":
    uvloop.run(post(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4])))
