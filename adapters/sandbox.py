"""The sandbox: a pool of warm children that decode what strangers sent, and can hurt at most themselves.

A child gets an open file and answers with bytes; it has no way to anything else (`workers/child.py`). One that is silent
for too long is killed; one that dies or errs is replaced, and every child is replaced after some jobs anyway.
"""

import asyncio
import json
import math
import os
import resource
import signal
import socket
import subprocess
import sys
import time
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import structlog
from msgspec import Struct

from adapters.answers import CHECKED, BadAnswer, greeting_of, header_of, require_kind
from domain.limits import (
    CHILD_CPU_SECONDS,
    CHILD_JOBS_MAX,
    CHILD_START_SECONDS,
    CHILD_WALL_SECONDS,
)

log = structlog.get_logger()

READ_BYTES = 256 * 1024


class ChildDied(Exception):
    """A child ended or fell silent while it was at work."""


class SandboxMissing(Exception):
    """The children cannot be locked up as they must be here; the sentence says what to do."""


class Produced(Struct, frozen=True):
    name: str
    width: int
    height: int
    mime_type: str
    content: bytes


class Result(Struct, frozen=True):
    """What a child answered: what it made, or the reason why it refuses."""

    made: tuple[Produced, ...] = ()
    pages: int | None = None
    reason: str | None = None


class Sandbox:
    """At most `size` children at work. Use it as a context: at its end no child is left."""

    def __init__(self, *, module: str, size: int, strict: bool, wall_seconds: float = CHILD_WALL_SECONDS) -> None:
        """`module` is what children run; `strict` refuses to work without seccomp."""
        self._module = module
        self._strict = strict
        self._wall_seconds = wall_seconds
        self._free = asyncio.Semaphore(size)
        self._idle: deque[_Child] = deque()
        self._all: set[_Child] = set()
        self._warned = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for child in list(self._all):
            child.kill()
        self._all.clear()

    async def run(self, job: str, file: Path, *, mime_type: str, operations: Sequence[str]) -> Result:
        """Have a child do a job with a file of this machine. Raises `ChildDied`, `SandboxMissing`."""
        async with self._free:
            child = await self._child()
            talk = asyncio.ensure_future(
                asyncio.to_thread(child.ask, job, file, mime_type, list(operations), self._wall_seconds)
            )
            try:
                result, goes_on = await asyncio.shield(talk)
            except BaseException:
                child.stop()  # which ends the talk too; only then is its line closed
                await asyncio.gather(talk, return_exceptions=True)
                self._end(child)
                raise
            if goes_on:
                self._idle.append(child)
            else:
                self._end(child)
            return result

    async def held_by(self) -> str:
        """Start a child, where none is waiting, and answer what holds it. Raises `SandboxMissing`, `ChildDied`."""
        async with self._free:
            try:
                child = await self._child()
            except OSError as error:
                raise ChildDied(f"no child can be started: {error}") from error
            self._idle.append(child)
            return child.held_by

    def pids(self) -> list[int]:
        """Return the processes of the children."""
        return [child.pid for child in self._all]

    async def _child(self) -> "_Child":
        while self._idle:
            child = self._idle.pop()
            if child.is_alive():
                return child
            self._end(child)
        child = _Child(self._module)
        self._all.add(child)
        try:
            sandbox = await asyncio.to_thread(child.start)
        except BaseException:
            self._end(child)
            raise
        child.held_by = sandbox
        if sandbox != "seccomp":
            if self._strict:
                self._end(child)
                raise SandboxMissing("Files cannot be processed safely: install libseccomp2, on Linux 4.14 or newer.")
            if not self._warned:
                log.warning("children are held by limits only: there is no libseccomp here")
                self._warned = True
        return child

    def _end(self, child: "_Child") -> None:
        child.kill()
        self._all.discard(child)


class _Child:
    """One child process, and the line to it. `start` and `ask` block, and are called in threads."""

    def __init__(self, module: str) -> None:
        self._line, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", module, str(theirs.fileno()), str(os.getpid())],
                env={"PATH": "", "LC_ALL": "C.UTF-8", "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
                pass_fds=(theirs.fileno(),),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
        self.pid = self._process.pid
        self.held_by = ""
        self._jobs = 0
        self._cpu_seconds = 0.0

    def start(self) -> str:
        """Wait until it has locked itself up; answers how."""
        try:
            line, _ = self._read(time.monotonic() + CHILD_START_SECONDS)
            return greeting_of(line)
        except (OSError, EOFError, ValueError) as error:
            raise ChildDied(f"{type(error).__name__}: {error}") from error

    def ask(
        self, job: str, file: Path, mime_type: str, operations: list[str], wall_seconds: float
    ) -> tuple[Result, bool]:
        """Do one job; answers its result, and whether this child goes on."""
        deadline = time.monotonic() + wall_seconds
        self._allow_cpu()
        asked = {"job": job, "mime_type": mime_type, "operations": operations}
        try:
            with file.open("rb") as opened:
                self._line.settimeout(wall_seconds)
                socket.send_fds(self._line, [json.dumps(asked).encode() + b"\n"], [opened.fileno()])
            line, rest = self._read(deadline)
            header = header_of(line, job, operations, cpu_seconds=self._cpu_seconds)
            made = []
            for name, width, height, kind, size in header.made:
                content, rest = self._read_bytes(size, rest, deadline)
                if job in CHECKED:
                    require_kind(content, kind)
                made.append(Produced(name, width, height, kind, content))
            if rest:
                raise BadAnswer("more bytes than it announced")
        except (OSError, EOFError, ValueError) as error:
            raise ChildDied(f"{type(error).__name__}: {error}") from error
        self._jobs += 1
        self._cpu_seconds = header.cpu_seconds
        goes_on = self._jobs < CHILD_JOBS_MAX and header.reason is None
        return Result(tuple(made), header.pages, header.reason), goes_on

    def is_alive(self) -> bool:
        return self._process.poll() is None

    def stop(self) -> None:
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGKILL)

    def kill(self) -> None:
        self.stop()
        self._process.wait()
        self._line.close()

    def _allow_cpu(self) -> None:
        """Let the child compute for so long from now on, whatever it does."""
        if hasattr(resource, "prlimit"):
            until = math.ceil(self._cpu_seconds) + CHILD_CPU_SECONDS
            try:
                resource.prlimit(self.pid, resource.RLIMIT_CPU, (until, resource.RLIM_INFINITY))
            except (ProcessLookupError, PermissionError, ValueError):
                return  # it died, which the talk will show; or its hard limit is set, and holds

    def _read(self, deadline: float) -> tuple[bytes, bytes]:
        """Read one line; answers it and what came after it."""
        data = b""
        while b"\n" not in data:
            if len(data) > READ_BYTES:
                raise ValueError("a header without an end")
            data += self._some(deadline)
        line, _, rest = data.partition(b"\n")
        return line, rest

    def _read_bytes(self, size: int, had: bytes, deadline: float) -> tuple[bytes, bytes]:
        data = bytearray(had)
        while len(data) < size:
            data += self._some(deadline)
        return bytes(data[:size]), bytes(data[size:])

    def _some(self, deadline: float) -> bytes:
        left = deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError("silent for too long")
        self._line.settimeout(left)
        data = self._line.recv(READ_BYTES)
        if not data:
            raise EOFError("it ended")
        return data
