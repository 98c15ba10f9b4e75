"""The child: decodes what strangers sent, locked up. Started by `adapters/sandbox.py`, one job at a time, over a socket.

It loads its libraries, then gives up everything: memory, time and files are limited, and of the kernel only what
decoding needs is left (seccomp: no opening, no sockets, no processes; what is not on the list fails). Bytes come as an
open file, results go back over the socket. When its parent is gone, so is it.
"""

import array
import ctypes
import json
import os
import resource
import signal
import socket
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any, BinaryIO

from domain.limits import CHILD_MEMORY_BYTES_MAX
from workers import documents, images
from workers.images import Made, Refused

Job = Callable[[BinaryIO, str, Sequence[str]], tuple[list[Made], int | None]]
JOBS: dict[str, Job] = {"image": images.process, "document": documents.process}
PR_SET_PDEATHSIG, PR_SET_NO_NEW_PRIVS = 1, 38
ALLOWED = (
    "read", "write", "readv", "writev", "pread64", "lseek", "close", "fstat", "newfstatat", "fcntl", "ioctl",
    "recvmsg", "sendmsg", "recvfrom", "sendto", "poll", "ppoll", "select", "pselect6",
    "mmap", "munmap", "mremap", "mprotect", "madvise", "brk",
    "futex", "rt_sigaction", "rt_sigprocmask", "rt_sigreturn", "sigaltstack", "restart_syscall", "rseq",
    "clock_gettime", "clock_getres", "clock_nanosleep", "nanosleep", "gettimeofday", "time", "times", "getrusage",
    "getrandom", "getpid", "gettid", "getuid", "geteuid", "sched_yield", "sched_getaffinity", "sysinfo", "uname",
    "exit", "exit_group",
)  # fmt: skip
READ_BYTES = 65_536


def main(handle: int) -> None:
    line = socket.socket(fileno=handle)
    images.warm_up()
    documents.warm_up()
    sandbox = lock_up()
    answer(line, {"sandbox": sandbox}, [])
    while True:
        asked, file = receive(line)
        if asked is None or file is None:
            return
        with os.fdopen(file, "rb") as opened:
            header, made = run(asked, opened)
        answer(line, {**header, "cpu_seconds": time.process_time()}, made)


def run(asked: dict[str, Any], file: BinaryIO) -> tuple[dict[str, Any], list[Made]]:
    """Do one job; answers what it made, or the reason why it refuses."""
    try:
        made, pages = JOBS[asked["job"]](file, asked["mime_type"], asked["operations"])
    except Refused as refusal:
        return {"reason": refusal.reason}, []
    except MemoryError:
        return {"reason": "too_slow", "ends": True}, []
    return {"made": [[*each[:4], len(each.content)] for each in made], "pages": pages}, made


def receive(line: socket.socket) -> tuple[dict[str, Any] | None, int | None]:
    """Return the next request and the open file that came with it; None when the parent has gone."""
    handles = array.array("i")
    data, ancillary, _, _ = line.recvmsg(READ_BYTES, socket.CMSG_SPACE(handles.itemsize))
    if not data:
        return None, None
    for level, kind, content in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            handles.frombytes(content[: handles.itemsize])
    while not data.endswith(b"\n"):
        data += line.recv(READ_BYTES)
    return json.loads(data), handles[0] if handles else None


def answer(line: socket.socket, header: dict[str, Any], made: Sequence[Made]) -> None:
    line.sendall(json.dumps(header).encode() + b"\n")
    for each in made:
        line.sendall(each.content)


def lock_up() -> str:
    """Give up what decoding does not need; answers how: "seccomp", or "limits" where the system has no seccomp."""
    for limit, value in (
        (resource.RLIMIT_AS, CHILD_MEMORY_BYTES_MAX),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_NOFILE, 64),
        (resource.RLIMIT_NPROC, 0),
        (resource.RLIMIT_CORE, 0),
    ):
        try:
            resource.setrlimit(limit, (value, value))
        except (ValueError, OSError):
            continue  # macOS has no such limit; the parent's clock and the others remain
    return "seccomp" if sys.platform == "linux" and _filter() else "limits"


def die_with_parent(parent: int) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(0)


def _filter() -> bool:
    """Have the kernel refuse every call that is not listed; False where there is no libseccomp."""
    try:
        import pyseccomp
    except (ImportError, OSError, RuntimeError):
        return False
    rules = pyseccomp.SyscallFilter(pyseccomp.ERRNO(1))
    for name in ALLOWED:
        try:
            rules.add_rule(pyseccomp.ALLOW, name)
        except (OSError, ValueError, RuntimeError):
            continue  # this architecture has no call of that name
    # abort() of a library that found its memory broken: to itself only.
    rules.add_rule(pyseccomp.ALLOW, "tgkill", pyseccomp.Arg(0, pyseccomp.EQ, os.getpid()))
    rules.load()
    return True


if __name__ == "__main__":
    die_with_parent(int(sys.argv[2]))
    main(int(sys.argv[1]))
