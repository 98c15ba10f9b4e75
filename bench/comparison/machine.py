"""The machine: which cores the servers have and which the generator, and what processes cost.

Servers are started while this process is pinned to their cores, which their children inherit. Processor time hardly
depends on what else the machine does; rates and delays do.
"""

import os
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

import psutil


class Cores(NamedTuple):
    """Cores by number."""

    servers: frozenset[int]
    generator: frozenset[int]

    @property
    def are_apart(self) -> bool:
        return not self.servers & self.generator


def cores(count: int) -> Cores:
    """Give the first `count` cores to the servers and the last one to the generator."""
    there = sorted(os.sched_getaffinity(0))
    return Cores(frozenset(there[:count]), frozenset(there[-1:]))


@contextmanager
def pinned(numbers: frozenset[int]) -> Iterator[None]:
    """Have this thread, and what it starts, on these cores for a while."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, numbers)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


class Spent(NamedTuple):
    """Seconds: of the wall clock, of the servers' processors, of this process, and of everything on the machine."""

    wall: float
    servers: float
    generator: float
    machine: float

    def since(self, before: "Spent") -> "Spent":
        return Spent(*(now - then for now, then in zip(self, before, strict=True)))

    @property
    def generator_percent(self) -> float:
        return 100 * self.generator / self.wall

    @property
    def others_percent(self) -> float:
        """What other processes of this machine took meanwhile, in percent of one core."""
        return max(0.0, 100 * (self.machine - self.servers - self.generator) / self.wall)


def spent(roots: Iterable[int]) -> Spent:
    """Return what was spent so far by these processes and their children, and by everybody."""
    times = psutil.cpu_times()
    busy = sum(times) - times.idle - getattr(times, "iowait", 0.0) - getattr(times, "guest", 0.0)
    return Spent(time.perf_counter(), sum(_seconds(one) for one in family(roots)), time.process_time(), busy)


def memory_kib(roots: Iterable[int]) -> int:
    """Return what these processes hold: shared pages are divided among those that share them."""
    held = 0
    for process in family(roots):
        try:
            held += process.memory_full_info().pss
        except psutil.NoSuchProcess:
            continue
    return held // 1024


def family(roots: Iterable[int]) -> list[psutil.Process]:
    """Return these processes and all their children."""
    found: list[psutil.Process] = []
    for root in roots:
        try:
            process = psutil.Process(root)
            found += (process, *process.children(recursive=True))
        except psutil.NoSuchProcess:
            continue
    return found


def _seconds(process: psutil.Process) -> float:
    try:
        times = process.cpu_times()
    except psutil.NoSuchProcess:
        return 0.0
    return float(times.user + times.system)
