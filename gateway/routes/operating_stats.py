"""How the whole deployment does, in one answer: for administrators who watch it. Counters grow, so that rates are their differences."""

import asyncio
import shutil
from datetime import datetime
from typing import Any
from uuid import UUID

from litestar import Request, Response, get
from litestar.handlers import BaseRouteHandler
from msgspec import Struct

from adapters.postgres import deployment_figures
from adapters.postgres.deployment_figures import DeploymentFigures
from adapters.redis.lanes import LanesUnavailableError
from domain.events import Caller
from domain.ids import FileId
from domain.ports.tasks import TaskCount, TasksUnavailableError
from domain.tree_head import origin_of
from gateway.http.declarations import declare
from gateway.http.responses import shown
from gateway.routes.operating import ProjectionView, admitting, note_look, projection_views
from gateway.services import Services
from projections import file_queries

FAILED_MAX = 10


class GatewayStats(Struct, frozen=True):
    """What the gateway that answers counts, since it was started; `id` is of that start. `faults` are answers of 500 and more."""

    id: UUID
    version: str
    sockets: int
    requests: int
    faults: int
    frames: int
    loop_tasks: int


class NotaryStats(Struct, frozen=True):
    """`waiting_seconds`: for how long the first event that is not signed has been on the record. `witnessed_position` null: no
    witness has a checkpoint."""

    signed_position: int
    waiting_events: int
    waiting_seconds: float
    witnessed_position: int | None


class FailedFileView(Struct, frozen=True):
    id: FileId
    reason: str | None
    failed_at: datetime | None


class FileStats(Struct, frozen=True):
    """`unscanned` files wait for the scanner, the oldest for `unscanned_seconds`; `failed` are the latest."""

    unscanned: int
    unscanned_seconds: float
    unprocessed: int
    failed: list[FailedFileView]


class KeyStats(Struct, frozen=True):
    """`data_keys` is about how many seal texts and files. `signs_from`: since when the newest key of access tokens signs."""

    data_keys: int
    signing_keys: int
    signs_from: datetime | None
    notary_keys: int


class DiskStats(Struct, frozen=True):
    """`free_bytes` and `total_bytes` are of the disk on which this gateway gathers files."""

    database_bytes: int
    free_bytes: int
    total_bytes: int


class StatsView(Struct, frozen=True):
    """`at` is the database's clock. `tasks` null: Redis is away."""

    at: datetime
    position: int
    redis: bool
    projections: list[ProjectionView]
    gateway: GatewayStats
    notary: NotaryStats
    files: FileStats
    tasks: list[TaskCount] | None
    keys: KeyStats
    disk: DiskStats


@get("/admin/stats", opt=declare("operations.read", admit=admitting("operations.read")))
async def read_stats(request: Request[Any, Any, Any], services: Services, caller: Caller) -> Response[StatsView]:
    """Return how the deployment does: projections and rebuilds, the gateway that answers, notary, files, tasks, keys and disk."""
    await note_look(request, services, caller)
    figures = await deployment_figures.of(services.db)
    stats = StatsView(
        figures.at, figures.position, await _has_redis(services), await projection_views(services), _gateway(services),
        await _notary(services), await _files(services, figures), await _tasks(services), await _keys(services, figures),
        await _disk(services, figures),
    )  # fmt: skip
    return shown(stats)


def _gateway(services: Services) -> GatewayStats:
    requests, faults = services.metrics.http.answers()
    sockets, frames = services.metrics.hub.figures()
    return GatewayStats(
        services.instance, services.policy.version, sockets, requests, faults, frames, len(asyncio.all_tasks())
    )


async def _notary(services: Services) -> NotaryStats:
    origin = origin_of(services.record_id)
    unsigned, witnessed = await services.tiles.unsigned(origin), await services.tiles.witnessed(origin)
    seconds = round(max(0.0, unsigned.seconds), 3)
    return NotaryStats(unsigned.signed, max(0, unsigned.events), seconds, None if witnessed is None else witnessed.size)


async def _files(services: Services, figures: DeploymentFigures) -> FileStats:
    failed = [
        FailedFileView(each.id, each.reason, each.failed_at)
        for each in await file_queries.failed_lately(services.db, limit=FAILED_MAX)
    ]
    return FileStats(figures.unscanned, round(max(0.0, figures.unscanned_seconds), 3), figures.unprocessed, failed)


async def _keys(services: Services, figures: DeploymentFigures) -> KeyStats:
    notarys = await services.tiles.keys(origin_of(services.record_id))
    return KeyStats(figures.data_keys, figures.signing_keys, figures.signs_from, len(notarys))


async def _disk(services: Services, figures: DeploymentFigures) -> DiskStats:
    usage = await asyncio.to_thread(shutil.disk_usage, services.blobs.staging())
    return DiskStats(figures.database_bytes, usage.free, usage.total)


async def _tasks(services: Services) -> list[TaskCount] | None:
    try:
        return await services.tasks.counts()
    except TasksUnavailableError:
        return None


async def _has_redis(services: Services) -> bool:
    try:
        await services.lanes.ping()
    except LanesUnavailableError:
        return False
    return True


ROUTES: list[BaseRouteHandler] = [read_stats]
