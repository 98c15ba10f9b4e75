"""A child that tries what a taken-over decoder would try, once it is locked up; answers what worked."""

import array
import ctypes
import errno
import fcntl
import gc
import mmap
import os
import resource
import select
import signal
import socket
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Sequence
from typing import Any

from workers.files import child
from workers.files.encoding import ImageRefusedError, Made
from workers.files.lockdown import die_with_parent

PTRACE_ATTACH, PR_GET_DUMPABLE, F_SETSIG = 16, 3, 10
PROT_READ_WRITE_EXECUTE, MAP_ANONYMOUS_PRIVATE = 7, 0x22
SYS_LANDLOCK_CREATE_RULESET, SYS_PIDFD_OPEN, SYS_IO_URING_SETUP = 444, 434, 425  # the same on every architecture
libc = ctypes.CDLL(None, use_errno=True)


def attempt(file: Any, mime_type: str, operations: Sequence[str]) -> tuple[list[Made], int | None]:
    """Try every deed; `operations`: a file that it must not learn of, and a process that it must not reach."""
    path, victim = operations[0], int(operations[1])
    held, own = held_socket(), os.getpid()
    line = held.fileno()
    deeds: dict[str, Callable[[], object]] = {
        # Files
        "open": lambda: os.open("/etc/passwd", os.O_RDONLY),
        "write": lambda: os.open("/tmp/hansard-escape", os.O_CREAT),
        "write to what is no socket": lambda: os.write(2, b"x"),
        "stat": lambda: os.stat(path),
        "lstat": lambda: os.lstat(path),
        "stat beside the file": lambda: os.stat("..", dir_fd=line),
        "access": lambda: known(libc.access(path.encode(), os.R_OK)),
        "statx": lambda: known(libc.statx(-100, path.encode(), 0, 0x7FF, ctypes.create_string_buffer(512))),
        "stat of an open file": lambda: os.fstat(line),
        "read a link": lambda: os.readlink("/proc/self/exe"),
        "working directory": os.getcwd,
        "list": lambda: os.listdir("/"),
        "remove": lambda: os.unlink("/tmp/nothing"),
        "change a mode": lambda: os.fchmod(line, 0o600),
        "memory file": lambda: os.memfd_create("x"),
        "pipe": os.pipe,
        "copy a descriptor": lambda: os.dup(line),
        # Signals, and other processes
        "own a descriptor for another": lambda: fcntl.fcntl(line, fcntl.F_SETOWN, victim),
        "choose its signal": lambda: fcntl.fcntl(line, F_SETSIG, int(signal.SIGKILL)),
        "have it send": lambda: fcntl.fcntl(line, fcntl.F_SETFL, os.O_ASYNC),
        "own a descriptor by ioctl": lambda: fcntl.ioctl(line, 0x8902, array.array("i", [victim])),  # SIOCSPGRP
        "have it send by ioctl": lambda: fcntl.ioctl(line, 0x5452, array.array("i", [1])),  # FIOASYNC
        "kill the parent": lambda: os.kill(os.getppid(), 0),
        "kill another": lambda: os.kill(victim, 0),
        "kill a thread of another": lambda: known(libc.tgkill(victim, victim, 0)),
        "stop itself": lambda: known(libc.tgkill(own, own, int(signal.SIGCONT))),
        "hold another": lambda: known(libc.syscall(SYS_PIDFD_OPEN, victim, 0)),
        "trace": lambda: known(libc.ptrace(PTRACE_ATTACH, victim, 0, 0)),
        "read another's memory": lambda: known(libc.process_vm_readv(victim, None, 0, None, 0, 0)),
        "clock of another": lambda: time.clock_gettime((~victim << 3) | 2),
        "cores of another": lambda: os.sched_getaffinity(victim),
        "priority of another": lambda: os.getpriority(os.PRIO_PROCESS, victim),
        "limits of another": lambda: resource.prlimit(victim, resource.RLIMIT_NOFILE),
        "exec": lambda: subprocess.run(["/bin/true"], check=True),
        "fork": os.fork,
        # What would let it live longer than it may, or be more
        "limits of its own": lambda: resource.setrlimit(resource.RLIMIT_CPU, (1, 1)),
        "ignore the end of its time": lambda: signal.signal(signal.SIGXCPU, signal.SIG_IGN),
        "put off the end of its time": lambda: signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGXCPU]),
        "be nicer": lambda: os.nice(1),
        "be another": lambda: os.setuid(os.getuid()),
        "control itself": lambda: known(libc.prctl(PR_GET_DUMPABLE, 0, 0, 0, 0)),
        "memory": lambda: bytearray(2 * 1024**3),
        "memory to run": lambda: mmap.mmap(-1, 4096, prot=PROT_READ_WRITE_EXECUTE, flags=MAP_ANONYMOUS_PRIVATE),
        "memory run later": lambda: run_later(),
        # The network, and the kernel's larger surfaces
        "socket": lambda: socket.socket(),
        "unix socket": lambda: socket.socket(socket.AF_UNIX),
        "pair of sockets": socket.socketpair,
        "send a descriptor": lambda: send_descriptor(held),
        "name of the other side": held.getpeername,
        "options of the socket": lambda: held.getsockopt(socket.SOL_SOCKET, 17, 12),
        "ask what waits in the socket": lambda: fcntl.ioctl(line, termios.FIONREAD, array.array("i", [0])),
        "wait for many": select.epoll,
        "rings": lambda: known(libc.syscall(SYS_IO_URING_SETUP, 1, None)),
        "rules": lambda: known(libc.syscall(SYS_LANDLOCK_CREATE_RULESET, None, 0, 1)),
    }
    worked = [name for name, deed in deeds.items() if works(deed)]
    return [Made(",".join(worked) or "nothing", 1, 1, "image/png", b"")], None


def works(deed: Callable[[], object]) -> bool:
    """Whether the kernel did it, or looked at it: any error but that it is not permitted tells something."""
    try:
        deed()
    except OSError as error:
        return error.errno not in (errno.EPERM, errno.EACCES)
    except (MemoryError, ValueError, subprocess.SubprocessError):  # ValueError: resource.setrlimit
        return False
    return True


def known(answer: int) -> None:
    """Raise what a call of the C library failed with, where it did."""
    if answer < 0:
        raise OSError(ctypes.get_errno(), "refused")


def held_socket() -> socket.socket:
    """Return the one socket that a child has."""
    return next(each for each in gc.get_objects() if isinstance(each, socket.socket) and each.fileno() >= 0)


def send_descriptor(held: socket.socket) -> None:
    """Hand an open file to the other side; without a byte, so that the answer stays whole."""
    rights = (socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [held.fileno()]))
    held.sendmsg([], [rights])


def run_later() -> None:
    memory = mmap.mmap(-1, 4096)
    start = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    known(libc.mprotect(ctypes.c_void_p(start), 4096, PROT_READ_WRITE_EXECUTE))


def spin(file: object, mime_type: str, operations: Sequence[str]) -> tuple[list[Made], int | None]:
    while True:
        pass


def crash(file: object, mime_type: str, operations: Sequence[str]) -> tuple[list[Made], int | None]:
    ctypes.string_at(0)
    raise ImageRefusedError("unreadable")


def swell(file: object, mime_type: str, operations: Sequence[str]) -> tuple[list[Made], int | None]:
    held = []
    while True:
        held.append(bytearray(16 * 1024**2))


def who(file: object, mime_type: str, operations: Sequence[str]) -> tuple[list[Made], int | None]:
    """Answer what it remembers of jobs before, and remember this one."""
    remembered.extend(operations)
    return [Made(",".join(remembered), os.getpid(), 1, "image/png", b"")], None


def layout(file: object, mime_type: str, operations: Sequence[str]) -> tuple[list[Made], int | None]:
    """Answer where the C library lies."""
    return [Made(hex(ctypes.cast(libc.getpid, ctypes.c_void_p).value or 0), 1, 1, "image/png", b"")], None


def outlive(file: object, mime_type: str, operations: Sequence[str]) -> tuple[list[Made], int | None]:
    """Compute on and on, whatever the system says to that."""
    for number in (signal.SIGXCPU, signal.SIGTERM):
        try:
            signal.signal(number, signal.SIG_IGN)
        except OSError:
            continue
    while True:
        pass


remembered: list[str] = []
child.JOBS.update(
    {"attempt": attempt, "spin": spin, "crash": crash, "swell": swell, "who": who, "layout": layout, "outlive": outlive}
)

if __name__ == "__main__":
    die_with_parent(int(sys.argv[2]))
    child.main(int(sys.argv[1]))
