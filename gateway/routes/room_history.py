"""The history of a room: what was changed in it, by whom, and what it was before. Its messages have pages of their own."""

from typing import Any
from uuid import UUID

from litestar import Request, Response, get
from litestar.handlers import BaseRouteHandler

from domain.events import Caller
from domain.ids import RecordId, RoomId
from gateway.http.declarations import declare
from gateway.http.pagination import LIMIT, Cursor, Limit, Page, Place, cursor_of, place_of
from gateway.http.responses import shown
from gateway.routes.room import admitting
from gateway.routes.time_travel import As, viewer_of
from gateway.services import Services
from projections import room_history
from projections.room_history import RoomChangeView


def place_at(cursor: str, record: RecordId) -> tuple[int]:
    """Return the position before which a page of a room's history begins."""
    place: tuple[int] = place_of(cursor, record, "room_history", tuple[Place])
    return place


@get(
    "/rooms/{room_id:uuid}/history",
    opt=declare("room.history", "audit.read", admit=admitting("room.history"), cursor=place_at),
)
async def list_changes(
    request: Request[Any, Any, Any],
    room_id: UUID,
    services: Services,
    caller: Caller,
    as_: As = None,
    cursor: Cursor | None = None,
    limit: Limit = LIMIT,
) -> Response[Page[RoomChangeView]]:
    """List what was changed in a room, the latest first: its name, who may see it, members and their roles, pins. In a room of
    history `joined`, members see what came since they joined."""
    viewer_id = await viewer_of(request, services, caller, as_)
    (before,) = (None,) if cursor is None else place_at(cursor, services.record_id)
    found, place = await room_history.page(
        services.db, services.past, viewer_id, RoomId(room_id), before=before, limit=limit
    )
    following = None if place is None else cursor_of(services.record_id, "room_history", place)
    return shown(Page(found, following))


ROUTES: list[BaseRouteHandler] = [list_changes]
