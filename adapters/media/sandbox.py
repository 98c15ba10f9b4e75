"""The sandbox: children that decode what strangers sent, one file each, and can hurt at most themselves.

A nursery is started once and warm; for each file it forks a child, which gets an open file and answers with bytes; it has no
way to anything else (`workers/files/child.py`), and no file after this one. A child that is silent for too long is killed. Where
one died, and after some children anyway, the next comes from a new nursery: whoever guessed how memory lies guesses anew.
"""

import asyncio
import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

import structlog
from msgspec import Struct

from adapters.media.child_answers import CHECKED, BadAnswer, greeting_of, header_of, require_kind
from domain.bounds import CHILD_START_SECONDS, CHILD_WALL_SECONDS, NURSERY_CHILDREN_MAX

T = TypeVar("T")
log = structlog.get_logger()

READ_BYTES = 256 * 1024
END_SECONDS = 5.0  # how long the kernel may take to end what was killed


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
    """At most `size` children at work. Use it as a context: at its end no process is left."""

    def __init__(self, *, module: str, size: int, strict: bool, wall_seconds: float = CHILD_WALL_SECONDS) -> None:
        """`module` is what children run; `strict` refuses to work without seccomp."""
        self._module = module
        self._strict = strict
        self._wall_seconds = wall_seconds
        self._free = asyncio.Semaphore(size)
        self._starting = asyncio.Lock()
        self._nursery: _Nursery | None = None
        self._children: set[_Child] = set()
        self._next: _Child | None = None  # forked while its forerunner works
        self._warned = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for child in list(self._children):
            self._end(child)
        if self._nursery is not None:
            self._renew(self._nursery)

    async def run(self, job: str, file: Path, *, mime_type: str, operations: Sequence[str]) -> Result:
        """Have a child do a job with a file of this machine. Raises `ChildDied`, `SandboxMissing`."""
        async with self._free:
            child = await self._started()
            try:
                return await _in_thread(child, child.ask, job, file, mime_type, list(operations), self._wall_seconds)
            except ChildDied:
                self._renew(child.nursery)
                raise
            finally:
                self._end(child)

    async def held_by(self) -> tuple[str, ...]:
        """Start a child and answer which layers hold it. Raises `SandboxMissing`, `ChildDied`."""
        async with self._free:
            child = await self._started()
            self._end(child)
            return child.layers

    def pids(self) -> list[int]:
        """Return the processes of the children at work."""
        return [child.pid for child in self._children if child.pid]

    async def _started(self) -> "_Child":
        try:
            return await self._child()
        except (OSError, EOFError) as error:
            raise ChildDied(f"no child can be started: {error}") from error

    async def _child(self) -> "_Child":
        """Return a child that has locked itself up, and have the next one forked meanwhile."""
        nursery = await self._warm()
        child, self._next = self._next or _Child(nursery), None
        self._children.add(child)
        try:
            self._next = _Child(nursery)
            layers = await _in_thread(child, child.start)
        except BaseException:
            self._renew(nursery)
            self._end(child)
            raise
        if "seccomp" not in layers:
            if self._strict:
                self._end(child)
                raise SandboxMissing("Files cannot be processed safely: install libseccomp2, on Linux 4.14 or newer.")
            if not self._warned:
                log.warning("children are held by limits only: there is no libseccomp here")
                self._warned = True
        return child

    async def _warm(self) -> "_Nursery":
        """Return a nursery that has children to give."""
        async with self._starting:
            if self._nursery is not None and self._nursery.is_spent():
                self._renew(self._nursery)
            if self._nursery is None:
                nursery = _Nursery(self._module)
                try:
                    await asyncio.to_thread(nursery.wait)
                except BaseException:
                    nursery.retire()
                    raise
                self._nursery = nursery
            return self._nursery

    def _renew(self, nursery: "_Nursery") -> None:
        """Take no more children from it."""
        if self._nursery is nursery:
            self._nursery = None
            if self._next is not None:
                self._next.kill()
                self._next = None
            nursery.retire()

    def _end(self, child: "_Child") -> None:
        child.kill()
        self._children.discard(child)


async def _in_thread(child: "_Child", call: Callable[..., T], *arguments: Any) -> T:
    """Call what blocks on a child; whoever gives up waiting stops the child, and so the thread."""
    talk = asyncio.ensure_future(asyncio.to_thread(call, *arguments))
    try:
        return await asyncio.shield(talk)
    except BaseException:
        child.stop()
        await asyncio.gather(talk, return_exceptions=True)
        raise


class _Nursery:
    """The process that forks children. It ends when it is retired and the last of its children is over."""

    def __init__(self, module: str) -> None:
        self.control, theirs = socket.socketpair()
        with theirs:
            # From the thread of the loop, as it dies with the thread that started it.
            self._process = subprocess.Popen(
                [sys.executable, "-m", module, str(theirs.fileno()), str(os.getpid())],
                env={"PATH": "", "LC_ALL": "C.UTF-8", "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
                pass_fds=(theirs.fileno(),),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
        self.children_left = NURSERY_CHILDREN_MAX
        self.at_work = 0
        self._retired = False

    def wait(self) -> None:
        """Wait until it is warm. Raises `OSError`, `EOFError`."""
        self.control.settimeout(CHILD_START_SECONDS)
        if not self.control.recv(1):
            raise EOFError("the nursery ended")

    def is_spent(self) -> bool:
        return self.children_left <= 0 or self._process.poll() is not None

    def retire(self) -> None:
        self._retired = True
        self.leave(0)

    def leave(self, children: int = 1) -> None:
        """Note that so many of its children are over."""
        self.at_work -= children
        if self._retired and self.at_work <= 0:
            self.control.close()
            self._process.kill()
            self._process.wait()


class _Child:
    """One child process, and the line to it. `start` and `ask` block, and are called in threads."""

    def __init__(self, nursery: _Nursery) -> None:
        self.nursery = nursery
        self.pid = 0
        self.layers: tuple[str, ...] = ()
        self._handle: int | None = None
        self._line, theirs = socket.socketpair()
        nursery.at_work += 1
        nursery.children_left -= 1
        with theirs:
            try:
                socket.send_fds(nursery.control, [b"f"], [theirs.fileno()])
            except OSError:
                self.kill()
                raise

    def start(self) -> tuple[str, ...]:
        """Wait until it has locked itself up; answers what holds it. Raises `ChildDied`."""
        try:
            line, _ = self._read(time.monotonic() + CHILD_START_SECONDS)
            greeting = greeting_of(line)
        except (OSError, EOFError, ValueError) as error:
            raise ChildDied(f"{type(error).__name__}: {error}") from error
        self.pid, self.layers = greeting.pid, greeting.layers
        if hasattr(os, "pidfd_open"):
            self._handle = os.pidfd_open(self.pid)  # it waits for us, so its number is still its own
        return self.layers

    def ask(self, job: str, file: Path, mime_type: str, operations: list[str], wall_seconds: float) -> Result:
        """Have it do its one job. Raises `ChildDied`."""
        deadline = time.monotonic() + wall_seconds
        asked = {"job": job, "mime_type": mime_type, "operations": operations}
        try:
            with file.open("rb") as opened:
                self._line.settimeout(wall_seconds)
                socket.send_fds(self._line, [json.dumps(asked).encode() + b"\n"], [opened.fileno()])
            line, rest = self._read(deadline)
            header = header_of(line, job, operations)
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
        finally:
            self.stop()
            self._wait()  # here, not in the loop: freeing much memory takes a while
        return Result(tuple(made), header.pages, header.reason)

    def stop(self) -> None:
        """Kill it; whoever waits for its answer hears that it ended."""
        try:
            if self._handle is not None:
                signal.pidfd_send_signal(self._handle, signal.SIGKILL)
            elif self.pid and sys.platform != "linux":
                os.kill(self.pid, signal.SIGKILL)
            self._line.shutdown(socket.SHUT_RDWR)  # one that does not know its file yet ends at that
        except OSError:
            return  # it is over

    def kill(self) -> None:
        """Kill it, and wait until it is over. Once."""
        self.stop()
        self._wait()
        if self._handle is not None:
            os.close(self._handle)
        self._line.close()
        self.nursery.leave()

    def _wait(self) -> None:
        if self._handle is not None:
            over = select.poll()
            over.register(self._handle, select.POLLIN)
            over.poll(END_SECONDS * 1000)

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
