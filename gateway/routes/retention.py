"""Retention: records managers set how long things are kept, by room and by default; a dry run says what that would destroy."""

from typing import Annotated, Any
from uuid import UUID

from litestar import Request, Response, delete, get, put
from litestar.handlers import BaseRouteHandler
from msgspec import Meta, Struct

from commands.retention import ClearRetention, SetRetention
from domain.bounds import RETENTION_DAYS_MAX
from domain.errors import RoomNotFoundError
from domain.events import Caller
from domain.ids import RecordId, RoomId
from domain.retention import (
    DEFAULT,
    POLICY_GRACE,
    RETENTION,
    Effective,
    Source,
    effective,
    require_days,
)
from domain.room import ROOM
from gateway.http.callers import require_reason
from gateway.http.declarations import Described, declare
from gateway.http.pagination import LIMIT, Cursor, Limit, Page, cursor_of, place_of
from gateway.http.responses import shown, written
from gateway.operations.execution import execute
from gateway.operations.retention import DryRun, effective_in, run_dry
from gateway.routes.audit import Moment, note
from gateway.routes.hold import admitting
from gateway.services import Services
from projections import retention

Days = Annotated[int, Meta(ge=1, le=RETENTION_DAYS_MAX)]
READING = admitting("retention.read")
PUTTING = admitting("retention.put")


class RetentionBody(Struct, frozen=True, forbid_unknown_fields=True):
    """`days_min`: nothing is destroyed before; `days_max`: everything is afterwards. Null or absent: no bound."""

    days_min: Days | None = None
    days_max: Days | None = None


class RetentionView(Struct, frozen=True):
    """What holds in a room (`room_id` null: in all that have no policy of their own), and whose policy that is. Nothing is
    destroyed by it before `destroys_from`. `dry_run` is there where one was asked for."""

    room_id: RoomId | None
    source: Source
    days_min: int | None
    days_max: int | None
    set_at: Moment | None
    destroys_from: Moment | None
    dry_run: DryRun | None = None


def place_at(cursor: str, record: RecordId) -> tuple[UUID]:
    """Return the place that a cursor of this list names."""
    place: tuple[UUID] = place_of(cursor, record, "retention", tuple[UUID])
    return place


@get("/retention", opt=declare("retention.read", admit=READING, described=Described(needs_reason=True)))
async def read_default(request: Request[Any, Any, Any], services: Services, caller: Caller) -> Response[RetentionView]:
    """Return how long things are kept in rooms without a policy of their own."""
    await READING(services, caller, {})
    await note(request, services, caller)
    return shown(_view(None, await effective_in(services, DEFAULT)))


@put("/retention", opt=declare("retention.put", admit=PUTTING, described=Described(needs_reason=True)))
async def put_default(
    request: Request[Any, Any, Any], data: RetentionBody, services: Services, caller: Caller, dry_run: bool = False
) -> Response[RetentionView]:
    """Set how long things are kept in rooms without a policy of their own; with `dry_run` only say what that would destroy."""
    return await _put(request, DEFAULT, data, services, caller, dry_run)


@delete(
    "/retention", status_code=204, opt=declare("retention.put", admit=PUTTING, described=Described(needs_reason=True))
)
async def clear_default(services: Services, caller: Caller) -> Response[None]:
    """Have no default any more: rooms without a policy of their own keep everything."""
    return await _clear(DEFAULT, services, caller)


@get(
    "/retention/rooms",
    opt=declare("retention.read", admit=READING, cursor=place_at, described=Described(needs_reason=True)),
)
async def list_policies(
    request: Request[Any, Any, Any],
    services: Services,
    caller: Caller,
    cursor: Cursor | None = None,
    limit: Limit = LIMIT,
) -> Response[Page[RetentionView]]:
    """List the rooms that have a policy of their own, by id."""
    await READING(services, caller, {})
    await note(request, services, caller)
    after = DEFAULT if cursor is None else RoomId(place_at(cursor, services.record_id)[0])
    found = await retention.page(services.db, after=after, limit=limit + 1)
    views = [_view(row.room_id, Effective("room", row.days_min, row.days_max, row.set_at)) for row in found[:limit]]
    following = cursor_of(services.record_id, "retention", found[limit - 1].room_id) if len(found) > limit else None
    return shown(Page(views, following))


@get(
    "/rooms/{room_id:uuid}/retention",
    opt=declare("retention.read", admit=READING, described=Described(needs_reason=True, refused_with=frozenset({404}))),
)
async def read_room_retention(
    room_id: UUID, request: Request[Any, Any, Any], services: Services, caller: Caller
) -> Response[RetentionView]:
    """Return how long things are kept in a room, and whose policy that is."""
    await READING(services, caller, {})
    await note(request, services, caller)
    await _require_room(services, RoomId(room_id))
    return shown(_view(RoomId(room_id), await effective_in(services, RoomId(room_id))))


@put(
    "/rooms/{room_id:uuid}/retention",
    opt=declare("retention.put", admit=PUTTING, described=Described(needs_reason=True, refused_with=frozenset({404}))),
)
async def put_room_retention(
    room_id: UUID,
    request: Request[Any, Any, Any],
    data: RetentionBody,
    services: Services,
    caller: Caller,
    dry_run: bool = False,
) -> Response[RetentionView]:
    """Set how long things are kept in a room; with `dry_run` only say what that would destroy now."""
    return await _put(request, RoomId(room_id), data, services, caller, dry_run)


@delete(
    "/rooms/{room_id:uuid}/retention",
    status_code=204,
    opt=declare("retention.put", admit=PUTTING, described=Described(needs_reason=True)),
)
async def clear_room_retention(room_id: UUID, services: Services, caller: Caller) -> Response[None]:
    """Have the default hold in a room again."""
    return await _clear(RoomId(room_id), services, caller)


async def _put(
    request: Request[Any, Any, Any],
    room_id: RoomId,
    data: RetentionBody,
    services: Services,
    caller: Caller,
    dry_run: bool,
) -> Response[RetentionView]:
    await PUTTING(services, caller, {})
    require_reason(caller)
    require_days(data.days_min, data.days_max)
    named = None if room_id == DEFAULT else room_id
    if dry_run:
        await note(request, services, caller)
        await _require_room(services, room_id)
        proposed = Effective("default" if named is None else "room", data.days_min, data.days_max, None)
        return shown(_view(named, proposed, await run_dry(services, room_id, proposed)))
    outcome = await execute(services, SetRetention(room_id, data.days_min, data.days_max), caller)
    state = outcome.folded(RETENTION, room_id).state
    assert state is not None, "a policy that was set is on the record"
    return written(
        outcome, _view(named, effective(state, None)._replace(source="default" if named is None else "room"))
    )


async def _clear(room_id: RoomId, services: Services, caller: Caller) -> Response[None]:
    await PUTTING(services, caller, {})
    require_reason(caller)
    return written(await execute(services, ClearRetention(room_id), caller), None, status=204)


async def _require_room(services: Services, room_id: RoomId) -> None:
    if room_id != DEFAULT and (await services.command_bus.see(ROOM, room_id)).state is None:
        raise RoomNotFoundError


def _view(room_id: RoomId | None, policy: Effective, dry_run: DryRun | None = None) -> RetentionView:
    from_when = None if policy.since is None or policy.days_max is None else policy.since + POLICY_GRACE
    return RetentionView(room_id, policy.source, policy.days_min, policy.days_max, policy.since, from_when, dry_run)


ROUTES: list[BaseRouteHandler] = [
    read_default, put_default, clear_default, list_policies, read_room_retention, put_room_retention, clear_room_retention,
]  # fmt: skip
