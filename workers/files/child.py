"""The nursery and its children: a process with everything loaded that forks, and forks that decode files, confined.

Started by `adapters/media/sandbox.py`. The nursery loads every library and never sees a stranger's byte. For each file
it forks a child, which confines itself (`workers/files/lockdown.py`), does one job, and ends. So a child that was taken
over knows one file and gets no other. Bytes come as an open file, results go back over a socket. When their parent is
gone, so are they.
"""

import array
import gc
import io
import json
import os
import signal
import socket
import sys
from collections.abc import Callable, Sequence
from typing import Any, BinaryIO

from workers.files import documents, images
from workers.files.encoding import ImageRefusedError, Made
from workers.files.lockdown import LINE, die_with_parent, lock_up, rules

Job = Callable[[BinaryIO, str, Sequence[str]], tuple[list[Made], int | None]]
JOBS: dict[str, Job] = {"image": images.process, "document": documents.process}
READ_BYTES = 65_536


def main(handle: int) -> None:
    """Fork a child for every byte that comes; with it comes the child's end of its line."""
    control = socket.socket(fileno=handle)
    images.warm_up()
    documents.warm_up()
    filters = rules()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for them
    gc.collect()
    gc.freeze()  # pages that are never looked at stay shared
    control.sendall(b"\n")
    nursery = os.getpid()
    while True:
        data, handles, _, _ = socket.recv_fds(control, 1, 1)
        if not data:
            return
        if os.fork() == 0:
            control.detach()
            try:
                live(handles[0], filters, nursery)
            finally:
                os._exit(0)
        os.close(handles[0])


def live(handle: int, filters: Any, nursery: int) -> None:
    """The life of a child: confine itself, do one job, end."""
    os.dup2(handle, LINE)
    os.closerange(LINE + 1, os.sysconf("SC_OPEN_MAX"))
    line = socket.socket(fileno=LINE)
    layers = lock_up(filters, nursery)
    answer(line, {"pid": os.getpid(), "layers": layers}, [])
    asked, file = receive(line)
    if asked is not None and file is not None:
        with io.BufferedReader(Handed(file), READ_BYTES) as opened:
            answer(line, *run(asked, opened))


class Handed(io.RawIOBase):
    """The file that a child was handed. Unlike `open` it makes no system calls but read and seek."""

    def __init__(self, handle: int) -> None:
        self._handle = handle

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        return os.readv(self._handle, [buffer])

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        return os.lseek(self._handle, offset, whence)


def run(asked: dict[str, Any], file: BinaryIO) -> tuple[dict[str, Any], list[Made]]:
    """Do one job; return what it made, or the reason why it refuses."""
    try:
        made, pages = JOBS[asked["job"]](file, asked["mime_type"], asked["operations"])
    except ImageRefusedError as refusal:
        return {"reason": refusal.reason}, []
    except MemoryError:
        return {"reason": "too_slow"}, []
    return {"made": [[*each[:4], len(each.content)] for each in made], "pages": pages}, made


def receive(line: socket.socket) -> tuple[dict[str, Any] | None, int | None]:
    """Return the request and the open file that came with it; None if nobody will ask."""
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


if __name__ == "__main__":
    die_with_parent(int(sys.argv[2]))
    main(int(sys.argv[1]))
