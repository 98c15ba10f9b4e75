"""A deployment with the whole pipeline: gateway, projector, and a worker's loops in this process."""

import random
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from typing import Any
from uuid import uuid4

from adapters.media.sandbox import Sandbox
from adapters.media.scanner import BasicScanner
from adapters.redis.task_queue import RedisTasks
from domain.ports.scanner import Scanner
from domain.tasks import FILE_KINDS
from tests.deployments import Gateway, Person, deployment, ledger, running, until
from workers.files.saga import Saga
from workers.files.task_workers import Dispatcher, TaskWorker


class Works:
    """A worker beside a gateway; its loops run inside `working`."""

    def __init__(self, hansard: Gateway, tasks: RedisTasks, saga: Saga, sandbox: Sandbox, db: Any) -> None:
        self.services = hansard
        self.tasks = tasks
        self.saga = saga
        self.sandbox = sandbox
        self.dispatcher = Dispatcher(tasks, db, seconds=0.2)

    def hand(self, kind: Any, **options: Any) -> TaskWorker:
        options = {
            "chance": random.random,
            "backoff_seconds": 0.02,
            "beat_seconds": 0.1,
            "poll_seconds": 0.1,
            **options,
        }
        return TaskWorker(kind, self.tasks, self.saga, **options)


@asynccontextmanager
async def worker(
    hansard: Gateway, database_url: str, redis_url: str, *, scanner: Scanner | None = None,
    claim_seconds: float = 2.0, wall_seconds: float = 20.0, blobs: Any = None,
) -> AsyncIterator[Works]:  # fmt: skip
    async with ledger(database_url, size=4) as (db, _, command_bus):
        with ExitStack() as stack:
            sandbox = stack.enter_context(
                Sandbox(module="workers.files.child", size=2, strict=True, wall_seconds=wall_seconds)
            )
            tasks = RedisTasks.open(
                redis_url, hansard.services.record_id, uuid4().hex, claim_seconds=claim_seconds, block_ms=100
            )
            store = blobs or hansard.services.blobs
            saga = Saga(command_bus, store, hansard.services.blob_leases, scanner or BasicScanner(), sandbox, db)
            yield Works(hansard, tasks, saga, sandbox, db)
            await tasks.close()


@asynccontextmanager
async def working(works: Works, *, each: int = 1, **options: Any) -> AsyncIterator[None]:
    """Run hands of every kind, and the dispatcher, beside a block."""
    hands = [works.hand(kind, **options).run() for kind in FILE_KINDS for _ in range(each)]
    async with running(*hands, works.dispatcher.run()):
        yield


@asynccontextmanager
async def pipeline(database_url: str, redis_url: str, **options: Any) -> AsyncIterator[Works]:
    """Everything, running."""
    async with (
        deployment(database_url, redis_url, upload_bytes_max=32 * 1024**2) as hansard,
        worker(hansard, database_url, redis_url, **options) as works,
        working(works),
    ):
        yield works


async def ended(who: Person, file_id: str, seconds: float = 30.0) -> dict[str, Any]:
    """Wait until a file has ended; answers its status."""
    status: dict[str, Any] = {}

    async def over() -> bool:
        nonlocal status
        answer = await who.http.get(f"/files/{file_id}/status")
        if answer.status_code != 200:  # a server is away, or the tables have not caught up after it was
            assert answer.status_code in (404, 503), answer.text
            return False
        status = answer.json()
        return status["status"] in ("completed", "failed")

    await until(over, seconds)
    return status
