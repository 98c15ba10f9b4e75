"""A deployment that shows the page, with a worker for its files."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from adapters.web_files import WebFiles
from domain.ids import UserId
from domain.ports.scanner import Scanner
from tests.deployments import CLIENT_SECONDS, Gateway, deployment
from tests.files.deployments import worker, working
from web import folders

PAGE = WebFiles.read(folders())


def settle(hansard: Gateway) -> None:
    """Have a gateway's reads wait for all that is on the record, whoever wrote it: a page draws a list once, and tests read what
    a page wrote; on a busy machine the tables are seconds behind."""
    reads, wait = hansard.services.reads, hansard.services.reads.wait

    async def wait_for_all(position: int = 0, *, group: str = "live", seconds: float = 0.0) -> bool:
        head = (await hansard.services.record.head()).position
        return await wait(max(position, head), group=group, seconds=max(seconds, CLIENT_SECONDS))

    async def wait_for_own(user_id: UserId, groups: Sequence[str] = ("live",)) -> None:
        for group in {"live", *groups}:  # a list of one group shows what stands in another
            await wait_for_all(group=group)

    reads.wait, reads.wait_for_own = wait_for_all, wait_for_own  # type: ignore[method-assign]


@asynccontextmanager
async def house(
    database_url: str, redis_url: str, *, scanner: Scanner | None = None, backoff_seconds: float = 0.02, **options: Any
) -> AsyncIterator[Gateway]:
    """Everything that the page needs, running. `backoff_seconds`: until what failed for the first time is tried again."""
    async with (
        deployment(database_url, redis_url, page=PAGE, **options) as hansard,
        worker(hansard, database_url, redis_url, scanner=scanner) as works,
        working(works, backoff_seconds=backoff_seconds),
    ):
        settle(hansard)
        yield hansard
