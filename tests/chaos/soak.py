"""`python -m tests.chaos.soak`: steady talk and reconnections for an hour, and nothing may grow.

Every 10 s the memory and descriptors of each process are read, and the tasks of each gateway. The caches are filled
first, because a cache that fills grows and is bounded all the same. Exit code 1: memory grew by more than 1 MiB a minute,
or descriptors or tasks grew at all.
"""

import argparse
import asyncio
import random
import re
import signal
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import linear_regression, median

import httpx
import psutil
from hansard_client import Chat, Client

from commands.folds import FOLD_BYTES, FOLDS_BYTES_MAX
from tests.chaos.deployment import GATEWAYS, PROCESSES, Deployment, deployment
from tests.chaos.log import Log
from tests.chaos.people import Account, Observer, Sender, some_text
from tests.chaos.regulars import Regular
from tests.chaos.rounds import ROOMS, People
from tests.deployments import PASSWORD

SAMPLE_SECONDS = 10.0
LOGIN_SECONDS = 600.0
SENDS_AT_ONCE = 64
# A full cache still grows once: a dictionary whose entries come and go is made anew when as many have come as it has
# places for (10 MiB more, after 87,000 messages).
FILL_MESSAGES = 2 * FOLDS_BYTES_MAX // FOLD_BYTES
SETTLE_SAMPLES = 6
SAMPLES_MIN = 6
MEMORY_MIB_PER_MINUTE_MAX = 1.0
GROWTH_MAX = 10
MIB = 1024 * 1024
TASKS = re.compile(r"^hansard_asyncio_tasks (\d+)(?:\.0)?$", re.MULTILINE)


@dataclass(frozen=True)
class Sample:
    """What one process held at a time."""

    seconds: float
    memory_bytes: int
    descriptors: int
    tasks: int | None


def judge(name: str, samples: Sequence[Sample]) -> list[str]:
    """Return what grows of a process, in sentences; nothing when all is flat. The first samples are for settling."""
    steady = samples[SETTLE_SAMPLES:]
    if len(steady) < SAMPLES_MIN:
        return [f"{name}: {len(samples)} samples are too few to judge by; let it run longer."]
    grown = []
    slope = slope_mib_per_minute(steady)
    if slope > MEMORY_MIB_PER_MINUTE_MAX:
        grown.append(f"{name}: memory grows by {slope:.2f} MiB a minute.")
    for what, values in (
        ("descriptors", [sample.descriptors for sample in steady]),
        ("tasks", [sample.tasks for sample in steady if sample.tasks is not None]),
    ):
        if values and (growth := _growth(values)) > GROWTH_MAX:
            grown.append(f"{name}: {what} grew by {growth:.0f}.")
    return grown


def slope_mib_per_minute(samples: Sequence[Sample]) -> float:
    """Return how fast memory grows, by least squares."""
    if len(samples) < 2:
        return 0.0
    minutes = [sample.seconds / 60 for sample in samples]
    return linear_regression(minutes, [sample.memory_bytes / MIB for sample in samples]).slope


def _growth(values: Sequence[int]) -> float:
    """Return by how much the last third lies above the first: the median of each, so that a moment does not count."""
    third = len(values) // 3
    return median(values[-third:]) - median(values[:third])


class Soak:
    """Steady talk in a few rooms, by people who come and go."""

    def __init__(self, made: Deployment, seed: int) -> None:
        self.log = Log(keeps=False)
        self.samples: dict[str, list[Sample]] = {name: [] for name in PROCESSES}
        self._deployment = made
        self._people = People(made)
        self._chance = random.Random(seed)
        self._rooms: list[str] = []
        self._owner: Account

    async def move_in(self) -> list["asyncio.Task[None]"]:
        """Open rooms and let everybody begin."""
        self._owner, senders, observers, regulars = await self._people.gather()
        made, log, chance = self._deployment, self.log, self._chance
        async with Client(made.base(GATEWAYS[0])) as client:
            await client.login(self._owner.email, PASSWORD)
            for i in range(ROOMS):
                self._rooms.append((await client.open_room(f"Room {i}")).id)
                for account in (*senders, *observers, *regulars):
                    await client.put_member(self._rooms[-1], account.user_id)
        habitues = [Regular(made, log, each, chance.sample(self._rooms, 2), _own(chance)) for each in regulars]
        for regular in habitues:
            await regular.log_in()
        loops = [Observer(made, log, each, chance.sample(self._rooms, 3), _own(chance)).run() for each in observers]
        loops += [regular.run() for regular in habitues]
        loops += [
            Sender(made, log, each, self._rooms, _own(chance)).run(by_rest=i % 2 == 0) for i, each in enumerate(senders)
        ]
        return [asyncio.create_task(loop) for loop in loops]

    async def fill(self, messages: int) -> None:
        """Fill the caches of each gateway: so many messages, in a room that nobody else hears."""
        for name in GATEWAYS:
            async with Client(self._deployment.base(name)) as client:
                await client.login(self._owner.email, PASSWORD)
                room = (await client.open_room("Filling")).id
                numbers = iter(range(messages))
                async with client.chat() as chat, asyncio.TaskGroup() as group:
                    for _ in range(SENDS_AT_ONCE):
                        group.create_task(_post(chat, room, numbers, _own(self._chance)))

    async def sample(self, seconds: float) -> None:
        """Look at every process once."""
        async with httpx.AsyncClient(timeout=SAMPLE_SECONDS) as http:
            for name in PROCESSES:
                process = psutil.Process(self._deployment.processes[name].pid)
                tasks = None
                if name in GATEWAYS:
                    found = TASKS.search((await http.get(f"{self._deployment.base(name)}/metrics")).text)
                    tasks = int(found[1]) if found else None
                self.samples[name].append(Sample(seconds, process.memory_info().rss, process.num_fds(), tasks))

    async def log_in_again(self) -> None:
        """Renew everybody's token before it expires; each takes it when they connect next."""
        while True:
            await asyncio.sleep(LOGIN_SECONDS)
            await self._people.gather()


async def _post(chat: Chat, room: str, numbers: Iterator[int], chance: random.Random) -> None:
    """Post texts as long as those that come later: what a cache holds in the end is the same."""
    for number in numbers:
        await chat.send(room, some_text(str(number), chance))


def _own(chance: random.Random) -> random.Random:
    return random.Random(chance.getrandbits(64))


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.soak", description="Run for long, and grow nothing.")
    parser.add_argument("--seconds", type=float, default=3600.0, help="how long to look (default 3600)")
    parser.add_argument("--fill", type=int, default=FILL_MESSAGES, help="messages to fill caches with")
    parser.add_argument("--seed", type=int, default=random.randrange(2**32))
    asked = parser.parse_args(arguments)
    return asyncio.run(_run(asked.seconds, asked.fill, asked.seed))


async def _run(seconds: float, fill: int, seed: int) -> int:
    stopped, loop = asyncio.Event(), asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopped.set)
    print(f"Soak for {seconds:.0f} s, seed {seed}.", flush=True)
    with tempfile.TemporaryDirectory(prefix="hansard-soak-") as folder:
        async with deployment(Path(folder)) as made:
            soak = Soak(made, seed)
            people = [*await soak.move_in(), asyncio.create_task(soak.log_in_again())]
            try:
                print(f"Filling the caches of each gateway with {fill} messages …", flush=True)
                await soak.fill(fill)
                began = loop.time()
                while (elapsed := loop.time() - began) < seconds and not stopped.is_set():
                    await soak.sample(elapsed)
                    print(_line(elapsed, soak), flush=True)
                    _check(people, made)
                    try:
                        async with asyncio.timeout(SAMPLE_SECONDS):
                            await stopped.wait()
                    except TimeoutError:
                        pass
            finally:
                for task in people:
                    task.cancel()
                await asyncio.gather(*people, return_exceptions=True)
    grown = [sentence for name, samples in soak.samples.items() for sentence in judge(name, samples)]
    print(f"\n{soak.log.figures['acknowledged']} sends, {soak.log.figures['events observed']} events observed, "
          f"{soak.log.figures['connections']} connections")  # fmt: skip
    for name, samples in soak.samples.items():
        slope, last = slope_mib_per_minute(samples[SETTLE_SAMPLES:]), samples[-1]
        print(f"  {name:<12} {last.memory_bytes / MIB:6.1f} MiB ({slope:+.2f} a minute), "
              f"{last.descriptors} descriptors, {'-' if last.tasks is None else last.tasks} tasks")  # fmt: skip
    print("\n".join([*grown, *(f"{count} {name}" for name, count in soak.log.complaints.items())]) or "Nothing grew.")
    return 1 if grown or made.ends else 0


def _check(people: Sequence["asyncio.Task[None]"], made: Deployment) -> None:
    """Raise what ended somebody's loop, or a process that nobody harmed."""
    made.check_keepers()
    for task in people:
        if task.done():
            task.result()
    for end in made.ends:
        print(f"{end.name} ended with {end.code}: {end.said}")


def _line(elapsed: float, soak: Soak) -> str:
    """Return the progress, and what each process holds."""
    held = "  ".join(f"{name} {samples[-1].memory_bytes / MIB:.0f}" for name, samples in soak.samples.items())
    return f"{elapsed:6.0f} s  {soak.log.figures['acknowledged']} acknowledged  MiB: {held}"


if __name__ == "__main__":
    sys.exit(main())
