"""Messages: a room's history, sending, editing, deleting."""

from datetime import datetime
from typing import Annotated, Any, Literal, TypeVar
from uuid import UUID

from litestar import Response, delete, get, patch, post
from litestar.handlers import BaseRouteHandler
from msgspec import Meta, Struct

from commands.message import reach
from commands.unit_of_work import Outcome, UnitOfWork
from domain.bounds import MESSAGE_CHARS_MAX
from domain.events import Caller, UnknownEvent
from domain.ids import MessageId, RecordId, RoomId, UserId
from domain.message import MESSAGE, MessageDeleted, MessageEdited, MessagePosted, require_editable
from domain.message import delete as decide_deletion
from domain.ports.record import Receipt
from domain.rights import RoomOperation
from domain.text import PRINTABLE_PATTERN, check_content
from gateway.http.declarations import Admit, Described, declare
from gateway.http.pagination import LIMIT, Cursor, Limit, Page, Place, cursor_of, place_of
from gateway.http.problems import Problem, record_changed
from gateway.http.responses import shown, written
from gateway.operations import message as operations
from gateway.operations.execution import me
from gateway.protocol.faults import CHECK, FieldError
from gateway.routes.room import admitting
from gateway.services import Services
from projections import message_additions, messages
from projections.messages import MessageView, view_of

Done = TypeVar("Done")
Content = Annotated[
    str,
    Meta(
        max_length=MESSAGE_CHARS_MAX,
        extra_json_schema={"pattern": PRINTABLE_PATTERN},
        extra={CHECK: lambda said, _: check_content(said, chars_min=0)},
    ),
]


# A text is not empty and has no file; an image or file has one, and its caption may be empty.
BY_KIND = {
    "anyOf": [
        {
            "properties": {
                "message_type": {"const": "text"},
                "content": {"minLength": 1},
                "file_id": {"type": "null"},
            }
        },
        {
            "properties": {"message_type": {"enum": ["image", "file"]}, "file_id": {"type": "string"}},
            "required": ["message_type", "file_id"],
        },
    ]
}


class SendBody(Struct, frozen=True, forbid_unknown_fields=True):
    """`id` may be made by the client; sending the same again under it is answered with the message."""

    content: Content
    id: UUID | None = None
    message_type: Literal["text", "image", "file", "system"] = "text"
    file_id: UUID | None = None
    reply_to: UUID | None = None


class EditBody(Struct, frozen=True, forbid_unknown_fields=True):
    content: Content


class VersionView(Struct, frozen=True):
    """One version of a message; the text of a deleted message is told to nobody, in no version."""

    version: int
    position: int
    at: datetime
    actor_id: UserId | None
    content: str
    deleted: bool


async def admit_readers(services: Services, caller: Caller, path: dict[str, Any]) -> None:
    """Refuse who may not read the message."""
    await messages.seen(services.db, me(caller), MessageId(path["message_id"]))


async def admit_editors(services: Services, caller: Caller, path: dict[str, Any]) -> None:
    """Refuse who may not edit the message."""

    async def probe(unit: UnitOfWork) -> None:
        message, relationship, user_id = await reach(unit, MessageId(path["message_id"]), "message.edit")
        require_editable(message, by=user_id, relationship=relationship)

    await operations.unless_system(services, caller, path["message_id"], services.command_bus.admit(probe, caller))


async def admit_deleters(services: Services, caller: Caller, path: dict[str, Any]) -> None:
    """Refuse who may not delete the message."""

    async def probe(unit: UnitOfWork) -> None:
        message, relationship, user_id = await reach(unit, MessageId(path["message_id"]), "message.delete")
        decide_deletion(message, by=user_id, relationship=relationship)

    await operations.unless_system(services, caller, path["message_id"], services.command_bus.admit(probe, caller))


def admitting_at(operation: RoomOperation) -> Admit:
    """Return what refuses whoever may not do this to the message of a request, whoever sent it."""

    async def admit(services: Services, caller: Caller, path: dict[str, Any]) -> None:
        async def probe(unit: UnitOfWork) -> None:
            await reach(unit, MessageId(path["message_id"]), operation)

        await operations.unless_system(services, caller, path["message_id"], services.command_bus.admit(probe, caller))

    return admit


admit_listing = admitting("message.list")
admit_posting = admitting("message.post")


def place_at(cursor: str, record: RecordId) -> tuple[str, int]:
    """Return the place that a cursor of this list names."""
    place: tuple[str, int] = place_of(cursor, record, "messages", tuple[Literal["before", "after"], Place])
    return place


@get("/rooms/{room_id:uuid}/messages", opt=declare("message.list", admit=admit_listing, cursor=place_at))
async def list_messages(
    room_id: UUID,
    services: Services,
    caller: Caller,
    before: Place | None = None,
    after: Place | None = None,
    around: Place | None = None,
    render: Literal["html"] | None = None,
    cursor: Cursor | None = None,
    limit: Limit = LIMIT,
) -> Response[Page[MessageView]]:
    """List messages, newest first; `after` a position oldest first, `around` one ascending.

    A page with `?render=html` holds at most 1 MiB of text and HTML: fewer messages than `limit` where they are long, and a
    `next_cursor` to the others. `around` a position those nearest to it are shown; go on with `before` and `after`.
    """
    if sum(place is not None for place in (before, after, around, cursor)) > 1:
        await admit_listing(services, caller, {"room_id": room_id})
        detail = "Only one of before, after, around and cursor can be asked for."
        raise Problem(422, "query.invalid", detail, errors=[FieldError("?cursor", "query.invalid", detail)])
    if cursor is not None:
        direction, place = place_at(cursor, services.record_id)
        before, after = (place, None) if direction == "before" else (None, place)
    found, has_more = await messages.page(
        services.db, me(caller), RoomId(room_id), before=before, after=after, around=around, limit=limit,
        html=render == "html",
    )  # fmt: skip
    await _require_of_record(services, found, after, around)
    following = None
    if has_more and around is None:
        direction = "before" if after is None else "after"
        following = cursor_of(services.record_id, "messages", direction, found[-1].position)
    return shown(Page(await message_additions.complete(services.db, me(caller), found), following))


@post(
    "/rooms/{room_id:uuid}/messages",
    opt=declare(
        "message.post",
        "file.share",
        "mention.room",
        quotas=("sends",),
        idempotency="receipt",
        admit=admit_posting,
        described=Described(
            makes="message_id", narrowed=BY_KIND, answers={200: "It was posted already, under this id."}
        ),
    ),
)
async def send(
    room_id: UUID, data: SendBody, services: Services, caller: Caller, receipt: Receipt | None
) -> Response[MessageView]:
    """Post a message. It is on the disk, with its position, when this answers."""
    sent = await operations.send(services, caller, room_id, data.id, data, receipt)
    recorded = sent.outcome.recorded(MessagePosted)
    if recorded is not None:
        return written(sent.outcome, view_of(recorded), status=201, version=recorded.version)
    message = await current(services, sent.outcome, sent.message_id)
    return written(sent.outcome, message, version=message.version)


@get(
    "/messages/{message_id:uuid}",
    opt=declare("message.read", admit=admit_readers, described=Described(has_version=True)),
)
async def read_message(
    message_id: UUID, services: Services, caller: Caller, render: Literal["html"] | None = None
) -> Response[MessageView]:
    """Return a message; with `?render=html` its text as sanitised HTML too."""
    message = await messages.seen(services.db, me(caller), MessageId(message_id), html=render == "html")
    [message] = await message_additions.complete(services.db, me(caller), [message])
    return shown(message, version=message.version)


@patch("/messages/{message_id:uuid}", opt=declare("message.edit", admit=admit_editors))
async def edit(
    message_id: UUID, data: EditBody, services: Services, caller: Caller, if_match: frozenset[int] | None
) -> Response[MessageView]:
    """Replace the text; only the sender may."""
    outcome = await operations.edit(services, caller, message_id, data.content, if_match)
    recorded = outcome.recorded(MessageEdited)
    message = view_of(recorded) if recorded else await current(services, outcome, message_id)
    return written(outcome, message, version=message.version)


@delete("/messages/{message_id:uuid}", status_code=200, opt=declare("message.delete", admit=admit_deleters))
async def delete_message(
    message_id: UUID, services: Services, caller: Caller, if_match: frozenset[int] | None
) -> Response[MessageView]:
    """Leave a tombstone, which is answered; the sender may, and the room's owners and admins."""
    outcome = await operations.delete(services, caller, message_id, if_match)
    recorded = outcome.recorded(MessageDeleted)
    message = view_of(recorded) if recorded else await current(services, outcome, message_id)
    return written(outcome, message, version=message.version)


def version_at(cursor: str, record: RecordId) -> tuple[int]:
    """Return the version after which a page of a message's history begins."""
    place: tuple[int] = place_of(cursor, record, "versions", tuple[Place])
    return place


@get("/messages/{message_id:uuid}/history", opt=declare("message.versions", admit=admit_readers, cursor=version_at))
async def read_history(
    message_id: UUID, services: Services, caller: Caller, cursor: Cursor | None = None, limit: Limit = LIMIT
) -> Response[Page[VersionView]]:
    """List the versions of a message, the first first."""
    message = await messages.seen(services.db, me(caller), MessageId(message_id), "message.versions")
    (after,) = (0,) if cursor is None else version_at(cursor, services.record_id)
    if message.message_type == "system":
        return shown(Page([VersionView(1, message.position, message.created_at, None, message.content, False)], None))
    stream_id = MESSAGE.id(message_id)
    events = (await services.record.streams([stream_id], after={stream_id: after}, limit=limit))[stream_id]
    # Asked after the page was read: what is on it and was deleted until then is told to nobody.
    state = (await services.command_bus.see(MESSAGE, message_id)).state
    deleted = message.deleted or (state is not None and state.is_deleted)
    versions = [
        VersionView(
            recorded.version,
            recorded.position,
            recorded.at,
            recorded.meta.actor,
            "" if deleted else view_of(recorded).content,
            isinstance(recorded.event, MessageDeleted),
        )
        for recorded in events
        if not isinstance(recorded.event, UnknownEvent)
    ]
    following = cursor_of(services.record_id, "versions", events[-1].version) if len(events) == limit else None
    return shown(Page(versions, following))


async def current(services: Services, outcome: Outcome, message_id: UUID) -> MessageView:
    """Return a message that a command left as it was, from the record."""
    stream_id = MESSAGE.id(message_id)
    before_last = {stream_id: max(0, outcome.folded(MESSAGE, message_id).version - 1)}
    events = (await services.record.streams([stream_id], after=before_last))[stream_id]
    return view_of(events[-1])


async def _require_of_record(
    services: Services, found: list[MessageView], after: int | None, around: int | None
) -> None:
    """Refuse a place beyond the record's end: nothing that is found there would otherwise mean that nothing came."""
    place = after if around is None else around
    if place is None or any(message.position >= place for message in found):
        return
    if place > (await services.record.head()).position:
        raise record_changed()


ROUTES: list[BaseRouteHandler] = [list_messages, send, read_message, edit, delete_message, read_history]
