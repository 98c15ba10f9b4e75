"""A child that decodes one file, and the nursery that forks it: the processes, and the line to them.

`start` and `ask` block, and are called in threads (`sandbox.py`).
"""

import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

from msgspec import Struct

from adapters.media.child_answers import CHECKED, BadAnswerError, greeting_of, header_of, require_kind

CHILD_START_SECONDS = 20.0
NURSERY_CHILDREN_MAX = 1_000

READ_BYTES = 256 * 1024
END_SECONDS = 5.0  # how long the kernel may take to end what was killed


class ChildDiedError(Exception):
    """A child ended or fell silent while it was at work."""


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


class Nursery:
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
        """Wait until it can fork. Raise `OSError` or `EOFError` if it ends first."""
        self.control.settimeout(CHILD_START_SECONDS)
        if not self.control.recv(1):
            raise EOFError("the nursery ended")

    def is_spent(self) -> bool:
        return self.children_left <= 0 or self._process.poll() is not None

    def retire(self) -> None:
        self._retired = True
        self.leave(0)

    def leave(self, children: int = 1) -> None:
        """Note that some of its children are gone."""
        self.at_work -= children
        if self._retired and self.at_work <= 0:
            self.control.close()
            self._process.kill()
            self._process.wait()


class Child:
    """One child process, and the line to it. `start` and `ask` block, and are called in threads."""

    def __init__(self, nursery: Nursery) -> None:
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
        """Wait until it has confined itself; return the layers that hold. Raise `ChildDiedError`."""
        try:
            line, _ = self._read(time.monotonic() + CHILD_START_SECONDS)
            greeting = greeting_of(line)
        except (OSError, EOFError, ValueError) as error:
            raise ChildDiedError(f"{type(error).__name__}: {error}") from error
        self.pid, self.layers = greeting.pid, greeting.layers
        if hasattr(os, "pidfd_open"):
            self._handle = os.pidfd_open(self.pid)  # it waits for us, so its number is still its own
        return self.layers

    def ask(self, job: str, file: Path, mime_type: str, operations: list[str], wall_seconds: float) -> Result:
        """Have it do its one job, and return the answer. Raise `ChildDiedError`."""
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
                raise BadAnswerError("more bytes than it announced")
        except (OSError, EOFError, ValueError) as error:
            raise ChildDiedError(f"{type(error).__name__}: {error}") from error
        finally:
            self.stop()
            self._wait()  # here, not in the loop: freeing much memory takes a while
        return Result(tuple(made), header.pages, header.reason)

    def stop(self) -> None:
        """Kill it. Whoever waits for its answer gets an end of file."""
        try:
            if self._handle is not None:
                signal.pidfd_send_signal(self._handle, signal.SIGKILL)
            elif self.pid and sys.platform != "linux":
                os.kill(self.pid, signal.SIGKILL)
            self._line.shutdown(socket.SHUT_RDWR)  # one that does not know its file yet ends at that
        except OSError:
            return  # it is over

    def kill(self) -> None:
        """Kill it and wait until it is gone. May be called once."""
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
        """Read one line. Return it, and what was read after it."""
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
