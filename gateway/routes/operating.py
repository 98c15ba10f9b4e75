"""Operating: how read tables do, and rebuilds of them. For administrators; each request is recorded with who asked."""

from contextlib import suppress
from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID, uuid4

from litestar import Request, Response, get, post
from litestar.handlers import BaseRouteHandler
from msgspec import Meta, Struct

from commands.operating import AskRebuild, NoteOperationsRead
from commands.unit_of_work import UnitOfWork
from domain.account import ACCOUNT, require_right
from domain.bounds import REBUILD_JOBS_MAX
from domain.events import Caller
from domain.ids import UserId
from domain.operating import NoSuchProjectionError, NoSuchRebuildError, RebuildUnderWayError
from domain.ports.tasks import TasksUnavailableError
from domain.rights import PersonalOperation
from domain.tasks import RebuildProjection
from gateway.http.declarations import Admit, Described, declare
from gateway.http.pagination import Page
from gateway.http.responses import shown, written
from gateway.operations.execution import me
from gateway.services import Services
from projections import PROJECTIONS, followed, projection_states, rebuilds, versions
from projections.projection_states import ProjectionState, State
from projections.rebuilds import Compared, RebuildRow


class RebuildBody(Struct, forbid_unknown_fields=True):
    """`shadow`: only compare with what is served, and exchange nothing. `jobs`: among how many processes the record is divided."""

    shadow: bool = False
    jobs: Annotated[int, Meta(ge=1, le=REBUILD_JOBS_MAX)] = 1


class RebuildView(Struct, frozen=True):
    """`state` `interrupted`: it was begun, and nobody has been heard of for a minute; the next rebuild goes on with it.

    `asked_by` null: an operator at the command line, or a release that raised the version. `tables` come at its end.
    """

    id: UUID
    projection: str
    version: int
    shadow: bool
    state: Literal["queued", "running", "interrupted", "done", "failed"]
    doing: str
    asked_by: UserId | None
    asked_at: datetime
    began_at: datetime | None
    ended_at: datetime | None
    position: int
    total: int
    events_per_second: float
    seconds_left: float | None
    tables: list[Compared]
    error: str | None
    jobs: int


class ProjectionView(Struct, frozen=True):
    """`version` is what this gateway reads, `served_version` what the tables are (null: nobody followed yet). `state`:
    `served`, `behind` (100 events or more wait, the first of them for 2 s or more), `standing_still` (something is to be done and nothing moved for 15 s), `not_followed` (nobody holds the
    lease), `not_built` (the tables are of an earlier version). `lag_seconds`: for how long the first event that the tables
    lack has been on the record."""

    name: str
    version: int
    served_version: int | None
    state: State
    position: int
    lag_events: int
    lag_seconds: float
    owner: str | None
    parked_events: int
    rebuild: RebuildView | None


async def _admit(services: Services, caller: Caller, operation: PersonalOperation) -> None:
    async def probe(unit: UnitOfWork) -> None:
        require_right(await unit.load(ACCOUNT, me(caller)), operation)

    await services.command_bus.admit(probe, caller)


def admitting(operation: PersonalOperation) -> Admit:
    """Return what raises `DomainError` if the caller has no role for this, according to the record."""

    async def admit(services: Services, caller: Caller, path: dict[str, Any]) -> None:
        await _admit(services, caller, operation)

    return admit


@get("/admin/projections", opt=declare("operations.read", admit=admitting("operations.read")))
async def list_projections(
    request: Request[Any, Any, Any], services: Services, caller: Caller
) -> Response[Page[ProjectionView]]:
    """List all projections: their version, how far they are, who follows them, and how a rebuild of them goes."""
    await note_look(request, services, caller)
    return shown(Page(await projection_views(services), None))


@post(
    "/admin/projections/{name:str}/rebuild",
    status_code=202,
    opt=declare(
        "projection.rebuild",
        admit=admitting("projection.rebuild"),
        described=Described(refused_with=frozenset({404, 409})),
    ),
)
async def rebuild_projection(name: str, data: RebuildBody, services: Services, caller: Caller) -> Response[RebuildView]:
    """Have a worker rebuild the tables of a projection, compare them with the served ones, and exchange them."""
    await _admit(services, caller, "projection.rebuild")
    if name not in followed(time_travel=services.policy.time_travel_on):
        raise NoSuchProjectionError
    group = PROJECTIONS[name]
    if any((row.group_name, row.version) == (name, group.version) for row in await rebuilds.under_way(services.db)):
        raise RebuildUnderWayError
    rebuild_id = uuid4()
    outcome = await services.command_bus.do(AskRebuild(rebuild_id, name, data.shadow, data.jobs), caller)
    if not await rebuilds.ask(
        services.db, rebuild_id, name, version=group.version, is_shadow=data.shadow, by=me(caller), jobs=data.jobs
    ):
        raise RebuildUnderWayError
    with suppress(TasksUnavailableError):  # a worker finds it in the table, too
        await services.tasks.add(RebuildProjection(rebuild_id, name, group.version))
    row = await rebuilds.of(services.db, rebuild_id)
    assert row is not None, "it was inserted just now"
    return written(outcome, _rebuild(row), status=202)


@get(
    "/admin/rebuilds/{rebuild_id:uuid}",
    opt=declare(
        "operations.read", admit=admitting("operations.read"), described=Described(refused_with=frozenset({404}))
    ),
)
async def read_rebuild(
    rebuild_id: UUID, request: Request[Any, Any, Any], services: Services, caller: Caller
) -> Response[RebuildView]:
    """Return how a rebuild goes, or what came of it."""
    await note_look(request, services, caller)
    row = await rebuilds.of(services.db, rebuild_id)
    if row is None:
        raise NoSuchRebuildError
    return shown(_rebuild(row))


async def note_look(request: Request[Any, Any, Any], services: Services, caller: Caller) -> None:
    """Record who looks at what. Raise `DomainError` if they have no role for it."""
    await _admit(services, caller, "operations.read")
    await services.command_bus.do(NoteOperationsRead(request.url.path), caller)


async def projection_views(services: Services) -> list[ProjectionView]:
    """Return how all projections do, and the rebuilds that are under way."""
    found = await projection_states.of(services.db, versions(time_travel=services.policy.time_travel_on))
    building = {(row.group_name, row.version): row for row in await rebuilds.under_way(services.db)}
    return [_projection(each, building.get((each.name, each.version))) for each in found]


def _projection(found: ProjectionState, row: RebuildRow | None) -> ProjectionView:
    return ProjectionView(
        found.name, found.version, found.served_version, found.state, found.position, found.lag_events,
        round(found.lag_seconds, 3), found.owner if found.is_owned else None, found.parked_events,
        None if row is None else _rebuild(row),
    )  # fmt: skip


def _rebuild(row: RebuildRow) -> RebuildView:
    left = row.seconds_left
    return RebuildView(
        row.id, row.group_name, row.version, row.is_shadow, "interrupted" if row.is_silent else row.state, row.doing,
        row.asked_by, row.asked_at, row.began_at, row.ended_at, row.position, row.total, round(row.events_per_second, 1),
        None if left is None else round(left, 1), row.tables, row.fault, row.jobs,
    )  # fmt: skip


ROUTES: list[BaseRouteHandler] = [list_projections, rebuild_projection, read_rebuild]
