"""Read marks."""

from typing import Annotated
from uuid import UUID

from litestar import Response, put
from litestar.handlers import BaseRouteHandler
from msgspec import Meta, Struct

from domain.events import Caller
from gateway.http.declarations import declare
from gateway.http.responses import written
from gateway.operations.reading import mark
from gateway.routes.room import admitting
from gateway.services import Services


class ReadBody(Struct, frozen=True, forbid_unknown_fields=True):
    position: Annotated[int, Meta(ge=0, le=2**63 - 1)]


@put(
    "/rooms/{room_id:uuid}/read",
    status_code=204,
    opt=declare("room.mark_read", admit=admitting("room.mark_read")),
)
async def mark_read(room_id: UUID, data: ReadBody, services: Services, caller: Caller) -> Response[None]:
    """Move one's read mark forward. One's own reads show it at once; recorded is at most one in five seconds, the furthest."""
    outcome = await mark(services, caller, room_id, data.position)
    return written(outcome, None, status=204)


ROUTES: list[BaseRouteHandler] = [mark_read]
