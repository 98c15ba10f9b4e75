"""Read marks."""

from typing import Annotated
from uuid import UUID

from litestar import Response, put
from litestar.handlers import BaseRouteHandler
from msgspec import Meta, Struct

from commands.reading import MarkRead
from domain.facts import Caller
from domain.ids import RoomId
from gateway.answers import written
from gateway.house import House
from gateway.room import admitting


class ReadBody(Struct, frozen=True, forbid_unknown_fields=True):
    position: Annotated[int, Meta(ge=0, le=2**63 - 1)]


@put("/rooms/{room_id:uuid}/read", status_code=204, opt={"admit": admitting("room.mark_read")})
async def mark_read(room_id: UUID, data: ReadBody, house: House, caller: Caller) -> Response[None]:
    """Move one's read mark forward; recorded at most once in five seconds, the furthest wins."""
    outcome = await house.desk.do(MarkRead(RoomId(room_id), data.position), caller)
    return written(house, caller, outcome, None, status=204)


ROUTES: list[BaseRouteHandler] = [mark_read]
