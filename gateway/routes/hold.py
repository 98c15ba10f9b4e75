"""Legal holds: records managers place and release them, whoever may audit sees them. Each request says why, and is recorded."""

from datetime import datetime, timedelta
from typing import Annotated, Any, Literal
from uuid import UUID

from litestar import Request, Response, get, post
from litestar.handlers import BaseRouteHandler
from msgspec import Meta, Struct

from commands.hold import PlaceHold, ReleaseHold
from commands.unit_of_work import UnitOfWork
from domain.account import ACCOUNT, require_right
from domain.bounds import HOLD_NAME_CHARS_MAX, HOLD_SCOPE_MAX
from domain.events import Caller
from domain.hold import ALL_HOLDS, HOLD_GRACE_DAYS, HOLDS, HoldId, HoldNotFoundError, HoldPlaced
from domain.ids import RecordId, RoomId, UserId
from domain.ports.record import Receipt
from domain.rights import PersonalOperation
from domain.text import check_hold_name
from gateway.http.callers import require_reason
from gateway.http.declarations import Admit, Described, declare
from gateway.http.pagination import LIMIT, Cursor, Limit, Page, Place, cursor_of, place_of
from gateway.http.responses import shown, written
from gateway.operations.execution import execute, me
from gateway.protocol.faults import CHECK
from gateway.routes.audit import Moment, note
from gateway.services import Services
from projections import holds
from projections.holds import HoldRow

Name = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=HOLD_NAME_CHARS_MAX,
        description="One line, with a visible character.",
        extra_json_schema={"format": "line"},
        extra={CHECK: lambda value, _: check_hold_name(value)},
    ),
]
Ids = Annotated[tuple[UUID, ...], Meta(max_length=HOLD_SCOPE_MAX)]


class HoldBody(Struct, frozen=True, forbid_unknown_fields=True, rename={"from_at": "from", "to_at": "to"}):
    """What is to be kept: what these persons wrote, in these rooms, within [from, to). No persons: anybody; no rooms: anywhere;
    no times: at any time, before the hold and after it."""

    name: Name
    persons: Ids = ()
    rooms: Ids = ()
    from_at: Moment | None = None
    to_at: Moment | None = None


class HoldView(Struct, frozen=True, rename={"from_at": "from", "to_at": "to"}):
    """An empty list names nobody in particular: the hold covers all persons, or all rooms."""

    id: HoldId
    name: str
    persons: list[UserId]
    rooms: list[RoomId]
    from_at: Moment | None
    to_at: Moment | None
    placed_by: UserId
    placed_at: Moment
    released_by: UserId | None
    released_at: Moment | None


class ReleasedView(Struct, frozen=True):
    """Until `keeps_until` the hold covers what it did; then retention and erasure may go on."""

    id: HoldId
    released_at: Moment
    keeps_until: Moment


def admitting(operation: PersonalOperation) -> Admit:
    """Return what raises `DomainError` if the caller has no role for this, according to the record."""

    async def admit(services: Services, caller: Caller, path: dict[str, Any]) -> None:
        async def probe(unit: UnitOfWork) -> None:
            require_right(await unit.load(ACCOUNT, me(caller)), operation)

        await services.command_bus.admit(probe, caller)

    return admit


def place_at(cursor: str, record: RecordId) -> tuple[int]:
    """Return the place that a cursor of this list names."""
    place: tuple[int] = place_of(cursor, record, "legal-holds", tuple[Place])
    return place


@post(
    "/legal-holds",
    opt=declare(
        "hold.place",
        idempotency="receipt",
        admit=admitting("hold.place"),
        described=Described(needs_reason=True, makes="hold_id", refused_with=frozenset({409})),
    ),
)
async def place_hold(data: HoldBody, services: Services, caller: Caller, receipt: Receipt | None) -> Response[HoldView]:
    """Keep what these persons wrote in these rooms in this time, whatever retention or an erasure would destroy of it."""
    await admitting("hold.place")(services, caller, {})
    require_reason(caller)
    command = PlaceHold(
        HoldId(services.command_bus.new_id()), data.name, tuple(map(UserId, data.persons)), tuple(map(RoomId, data.rooms)),
        data.from_at, data.to_at,
    )  # fmt: skip
    outcome = await execute(services, command, caller, receipt)
    recorded = outcome.recorded(HoldPlaced)
    assert recorded is not None, "an accepted placement has its event"
    return written(outcome, _view(holds.row_of(recorded)), status=201)


@get(
    "/legal-holds",
    opt=declare("hold.list", admit=admitting("hold.list"), cursor=place_at, described=Described(needs_reason=True)),
)
async def list_holds(
    request: Request[Any, Any, Any],
    services: Services,
    caller: Caller,
    status: Literal["active", "released"] | None = None,
    cursor: Cursor | None = None,
    limit: Limit = LIMIT,
) -> Response[Page[HoldView]]:
    """List legal holds, those placed last first."""
    await admitting("hold.list")(services, caller, {})
    await note(request, services, caller)
    before = None if cursor is None else place_at(cursor, services.record_id)[0]
    active = None if status is None else status == "active"
    found = await holds.page(services.db, before=before, active=active, limit=limit + 1)
    following = None
    if len(found) > limit:
        found = found[:limit]
        following = cursor_of(services.record_id, "legal-holds", found[-1].position)
    return shown(Page([_view(row) for row in found], following))


@get(
    "/legal-holds/{hold_id:uuid}",
    opt=declare(
        "hold.list",
        admit=admitting("hold.list"),
        described=Described(needs_reason=True, refused_with=frozenset({404})),
    ),
)
async def read_hold(
    hold_id: UUID, request: Request[Any, Any, Any], services: Services, caller: Caller
) -> Response[HoldView]:
    """Return a legal hold."""
    await admitting("hold.list")(services, caller, {})
    await note(request, services, caller)
    row = await holds.of(services.db, HoldId(hold_id))
    if row is None:
        raise HoldNotFoundError
    return shown(_view(row))


@post(
    "/legal-holds/{hold_id:uuid}/release",
    status_code=200,
    opt=declare(
        "hold.release",
        idempotency="receipt",
        admit=admitting("hold.release"),
        described=Described(needs_reason=True, refused_with=frozenset({404})),
    ),
)
async def release_hold(
    hold_id: UUID, services: Services, caller: Caller, receipt: Receipt | None
) -> Response[ReleasedView]:
    """Release a legal hold. Nothing is destroyed by that: what it covered is kept until `keeps_until`, and goes the way of
    everything else then."""
    await admitting("hold.release")(services, caller, {})
    require_reason(caller)
    outcome = await execute(services, ReleaseHold(HoldId(hold_id)), caller, receipt)
    released_at = await _released_at(services, HoldId(hold_id))
    return written(outcome, ReleasedView(HoldId(hold_id), released_at, released_at + timedelta(days=HOLD_GRACE_DAYS)))


async def _released_at(services: Services, hold_id: HoldId) -> datetime:
    state = (await services.command_bus.see(HOLDS, ALL_HOLDS)).state
    assert state is not None, "a hold that was released is on the record"
    (released_at,) = (hold.released_at for hold in state.released if hold.hold_id == hold_id)
    assert released_at is not None, "a released hold says when"
    return released_at


def _view(row: HoldRow) -> HoldView:
    return HoldView(
        row.id, row.name, row.person_ids(), row.room_ids(), row.from_at, row.to_at, row.placed_by, row.placed_at,
        row.released_by, row.released_at,
    )  # fmt: skip


ROUTES: list[BaseRouteHandler] = [place_hold, list_holds, read_hold, release_hold]
