"""Pinned messages."""

from uuid import UUID

from litestar import Response, delete, get, put
from litestar.handlers import BaseRouteHandler

from domain.events import Caller
from domain.ids import RecordId, RoomId
from gateway.http.declarations import declare
from gateway.http.pagination import Cursor, Page, Place, cursor_of, place_of
from gateway.http.responses import shown, written
from gateway.operations import pin as operations
from gateway.operations.execution import me
from gateway.routes.message import admitting_at
from gateway.routes.room import admitting
from gateway.services import Services
from projections import message_additions, pins
from projections.message_pages import POSITION_MAX
from projections.messages import MessageView


@put(
    "/messages/{message_id:uuid}/pin",
    status_code=204,
    opt=declare("message.pin", admit=admitting_at("message.pin")),
)
async def pin_message(message_id: UUID, services: Services, caller: Caller) -> Response[None]:
    """Pin a message in its room, at most 100; owners and admins may. One that is pinned stays so."""
    outcome = await operations.pin(services, caller, message_id)
    return written(outcome, None, status=204)


@delete(
    "/messages/{message_id:uuid}/pin",
    status_code=204,
    opt=declare("message.unpin", admit=admitting_at("message.unpin")),
)
async def unpin_message(message_id: UUID, services: Services, caller: Caller) -> Response[None]:
    """Take a message from the pinned ones; owners and admins may."""
    outcome = await operations.unpin(services, caller, message_id)
    return written(outcome, None, status=204)


def place_at(cursor: str, record: RecordId) -> tuple[int]:
    """Return the position up to which the pins of a page were pinned."""
    place: tuple[int] = place_of(cursor, record, "pins", tuple[Place])
    return place


@get("/rooms/{room_id:uuid}/pins", opt=declare("pin.list", admit=admitting("pin.list"), cursor=place_at))
async def list_pins(
    room_id: UUID, services: Services, caller: Caller, cursor: Cursor | None = None
) -> Response[Page[MessageView]]:
    """List the pinned messages of a room, what was pinned last first: all of them, but for pages of at most 1 MiB of text."""
    (until,) = (POSITION_MAX,) if cursor is None else place_at(cursor, services.record_id)
    found, further = await pins.pinned(services.db, me(caller), RoomId(room_id), until=until)
    following = None if further is None else cursor_of(services.record_id, "pins", further)
    return shown(Page(await message_additions.complete(services.db, me(caller), found), following))


ROUTES: list[BaseRouteHandler] = [pin_message, unpin_message, list_pins]
