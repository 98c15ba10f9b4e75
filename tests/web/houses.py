"""A deployment that shows the page, with a worker for its files."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from adapters.web_files import WebFiles
from domain.ports.scanner import Scanner
from tests.deployments import Gateway, deployment
from tests.files.deployments import worker, working
from web import folders

PAGE = WebFiles.read(folders())


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
        yield hansard
