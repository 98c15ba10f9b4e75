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


class Used(NamedTuple):
    """Seconds: of the wall clock, of the servers' processors by kind of process, of this process, of the whole machine."""

    wall: float
    of: dict[str, float]
    generator: float
    machine: float

    @property
    def servers(self) -> float:
        return sum(self.of.values())

    @property
    def generator_percent(self) -> float:
        return 100 * self.generator / self.wall

    @property
    def others_percent(self) -> float:
        """What other processes of this machine took meanwhile, in percent of one core."""
        return max(0.0, 100 * (self.machine - self.servers - self.generator) / self.wall)


def used_until_now(roots: Iterable[int]) -> Used:
    """Return what was used so far by these processes and their children, and by everybody."""
    times = psutil.cpu_times()
    busy = sum(times) - times.idle - getattr(times, "iowait", 0.0) - getattr(times, "guest", 0.0)
    return Used(time.perf_counter(), by_process(roots), time.process_time(), busy)


def used_since(before: Used, roots: Iterable[int]) -> Used:
    """Return what was used since then."""
    now = used_until_now(roots)
    of = {kind: max(0.0, seconds - before.of.get(kind, 0.0)) for kind, seconds in now.of.items()}
    return Used(now.wall - before.wall, of, now.generator - before.generator, now.machine - before.machine)


def by_process(roots: Iterable[int]) -> dict[str, float]:
    """Return the processor's seconds so far of each kind of process. Of those that have ended, such as an autovacuum, their parents
    tell: without them a sum falls."""
    found: dict[str, float] = {}
    for process in family(roots):
        try:
            kind = _kind(process)
        except psutil.NoSuchProcess:
            continue
        found[kind] = found.get(kind, 0.0) + _seconds(process)
    return found


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


def _kind(process: psutil.Process) -> str:
    """Return what a process is: a command of Hansard's, or the name of its program."""
    command = process.cmdline()
    return str(command[-1] if "runtime.cli" in command else process.name())


def _seconds(process: psutil.Process) -> float:
    try:
        times = process.cpu_times()
    except psutil.NoSuchProcess:
        return 0.0
    return float(times.user + times.system + times.children_user + times.children_system)
