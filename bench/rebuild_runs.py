"""`hansard rebuild`, typed as an operator types it, and watched: how far it is and what it does, its processor time and Postgres's, and
what each of its processes holds at most."""

import asyncio
import os
import pty
import re
import resource
import signal
import sys
import termios
import time
from asyncio.subprocess import PIPE
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path

import psutil
from msgspec import Struct

from bench.deployment import Deployment
from runtime.embedded.children import tied_to_parent
from workers.rebuild_reports import Progress

LOOK_SECONDS = 0.1
COMPARED_UNEQUAL = 3
BAR = re.compile(r"([\d,]+) of ([\d,]+) events \(\d+%\), ([\d,]+)/s")
STEP = re.compile(r"live: (?:adding what came meanwhile, and )?(making indexes|comparing|exchanging)")


class Step(Struct, frozen=True):
    """What a rebuild begins to do after filling, so many seconds after it began."""

    name: str
    seconds: float


class Rebuilt(Struct):
    """What was measured of one rebuild. Memory is that of its largest process at its peak, above what one holds that only waits."""

    jobs: int
    cores: int
    events: int
    events_a_second: float
    seconds: float
    python_us: float
    postgres_us: float
    memory_mib: float
    peaks_mib: list[float]
    is_equal: bool
    steps: list[Step]
    said: list[Progress]


class Watched:
    """One run of the command. `core`: it, and everything of the deployment, has this one alone."""

    def __init__(
        self, deployment: Deployment, jobs: int, *, swap: bool, idle_mib: float, core: int | None = None
    ) -> None:
        self._deployment = deployment
        self._jobs = jobs
        self._swap = swap
        self._idle_mib = idle_mib
        self._cores = all_cores() if core is None else {core}
        self._began = 0.0
        self._said: list[Progress] = []
        self.steps: list[Step] = []
        self._peaks: dict[int, float] = {}

    async def run(self) -> Rebuilt:
        shadow = () if self._swap else ("--shadow",)
        typed = "-m", "runtime.cli", "rebuild", "live", "--jobs", str(self._jobs), *shadow
        pin(self._deployment, self._cores)
        python, postgres, terminal = _children_seconds(), self._postgres_seconds(), _terminal()
        self._began = time.perf_counter()
        process = await asyncio.create_subprocess_exec(
            sys.executable, *typed, env=self._deployment.environment, stdout=PIPE, stderr=terminal[1],
            preexec_fn=_on_cores(self._cores),
        )  # fmt: skip
        os.close(terminal[1])
        looking = asyncio.create_task(self._look(process.pid))
        _, printed = await asyncio.gather(asyncio.to_thread(self._hear, terminal[0]), process.communicate())
        looking.cancel()
        pin(self._deployment, all_cores())
        seconds = time.perf_counter() - self._began
        assert process.returncode in (0, COMPARED_UNEQUAL), (process.returncode, printed[0])
        full = next(each for each in self._said if each.share == 1.0)
        peaks = sorted(self._peaks.values())
        return Rebuilt(
            self._jobs, len(self._cores), full.done, full.done / full.seconds, seconds,
            1e6 * (_children_seconds() - python) / full.done, 1e6 * (self._postgres_seconds() - postgres) / full.done,
            peaks[-1] - self._idle_mib, peaks, process.returncode == 0, self.steps, self._said,
        )  # fmt: skip

    def _hear(self, terminal: int) -> None:
        """Read its bar and its sentences until it ends."""
        heard = ""
        with suppress(OSError):  # what a terminal says that nobody writes to any more
            while read := os.read(terminal, 65_536).decode():
                *lines, heard = re.split(r"[\r\n]", heard + read)
                for line in lines:
                    self._hear_line(line)
        os.close(terminal)

    def _hear_line(self, line: str) -> None:
        if found := BAR.search(line):
            done, total, rate = (int(each.replace(",", "")) for each in found.groups())
            if rate and done > (self._said[-1].done if self._said else 0):
                self._said.append(Progress("live", done, total, done / rate))
        elif found := STEP.search(line):
            self.steps.append(Step(found.group(1), time.perf_counter() - self._began))

    async def _look(self, pid: int) -> None:
        """Note what each process holds at most."""
        while True:
            with suppress(psutil.Error):
                root = psutil.Process(pid)
                for each in (root, *root.children(recursive=True)):
                    self._peaks[each.pid] = peak_mib(each.pid) or self._peaks.get(each.pid, 0.0)
            await asyncio.sleep(LOOK_SECONDS)

    def _postgres_seconds(self) -> float:
        """Return the processor time of Postgres, with its processes that have ended."""
        for each in psutil.Process(self._deployment.pid).children(recursive=True):
            with suppress(psutil.Error):
                if each.name() == "postgres" and each.children():
                    times, own = each.cpu_times(), [child.cpu_times() for child in each.children()]
                    ended = times.children_user + times.children_system
                    return float(times.user + times.system + ended + sum(one.user + one.system for one in own))
        raise RuntimeError("this deployment has no Postgres of its own")


def all_cores() -> set[int]:
    return os.sched_getaffinity(0)


def pin(deployment: Deployment, cores: Iterable[int]) -> None:
    """Give all threads of a deployment these cores; what they start has them, too."""
    root = psutil.Process(deployment.pid)
    for process in (root, *root.children(recursive=True)):
        with suppress(psutil.Error, ProcessLookupError):
            for thread in process.threads():
                os.sched_setaffinity(thread.id, cores)


def _on_cores(cores: Iterable[int]) -> Callable[[], None]:
    tie = tied_to_parent(signal.SIGTERM)

    def before_exec() -> None:
        tie()
        os.sched_setaffinity(0, cores)

    return before_exec


def peak_mib(pid: int) -> float:
    """Return what a process held at its peak (proc(5)); 0 if it is gone."""
    with suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024
    return 0.0


def _terminal() -> tuple[int, int]:
    """Return both ends of a terminal that alters nothing."""
    ours, theirs = pty.openpty()
    changed = termios.tcgetattr(theirs)
    changed[1] &= ~termios.OPOST
    termios.tcsetattr(theirs, termios.TCSANOW, changed)
    return ours, theirs


def _children_seconds() -> float:
    """Return the processor time of processes that were started here, and waited for."""
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    return ended.ru_utime + ended.ru_stime
