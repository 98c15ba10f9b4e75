"""Confinement: what a child gives up before it sees a stranger's bytes. Each layer would be enough if the others were
broken.

Limits bound memory, time, files and processes. If root starts the child, it becomes a user that nobody else is.
Landlock takes away every path, address and outside process. seccomp leaves two dozen system calls, with the arguments
that decoding needs: none that takes a path (a filter cannot see what a pointer points to, so `stat` and its like are
gone altogether), none that names a process, no control of a descriptor, no executable memory, and no change of signal
handling.
"""

import ctypes
import os
import resource
import signal
import struct
import sys
from typing import Any

CHILD_FILES_MAX = 64
CHILD_MEMORY_BYTES_MAX = 768 * 1024**2
CHILD_CPU_SECONDS = 10


LINE = 3  # the descriptor of the one socket that a child has
# Nobody's: between the ranges of containers and those that are not portable (systemd, UIDS-GIDS.md). A process each.
USERS_FROM = 0x7000_0000
NOBODY = 65_534  # where a user namespace knows no such numbers
PR_SET_PDEATHSIG, PR_SET_DUMPABLE, PR_SET_NO_NEW_PRIVS = 1, 4, 38
SYS_LANDLOCK_CREATE_RULESET, SYS_LANDLOCK_RESTRICT_SELF = 444, 446  # the same on every architecture
LANDLOCK_CREATE_RULESET_VERSION = 1
# By version of Landlock's interface: rights over files, over the network, and scopes (linux/landlock.h).
FILE_RIGHTS = {1: 0x1FFF, 2: 0x3FFF, 3: 0x7FFF, 5: 0xFFFF}
NETWORK_RIGHTS, SCOPES = {4: 0b11}, {6: 0b11}
ALLOWED = (
    "read", "readv", "lseek", "close", "munmap", "mremap", "brk", "getrandom", "gettimeofday", "time", "getpid", "gettid",
    "sched_yield", "sysinfo", "restart_syscall", "exit", "exit_group",
)  # fmt: skip
PROT_EXEC, MADV_DONTNEED, MADV_FREE = 4, 4, 8
FUTEX_COMMAND, FUTEX_WAIT, FUTEX_WAKE, FUTEX_WAIT_BITSET, FUTEX_WAKE_BITSET = 0x7F, 0, 1, 9, 10
CLOCKS_MAX = 11  # higher numbers are clocks of other processes
LIBC = ctypes.CDLL(None, use_errno=True)


def rules() -> Any:
    """Return the system calls that the kernel is to allow; None if there is no libseccomp. Any other call fails with
    EPERM."""
    if sys.platform != "linux":
        return None
    try:
        import pyseccomp
    except (ImportError, OSError, RuntimeError):
        return None
    made = pyseccomp.SyscallFilter(pyseccomp.ERRNO(1))
    for name in ALLOWED:
        try:
            made.add_rule(pyseccomp.ALLOW, name)
        except (OSError, ValueError, RuntimeError):
            continue  # this architecture has no call of that name
    arg, equal, masked = pyseccomp.Arg, pyseccomp.EQ, pyseccomp.MASKED_EQ
    on_line = arg(0, equal, LINE)
    for name in ("recvmsg", "recvfrom"):
        made.add_rule(pyseccomp.ALLOW, name, on_line)
    made.add_rule(pyseccomp.ALLOW, "sendto", on_line, arg(4, equal, 0))
    for name in ("mmap", "mprotect"):
        made.add_rule(pyseccomp.ALLOW, name, arg(2, masked, PROT_EXEC, 0))
    for advice in (MADV_DONTNEED, MADV_FREE):
        made.add_rule(pyseccomp.ALLOW, "madvise", arg(2, equal, advice))
    for command in (FUTEX_WAIT, FUTEX_WAKE, FUTEX_WAIT_BITSET, FUTEX_WAKE_BITSET):
        made.add_rule(pyseccomp.ALLOW, "futex", arg(1, masked, FUTEX_COMMAND, command))
    for name in ("clock_gettime", "clock_getres"):
        made.add_rule(pyseccomp.ALLOW, name, arg(0, pyseccomp.LE, CLOCKS_MAX))
    return made


def lock_up(filters: Any, parent: int) -> list[str]:
    """Give up for good what decoding does not need; return which layers hold. `filters` are those of `rules`."""
    layers = ["limits"]
    _limit()
    if _become_nobody():
        layers.append("user")
    die_with_parent(parent)  # again: whoever becomes another loses that
    if sys.platform == "linux":
        LIBC.prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)
        LIBC.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
        if _landlock():
            layers.append("landlock")
    if filters is not None:
        filters.load()
        layers.append("seccomp")
    return layers


def die_with_parent(parent: int) -> None:
    if sys.platform == "linux":
        LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(0)


def _limit() -> None:
    for limit, value in (
        (resource.RLIMIT_AS, CHILD_MEMORY_BYTES_MAX),
        (resource.RLIMIT_CPU, CHILD_CPU_SECONDS),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_NOFILE, CHILD_FILES_MAX),
        (resource.RLIMIT_NPROC, 0),
        (resource.RLIMIT_CORE, 0),
    ):
        try:
            resource.setrlimit(limit, (value, value))
        except (ValueError, OSError):
            continue  # macOS has no such limit; the parent's clock and the others remain


def _become_nobody() -> bool:
    """Become a user that owns nothing, if root started the child; capabilities go with that. Return False if it stays
    who it was."""
    if sys.platform != "linux" or os.geteuid() != 0:
        return False
    for user in (USERS_FROM + os.getpid(), NOBODY):
        try:
            os.setgroups([])
            os.setresgid(user, user, user)
            os.setresuid(user, user, user)
        except OSError:
            continue  # this namespace does not know the number, or root may not do this here
        return True
    return False


def _landlock() -> bool:
    """Take away every path, every address, and signals to others; False if the kernel has no Landlock."""
    version = LIBC.syscall(
        ctypes.c_long(SYS_LANDLOCK_CREATE_RULESET),
        None,
        ctypes.c_size_t(0),
        ctypes.c_long(LANDLOCK_CREATE_RULESET_VERSION),
    )
    if version < 1:
        return False
    handled = [max((right for since, right in table.items() if since <= version), default=0)
               for table in (FILE_RIGHTS, NETWORK_RIGHTS, SCOPES)]  # fmt: skip
    attributes = struct.pack("QQQ", *handled)
    ruleset = LIBC.syscall(
        ctypes.c_long(SYS_LANDLOCK_CREATE_RULESET), attributes, ctypes.c_size_t(len(attributes)), ctypes.c_long(0)
    )
    if ruleset < 0:
        return False
    held = bool(LIBC.syscall(ctypes.c_long(SYS_LANDLOCK_RESTRICT_SELF), ctypes.c_long(ruleset), ctypes.c_long(0)) == 0)
    os.close(ruleset)
    return held
