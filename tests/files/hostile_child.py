"""A child that tries what a taken-over decoder would try, once it is locked up; answers what worked."""

import ctypes
import os
import socket
import subprocess
import sys

from workers import child
from workers.images import Made, Refused


def attempt(file: object, mime_type: str, operations: list[str]) -> tuple[list[Made], int | None]:
    worked = []
    libc = ctypes.CDLL(None, use_errno=True)
    for name, deed in (
        ("open", lambda: os.open("/etc/passwd", os.O_RDONLY)),
        ("write", lambda: os.open("/tmp/hansard-escape", os.O_CREAT)),
        ("socket", lambda: socket.socket()),
        ("unix socket", lambda: socket.socket(socket.AF_UNIX)),
        ("exec", lambda: subprocess.run(["/bin/true"], check=True)),
        ("fork", os.fork),
        ("kill the parent", lambda: os.kill(os.getppid(), 0)),
        ("trace", lambda: (libc.ptrace(16, os.getppid(), 0, 0) and None) or _failed(ctypes.get_errno())),
        ("list", lambda: os.listdir("/")),
        ("remove", lambda: os.unlink("/tmp/nothing")),
        ("memory", lambda: bytearray(2 * 1024**3)),
    ):
        try:
            deed()
            worked.append(name)
        except FileNotFoundError:
            worked.append(name)
        except (OSError, MemoryError):
            continue
    return [Made(",".join(worked) or "nothing", 1, 1, "image/png", b"")], None


def spin(file: object, mime_type: str, operations: list[str]) -> tuple[list[Made], int | None]:
    while True:
        pass


def crash(file: object, mime_type: str, operations: list[str]) -> tuple[list[Made], int | None]:
    ctypes.string_at(0)
    raise Refused("unreadable")


def swell(file: object, mime_type: str, operations: list[str]) -> tuple[list[Made], int | None]:
    held = []
    while True:
        held.append(bytearray(16 * 1024**2))


def _failed(number: int) -> None:
    raise OSError(number, "refused")


child.JOBS.update({"attempt": attempt, "spin": spin, "crash": crash, "swell": swell})

if __name__ == "__main__":
    child.die_with_parent(int(sys.argv[2]))
    child.main(int(sys.argv[1]))
