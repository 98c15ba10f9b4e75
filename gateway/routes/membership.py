"""Memberships: joining, leaving, and what owners and admins do to members."""

from typing import Any
from uuid import UUID

from litestar import Request, Response, delete, get, post, put
from litestar.handlers import BaseRouteHandler
from msgspec import Struct

from commands.membership import JoinRoom, LeaveRoom, PutMember, RemoveMember
from commands.unit_of_work import Outcome
from domain.events import Caller
from domain.ids import RecordId, RoomId, UserId
from domain.membership import MEMBERSHIP, MemberJoined, MemberRole
from domain.ports.record import Receipt
from gateway.http.declarations import declare
from gateway.http.pagination import LIMIT, Cursor, Limit, Page, Place, cursor_of, place_then
from gateway.http.responses import shown, written
from gateway.operations.execution import execute, me
from gateway.routes.room import admitting
from gateway.routes.time_travel import As, AsOf, look
from gateway.services import Services
from projections import members, past_member_queries, past_room_queries
from projections.members import MemberView


class RoleBody(Struct, frozen=True, forbid_unknown_fields=True):
    role: MemberRole


class MembershipView(Struct, frozen=True):
    room_id: RoomId
    user_id: UserId
    role: MemberRole


@post(
    "/rooms/{room_id:uuid}/join",
    status_code=200,
    opt=declare("room.join", idempotency="receipt", admit=admitting("room.join")),
)
async def join(room_id: UUID, services: Services, caller: Caller, receipt: Receipt | None) -> Response[MembershipView]:
    """Enter a public room; being in it already changes nothing."""
    outcome = await execute(services, JoinRoom(RoomId(room_id)), caller, receipt)
    return written(outcome, _membership(outcome, RoomId(room_id), me(caller)))


@post(
    "/rooms/{room_id:uuid}/leave",
    status_code=204,
    opt=declare("room.leave", idempotency="receipt", admit=admitting("room.leave")),
)
async def leave(room_id: UUID, services: Services, caller: Caller, receipt: Receipt | None) -> Response[None]:
    """Leave a room; its last owner makes somebody else owner first."""
    outcome = await execute(services, LeaveRoom(RoomId(room_id)), caller, receipt)
    return written(outcome, None, status=204)


admit_listing = admitting("member.list")


def place_at(cursor: str, record: RecordId) -> tuple[tuple[int, UUID], int | None]:
    """Return the place that a cursor of this list names, and the position of the past that it is of."""
    return place_then(cursor, record, "members", tuple[Place, UUID])


@get(
    "/rooms/{room_id:uuid}/members",
    opt=declare("member.list", "audit.read", admit=admit_listing, cursor=place_at),
)
async def list_members(
    request: Request[Any, Any, Any],
    room_id: UUID,
    services: Services,
    caller: Caller,
    as_of: AsOf | None = None,
    as_: As = None,
    cursor: Cursor | None = None,
    limit: Limit = LIMIT,
) -> Response[Page[MemberView]]:
    """List the members of a room in the order they joined; `as_of`: those of then; a page of them may be short, or empty, and go
    on."""
    after, moment = (None, None) if cursor is None else place_at(cursor, services.record_id)
    seen = await look(
        request, services, caller, as_, as_of, cursor=moment, has_cursor=cursor is not None, admit=admit_listing
    )
    if seen.then is not None:
        await past_room_queries.require(services.db, seen.then, RoomId(room_id))
        then, place = await past_member_queries.page(services.db, seen.then, RoomId(room_id), after=after, limit=limit)
        following = (
            None if place is None else cursor_of(services.record_id, "members", *place, as_of=seen.then.position)
        )
        return shown(Page(then, following))
    found = await members.page(services.db, me(caller), RoomId(room_id), after=after, limit=limit)
    following = cursor_of(services.record_id, "members", *found[-1][1]) if len(found) == limit else None
    return shown(Page([member for member, _ in found], following))


@put(
    "/rooms/{room_id:uuid}/members/{user_id:uuid}",
    opt=declare("member.put", "member.promote", admit=admitting("member.put")),
)
async def put_member(
    room_id: UUID, user_id: UUID, data: RoleBody, services: Services, caller: Caller
) -> Response[MembershipView]:
    """Add somebody (owners and admins), or change a role (owners)."""
    outcome = await execute(services, PutMember(RoomId(room_id), UserId(user_id), data.role), caller)
    return written(outcome, _membership(outcome, RoomId(room_id), UserId(user_id)))


@delete(
    "/rooms/{room_id:uuid}/members/{user_id:uuid}",
    status_code=204,
    opt=declare("member.remove", admit=admitting("member.remove")),
)
async def remove_member(
    room_id: UUID, user_id: UUID, services: Services, caller: Caller, ban: bool = False
) -> Response[None]:
    """Remove somebody; with `ban` they may not come back until they are added again."""
    outcome = await execute(services, RemoveMember(RoomId(room_id), UserId(user_id), ban), caller)
    return written(outcome, None, status=204)


def _membership(outcome: Outcome, room_id: RoomId, user_id: UserId) -> MembershipView:
    joined = outcome.recorded(MemberJoined)
    if joined is not None:
        return MembershipView(room_id, joined.event.user_id, joined.event.role)
    state = outcome.folded(MEMBERSHIP, room_id, user_id).state
    assert state is not None and state.role is not None, "an accepted membership has a role"
    return MembershipView(room_id, user_id, state.role)


ROUTES: list[BaseRouteHandler] = [join, leave, list_members, put_member, remove_member]
