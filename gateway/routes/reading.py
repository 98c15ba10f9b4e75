"""Read marks."""

from typing import Annotated
from uuid import UUID

from litestar import Response, put
from litestar.handlers import BaseRouteHandler
from msgspec import Meta, Struct

from commands.reading import MarkRead
from commands.unit_of_work import Outcome
from domain.events import Caller
from domain.ids import RoomId
from gateway.http.responses import written
from gateway.routes.room import admitting, me
from gateway.services import House


class ReadBody(Struct, frozen=True, forbid_unknown_fields=True):
    position: Annotated[int, Meta(ge=0, le=2**63 - 1)]


@put("/rooms/{room_id:uuid}/read", status_code=204, opt={"admit": admitting("room.mark_read")})
async def mark_read(room_id: UUID, data: ReadBody, house: House, caller: Caller) -> Response[None]:
    """Move one's read mark forward. One's own reads show it at once; recorded is at most one in five seconds, the furthest."""
    outcome = await mark(house, caller, MarkRead(RoomId(room_id), data.position))
    return written(house, caller, outcome, None, status=204)


async def mark(house: House, caller: Caller, command: MarkRead) -> Outcome:
    """Move a read mark forward; one that is recorded later is shown to its owner from now on."""
    outcome = await house.desk.do(command, caller)
    if isinstance(outcome.postponed, MarkRead):
        await house.marks.note(me(caller), outcome.postponed.room_id, outcome.postponed.position)
    return outcome


ROUTES: list[BaseRouteHandler] = [mark_read]
