"""Child processes that end with this one, and what the kernel says of processes.

On Linux each asks for a signal when its parent dies (prctl PR_SET_PDEATHSIG), so that even `kill -9` of the parent
leaves nothing running. Postgres refuses to run as root: as root it is started in a user namespace in which it has
another user id, so that no user is made and no file changes its owner.
"""

import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path

from runtime.embedded.home import EmbeddedFailedError, Home

CLONE_NEWUSER = 0x10000000
PR_SET_PDEATHSIG = 1
NOBODY = 65534


def spawn(
    home: Home, name: str, command: Sequence[object], at_parents_death: signal.Signals, *,
    as_root_in_namespace: bool = False, stdin: int = subprocess.DEVNULL,
) -> "subprocess.Popen[bytes]":  # fmt: skip
    """Start a program. It logs to the file of `name` in this home."""
    in_namespace = as_root_in_namespace and os.geteuid() == 0
    with open(home.log(name), "ab") as log:
        return subprocess.Popen(
            [os.fspath(part) if isinstance(part, Path) else str(part) for part in command],
            env={"PATH": os.environ.get("PATH", ""), "LC_ALL": "C", "TZ": "UTC"},
            stdin=stdin,
            stdout=log,
            stderr=log,
            start_new_session=True,
            preexec_fn=tied_to_parent(at_parents_death, in_namespace=in_namespace),
        )


def tied_to_parent(at_parents_death: signal.Signals, *, in_namespace: bool = False) -> Callable[[], None]:
    """Return what a child runs before its program, so that it gets this signal when its parent dies (Linux)."""
    parent = os.getpid()

    def before_exec() -> None:
        if in_namespace and not _enter_user_namespace():
            os.setgroups([])
            os.setgid(NOBODY)
            os.setuid(NOBODY)
        if sys.platform == "linux":
            ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, at_parents_death)
            if os.getppid() != parent:
                os._exit(0)

    return before_exec


def package_folder(package: str) -> Path:
    """Find a wheel's files without importing it: importing does more than we need."""
    spec = find_spec(package)
    if spec is None or spec.origin is None:
        raise EmbeddedFailedError(f"The wheel {package} is not installed: set the URL of a server of your own.")
    return Path(spec.origin).parent


def process_state(pid: int) -> str | None:
    """Return the letter of a process's state (proc(5)); None if there is no such process, or no /proc."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except OSError:
        return None


def _enter_user_namespace() -> bool:
    """Get another user id while files still belong to root. Return False if the kernel does not allow it."""
    if sys.platform != "linux" or ctypes.CDLL(None, use_errno=True).unshare(CLONE_NEWUSER) != 0:
        return False
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text(f"{NOBODY} 0 1")
    Path("/proc/self/gid_map").write_text(f"{NOBODY} 0 1")
    return True
