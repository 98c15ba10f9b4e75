"""Direct rooms, and whom one does not hear from."""

from typing import Annotated
from uuid import UUID

from litestar import Response, delete, get, post, put
from litestar.handlers import BaseRouteHandler
from msgspec import Meta, Struct

from commands.block import BlockUser, UnblockUser
from commands.direct import OpenDirect
from domain.block import BLOCKS
from domain.bounds import DIRECT_PEOPLE_MAX
from domain.direct import people_of, room_id_of
from domain.errors import RoomNotFoundError
from domain.events import Caller
from domain.ids import UserId
from domain.ports.record import Receipt
from domain.room import RoomOpened
from gateway.http.declarations import Described, declare
from gateway.http.pagination import Page
from gateway.http.problems import behind
from gateway.http.responses import shown, written
from gateway.operations.execution import execute, me
from gateway.services import Services
from projections import mentions, rooms
from projections.rooms import RoomView

Others = Annotated[list[UUID], Meta(min_length=1, max_length=DIRECT_PEOPLE_MAX - 1)]


class DirectBody(Struct, frozen=True, forbid_unknown_fields=True):
    """`user_ids`: the others."""

    user_ids: Others


class BlockedView(Struct, frozen=True):
    user_id: UserId


@post(
    "/direct",
    opt=declare(
        "direct.open",
        idempotency="receipt",
        described=Described(
            makes="room_id", answers={200: "These people have it already."}, refused_with=frozenset({403, 404})
        ),
    ),
)
async def open_direct(
    data: DirectBody, services: Services, caller: Caller, receipt: Receipt | None
) -> Response[RoomView]:
    """Open the room of these people and oneself, or return it: the same people have one, whoever asked first."""
    user_id, others = me(caller), tuple(map(UserId, data.user_ids))
    outcome = await execute(services, OpenDirect(others), caller, receipt)
    recorded = outcome.recorded(RoomOpened)
    if recorded is not None:
        return written(outcome, rooms.opened_view(recorded), status=201, version=recorded.version)
    await services.reads.wait(outcome.position)
    try:
        room = await rooms.one(
            services.db, user_id, room_id_of(people_of(user_id, others)), marks=await services.marks.of(user_id)
        )
    except RoomNotFoundError:  # accepted, but the tables do not have the room yet
        raise behind(outcome.position) from None
    [room] = await mentions.counted(services.db, user_id, [room])
    return written(outcome, room, version=room.version)


@get("/users/me/blocks", opt=declare("block.list"))
async def list_blocks(services: Services, caller: Caller) -> Response[Page[BlockedView]]:
    """List whom one has blocked: all of them, on one page."""
    blocks = (await services.command_bus.see(BLOCKS, me(caller))).state
    return shown(Page([BlockedView(each) for each in sorted(blocks.blocked if blocks else ())], None))


@put("/users/me/blocks/{user_id:uuid}", status_code=204, opt=declare("block.put"))
async def block(user_id: UUID, services: Services, caller: Caller) -> Response[None]:
    """Block a person: they can open no direct room with one, write in none of both alone, and not mention one."""
    return written(await execute(services, BlockUser(UserId(user_id)), caller), None, status=204)


@delete("/users/me/blocks/{user_id:uuid}", status_code=204, opt=declare("block.remove"))
async def unblock(user_id: UUID, services: Services, caller: Caller) -> Response[None]:
    """Lift a block."""
    return written(await execute(services, UnblockUser(UserId(user_id)), caller), None, status=204)


ROUTES: list[BaseRouteHandler] = [open_direct, list_blocks, block, unblock]
