"""Rooms: listing, opening, reading, changing, archiving."""

from typing import Annotated, Any
from uuid import UUID

from litestar import Request, Response, delete, get, patch, post
from litestar.handlers import BaseRouteHandler
from msgspec import UNSET, Meta, Struct, UnsetType
from msgspec.structs import replace

from commands.room import ArchiveRoom, ChangeRoom, OpenRoom, enter
from commands.unit_of_work import UnitOfWork
from domain.bounds import ROOM_DESCRIPTION_CHARS_MAX, ROOM_NAME_CHARS_MAX, ROOM_TOPIC_CHARS_MAX
from domain.errors import RoomNotFoundError
from domain.events import Caller
from domain.ids import RecordId, RoomId
from domain.ports.record import Receipt
from domain.rights import RoomOperation
from domain.room import ROOM, History, RoomOpened
from domain.text import PRINTABLE_PATTERN, check_room_description, check_room_name, check_room_topic
from gateway.http.declarations import Admit, Described, declare
from gateway.http.pagination import LIMIT, Cursor, Limit, Page, Place, cursor_of, place_then
from gateway.http.problems import behind
from gateway.http.responses import shown, written
from gateway.operations.execution import execute, me
from gateway.protocol.faults import CHECK
from gateway.routes.time_travel import As, AsOf, look, require_places
from gateway.services import Services
from projections import mentions, message_additions, past_room_queries, rooms
from projections.past_message_queries import Then
from projections.past_room_pages import Asked
from projections.rooms import RoomView

Name = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=ROOM_NAME_CHARS_MAX,
        description="One line, with a visible character.",
        extra_json_schema={"format": "line"},
        extra={CHECK: lambda value, _: check_room_name(value)},
    ),
]
Description = Annotated[
    str,
    Meta(
        max_length=ROOM_DESCRIPTION_CHARS_MAX,
        extra_json_schema={"pattern": PRINTABLE_PATTERN},
        extra={CHECK: lambda value, _: check_room_description(value)},
    ),
]

Topic = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=ROOM_TOPIC_CHARS_MAX,
        description="One line: what the room is about just now.",
        extra_json_schema={"format": "line"},
        extra={CHECK: lambda value, _: check_room_topic(value)},
    ),
]


class OpenRoomBody(Struct, frozen=True, forbid_unknown_fields=True):
    name: Name
    description: Description | None = None
    is_private: bool = False


class ChangeRoomBody(Struct, frozen=True, forbid_unknown_fields=True):
    """Absent means unchanged; null clears the description, or the topic."""

    name: Name | UnsetType = UNSET
    description: Description | None | UnsetType = UNSET
    is_private: bool | UnsetType = UNSET
    history: History | UnsetType = UNSET
    topic: Topic | None | UnsetType = UNSET


def admitting(operation: RoomOperation) -> Admit:
    """Return an `admit` that raises `DomainError` if the caller may not do this in the room that the path names."""

    async def admit(services: Services, caller: Caller, path: dict[str, Any]) -> None:
        async def probe(unit: UnitOfWork) -> None:
            await enter(unit, RoomId(path["room_id"]), operation)

        await services.command_bus.admit(probe, caller)

    return admit


admit_seeing = admitting("room.read")


def place_at(cursor: str, record: RecordId) -> tuple[tuple[int, UUID], int | None]:
    """Return the place that a cursor of this list names, and the position of the past that it is of."""
    return place_then(cursor, record, "rooms", tuple[Place, UUID])


@get("/rooms", opt=declare("room.list", "audit.read", cursor=place_at))
async def list_rooms(
    request: Request[Any, Any, Any],
    services: Services,
    caller: Caller,
    q: Annotated[str, Meta(max_length=ROOM_NAME_CHARS_MAX)] | None = None,
    joined: bool = False,
    archived: bool = False,
    as_of: AsOf | None = None,
    as_: As = None,
    cursor: Cursor | None = None,
    limit: Limit = LIMIT,
) -> Response[Page[RoomView]]:
    """List public rooms and one's own private ones, that of the last message posted (`last_message`, or else the opening)
    first; archived ones only when asked for. `as_of`: those that one may see today, as they were, in the order of then; a page of
    them may be short, or empty, and go on."""
    before, moment = (None, None) if cursor is None else place_at(cursor, services.record_id)
    seen = await look(request, services, caller, as_, as_of, cursor=moment, has_cursor=cursor is not None)
    if seen.then is not None:
        return await _list_then(services, seen.then, Asked(archived, joined, q), before, limit)
    marks = await services.marks.of(me(caller))
    found = await rooms.page(
        services.db, me(caller), q=q, joined=joined, archived=archived, before=before, limit=limit, marks=marks
    )
    following = cursor_of(services.record_id, "rooms", *found[-1][1]) if len(found) == limit else None
    return shown(Page(await _complete(services, caller, [room for room, _ in found]), following))


async def _list_then(
    services: Services, then: Then, asked: Asked, before: tuple[int, UUID] | None, limit: int
) -> Response[Page[RoomView]]:
    """Return a page of rooms as they were."""
    await require_places(services)
    found, following = await past_room_queries.page(services.db, services.past, then, asked, before=before, limit=limit)
    cursor = None if following is None else cursor_of(services.record_id, "rooms", *following, as_of=then.position)
    return shown(Page(found, cursor))


@post("/rooms", opt=declare("room.open", idempotency="receipt", described=Described(makes="room_id")))
async def open_room(
    data: OpenRoomBody, services: Services, caller: Caller, receipt: Receipt | None
) -> Response[RoomView]:
    """Open a room; the caller is its owner."""
    room_id = RoomId(services.command_bus.new_id())
    outcome = await execute(services, OpenRoom(room_id, data.name, data.description, data.is_private), caller, receipt)
    recorded = outcome.recorded(RoomOpened)
    assert recorded is not None, "an accepted opening has its event"
    return written(outcome, rooms.opened_view(recorded), status=201, version=recorded.version)


@get(
    "/rooms/{room_id:uuid}",
    opt=declare("room.read", "audit.read", admit=admit_seeing, described=Described(has_version=True)),
)
async def read_room(
    request: Request[Any, Any, Any],
    room_id: UUID,
    services: Services,
    caller: Caller,
    as_of: AsOf | None = None,
    as_: As = None,
) -> Response[RoomView]:
    """Return a room as the caller sees it; `as_of`: as they saw it then."""
    seen = await look(request, services, caller, as_, as_of, admit=admit_seeing)
    if seen.then is not None:
        room = await past_room_queries.one(services.db, services.past, seen.then, RoomId(room_id))
        return shown(room, version=room.version)
    room = await rooms.one(services.db, me(caller), RoomId(room_id), marks=await services.marks.of(me(caller)))
    [room] = await _complete(services, caller, [room])
    return shown(room, version=room.version)


@patch("/rooms/{room_id:uuid}", opt=declare("room.change", admit=admitting("room.change")))
async def change_room(
    room_id: UUID, data: ChangeRoomBody, services: Services, caller: Caller, if_match: frozenset[int] | None
) -> Response[RoomView]:
    """Change a room; owners and admins may."""
    command = ChangeRoom(
        RoomId(room_id), data.name, data.description, data.is_private, data.history, data.topic, if_match
    )
    outcome = await execute(services, command, caller)
    now = outcome.folded(ROOM, room_id)
    assert now.state is not None and now.at is not None, "a changed room exists"
    await services.reads.wait(outcome.position)
    try:
        seen = await rooms.one(services.db, me(caller), RoomId(room_id), marks=await services.marks.of(me(caller)))
    except RoomNotFoundError:  # accepted, but the tables do not have the room yet
        raise behind(outcome.position) from None
    [seen] = await _complete(services, caller, [seen])
    body = replace(
        seen, name=now.state.name, description=now.state.description, is_private=now.state.is_private,
        history=now.state.history, topic=now.state.room_topic, version=now.version,
    )  # fmt: skip
    return written(outcome, body, version=now.version)


@delete("/rooms/{room_id:uuid}", status_code=204, opt=declare("room.archive", admit=admitting("room.archive")))
async def archive_room(
    room_id: UUID, services: Services, caller: Caller, if_match: frozenset[int] | None
) -> Response[None]:
    """Archive a room; its owners may. Its history stays, nothing can be written any more."""
    outcome = await execute(services, ArchiveRoom(RoomId(room_id), if_match), caller)
    return written(outcome, None, status=204)


async def _complete(services: Services, caller: Caller, found: list[RoomView]) -> list[RoomView]:
    """Return these rooms with what stands beside their rows."""
    counted = await mentions.counted(services.db, me(caller), found)
    return await message_additions.complete_last(services.db, me(caller), counted)


ROUTES: list[BaseRouteHandler] = [list_rooms, open_room, read_room, change_room, archive_room]
