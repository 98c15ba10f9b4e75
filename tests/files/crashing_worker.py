"""Workers that are killed with 9 at one point of the saga each: `python -m tests.files.crashing_worker DATABASE REDIS FOLDER`.

Reads points, one a line; for each it forks three workers, and answers with the signals that ended them.
"""

import asyncio
import os
import random
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import uuid4

from adapters.blobs.folder import FolderBlobs
from adapters.media.sandbox import Sandbox
from adapters.media.scanner import BasicScanner
from adapters.postgres.blob_leases import BlobLeases
from adapters.redis.task_queue import RedisTasks
from tests.deployments import ledger
from workers.files.saga import Saga
from workers.files.task_workers import TaskWorker

AT_ONCE = 3
# Whose method, which method, whether it dies before or after it, and for which commands.
POINTS: dict[str, tuple[str, str, str, str]] = {
    "a scan is taken": ("saga", "do", "before", "ScanFile"),
    "the scanner has answered": ("scanner", "scan", "after", ""),
    "a scan is recorded": ("command_bus", "do", "after", "NoteScan"),
    "a scan left the queue": ("tasks", "done", "after", ""),
    "a picture is taken": ("saga", "do", "before", "ProcessImage"),
    "a picture is at its child": ("sandbox", "run", "amid", ""),
    "a picture is processed": ("sandbox", "run", "after", ""),
    "variants are held": ("holds", "hold", "after", ""),
    "one variant is stored": ("blobs", "put", "after", ""),
    "variants are stored": ("command_bus", "do", "before", "NoteProcessing"),
    "a file is completed": ("command_bus", "do", "after", "NoteProcessing"),
    "a file is completed and left the queue": ("tasks", "done", "after", "ProcessImage"),
}


class Fatal:
    """Something whose one method kills this process."""

    def __init__(self, real: Any, method: str, when: str, argument: str) -> None:
        self._real, self._method, self._when, self._argument = real, method, when, argument

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._real, name)
        return self._fatal(found) if name == self._method else found

    def _fatal(self, call: Callable[..., Any]) -> Callable[..., Any]:
        async def deadly(*args: Any, **options: Any) -> Any:
            concerned = self._argument in str(args[:1])
            if concerned and self._when == "before":
                os.kill(os.getpid(), signal.SIGKILL)
            if concerned and self._when == "amid":
                asyncio.get_running_loop().call_later(0.1, os.kill, os.getpid(), signal.SIGKILL)
            answer = await call(*args, **options)
            if concerned and self._when == "after":
                os.kill(os.getpid(), signal.SIGKILL)
            return answer

        return deadly


async def main(database_url: str, redis_url: str, folder: str, point: str) -> None:
    async with ledger(database_url, size=4) as (db, record, command_bus):
        with Sandbox(module="workers.files.child", size=1, strict=False) as sandbox:
            record_id = (await record.head()).record
            parts: dict[str, Any] = {
                "command_bus": command_bus, "blobs": FolderBlobs(Path(folder)), "holds": BlobLeases(db), "scanner": BasicScanner(),
                "sandbox": sandbox, "tasks": RedisTasks.open(redis_url, record_id, uuid4().hex, claim_seconds=1.0),
            }  # fmt: skip
            whose, method, when, argument = POINTS[point]
            if whose in parts:
                parts[whose] = Fatal(parts[whose], method, when, argument)
            saga: Any = Saga(
                parts["command_bus"], parts["blobs"], parts["holds"], parts["scanner"], parts["sandbox"], db
            )
            if whose == "saga":
                saga = Fatal(saga, method, when, argument)
            workers = [
                TaskWorker(kind, parts["tasks"], saga, chance=random.random, beat_seconds=0.2)
                for kind in ("scan", "image")
            ]
            await asyncio.gather(*(worker.run() for worker in workers))


def serve() -> None:
    for line in sys.stdin:
        pids = []
        for _ in range(AT_ONCE):
            if (pid := os.fork()) == 0:
                database_url, redis_url, folder = sys.argv[1:]
                asyncio.run(main(database_url, redis_url, folder, line.strip()))
                os._exit(1)
            pids.append(pid)
        ends = [os.waitpid(pid, 0)[1] for pid in pids]
        print(*(os.WTERMSIG(status) if os.WIFSIGNALED(status) else -1 for status in ends), flush=True)


if __name__ == "__main__":
    serve()
