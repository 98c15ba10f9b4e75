"""Messages: a room's history, sending, editing, deleting."""

from collections.abc import Coroutine
from datetime import datetime
from typing import Annotated, Any, Literal, TypeVar
from uuid import UUID

from litestar import Response, delete, get, patch, post
from litestar.handlers import BaseRouteHandler
from msgspec import Meta, Struct

from commands.message import DeleteMessage, EditMessage, PostMessage, reach
from commands.unit_of_work import Outcome, Work
from domain.bounds import MESSAGE_CHARS_MAX
from domain.errors import MessageIdReserved, MessageNotFound, SystemMessage
from domain.events import Caller, UnknownEvent
from domain.ids import FileId, MessageId, RecordId, RoomId, UserId
from domain.message import MESSAGE, MessageDeleted, MessageEdited, MessagePosted, require_editable
from domain.message import delete as decide_deletion
from domain.ports import Receipt
from domain.text import PRINTABLE_PATTERN, check_content
from gateway.http import derived_ids
from gateway.http.faults import CHECK
from gateway.http.pagination import LIMIT, Cursor, Limit, Page, Place, cursor_of, place_of
from gateway.http.problems import FieldError, Problem, record_changed
from gateway.http.responses import shown, written
from gateway.routes.room import admitting, me
from gateway.services import House
from projections import messages
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


async def admit_readers(house: House, caller: Caller, path: dict[str, Any]) -> None:
    """Refuse who may not read the message."""
    await messages.seen(house.db, me(caller), MessageId(path["message_id"]))


async def admit_editors(house: House, caller: Caller, path: dict[str, Any]) -> None:
    """Refuse who may not edit the message."""

    async def probe(work: Work) -> None:
        message, relation, user_id = await reach(work, MessageId(path["message_id"]), "message.edit")
        require_editable(message, by=user_id, relation=relation)

    await _unless_system(house, caller, path["message_id"], house.desk.admit(probe, caller))


async def admit_deleters(house: House, caller: Caller, path: dict[str, Any]) -> None:
    """Refuse who may not delete the message."""

    async def probe(work: Work) -> None:
        message, relation, user_id = await reach(work, MessageId(path["message_id"]), "message.delete")
        decide_deletion(message, by=user_id, relation=relation)

    await _unless_system(house, caller, path["message_id"], house.desk.admit(probe, caller))


admit_listing = admitting("message.list")
admit_posting = admitting("message.post")


def place_at(cursor: str, record: RecordId) -> tuple[str, int]:
    """Return the place that a cursor of this list names."""
    place: tuple[str, int] = place_of(cursor, record, "messages", tuple[Literal["before", "after"], Place])
    return place


@get("/rooms/{room_id:uuid}/messages", opt={"admit": admit_listing, "cursor": place_at})
async def list_messages(
    room_id: UUID,
    house: House,
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
        await admit_listing(house, caller, {"room_id": room_id})
        detail = "Only one of before, after, around and cursor can be asked for."
        raise Problem(422, "query.invalid", detail, errors=[FieldError("?cursor", "query.invalid", detail)])
    if cursor is not None:
        direction, place = place_at(cursor, house.record_id)
        before, after = (place, None) if direction == "before" else (None, place)
    found, has_more = await messages.page(
        house.db, me(caller), RoomId(room_id), before=before, after=after, around=around, limit=limit,
        html=render == "html",
    )  # fmt: skip
    await _require_of_record(house, found, after, around)
    following = None
    if has_more and around is None:
        direction = "before" if after is None else "after"
        following = cursor_of(house.record_id, "messages", direction, found[-1].position)
    return shown(Page(await messages.with_files(house.db, found), following))


@post("/rooms/{room_id:uuid}/messages", opt={"admit": admit_posting})
async def send(
    room_id: UUID, data: SendBody, house: House, caller: Caller, receipt: Receipt | None
) -> Response[MessageView]:
    """Post a message. It is on the disk, with its position, when this answers."""
    if data.id is not None:
        await require_free(house, caller, RoomId(room_id), data.id)
    message_id = MessageId(data.id or house.desk.new_id())
    outcome = await house.desk.do(post_of(RoomId(room_id), message_id, data), caller, receipt)
    fact = outcome.fact(MessagePosted)
    if fact is not None:
        return written(house, caller, outcome, view_of(fact), status=201, version=fact.version)
    message = await current(house, outcome, message_id)
    return written(house, caller, outcome, message, version=message.version)


async def require_free(house: House, caller: Caller, room_id: RoomId, message_id: UUID) -> None:
    """Refuse an id that a system message has, or will have; who may not post in the room is told that first."""
    try:
        await derived_ids.require_free(house.derived, house.record, house.db, message_id)
    except MessageIdReserved:
        await admit_posting(house, caller, {"room_id": room_id})
        raise


def post_of(room_id: RoomId, message_id: MessageId, data: SendBody) -> PostMessage:
    return PostMessage(
        room_id,
        message_id,
        data.content,
        data.message_type,
        None if data.file_id is None else FileId(data.file_id),
        None if data.reply_to is None else MessageId(data.reply_to),
    )


@get("/messages/{message_id:uuid}", opt={"admit": admit_readers})
async def read_message(
    message_id: UUID, house: House, caller: Caller, render: Literal["html"] | None = None
) -> Response[MessageView]:
    """Return a message; with `?render=html` its text as sanitised HTML too."""
    message = await messages.seen(house.db, me(caller), MessageId(message_id), html=render == "html")
    [message] = await messages.with_files(house.db, [message])
    return shown(message, version=message.version)


@patch("/messages/{message_id:uuid}", opt={"admit": admit_editors})
async def edit(
    message_id: UUID, data: EditBody, house: House, caller: Caller, if_match: frozenset[int] | None
) -> Response[MessageView]:
    """Replace the text; only the sender may."""
    command = EditMessage(MessageId(message_id), data.content, if_match)
    outcome = await _unless_system(house, caller, message_id, house.desk.do(command, caller))
    fact = outcome.fact(MessageEdited)
    message = view_of(fact) if fact else await current(house, outcome, message_id)
    return written(house, caller, outcome, message, version=message.version)


@delete("/messages/{message_id:uuid}", status_code=200, opt={"admit": admit_deleters})
async def delete_message(
    message_id: UUID, house: House, caller: Caller, if_match: frozenset[int] | None
) -> Response[MessageView]:
    """Leave a tombstone, which is answered; the sender may, and the room's owners and admins."""
    command = DeleteMessage(MessageId(message_id), if_match)
    outcome = await _unless_system(house, caller, message_id, house.desk.do(command, caller))
    fact = outcome.fact(MessageDeleted)
    message = view_of(fact) if fact else await current(house, outcome, message_id)
    return written(house, caller, outcome, message, version=message.version)


def version_at(cursor: str, record: RecordId) -> tuple[int]:
    """Return the version after which a page of a message's history begins."""
    place: tuple[int] = place_of(cursor, record, "versions", tuple[Place])
    return place


@get("/messages/{message_id:uuid}/history", opt={"admit": admit_readers, "cursor": version_at})
async def read_history(
    message_id: UUID, house: House, caller: Caller, cursor: Cursor | None = None, limit: Limit = LIMIT
) -> Response[Page[VersionView]]:
    """List the versions of a message, the first first."""
    message = await messages.seen(house.db, me(caller), MessageId(message_id), "message.versions")
    (after,) = (0,) if cursor is None else version_at(cursor, house.record_id)
    if message.message_type == "system":
        return shown(Page([VersionView(1, message.position, message.created_at, None, message.content, False)], None))
    stream_id = MESSAGE.id(message_id)
    facts = (await house.record.streams([stream_id], after={stream_id: after}, limit=limit))[stream_id]
    # Asked after the page was read: what is on it and was deleted until then is told to nobody.
    state = (await house.desk.see(MESSAGE, message_id)).state
    deleted = message.deleted or (state is not None and state.is_deleted)
    versions = [
        VersionView(
            fact.version,
            fact.position,
            fact.at,
            fact.meta.actor,
            "" if deleted else view_of(fact).content,
            isinstance(fact.event, MessageDeleted),
        )
        for fact in facts
        if not isinstance(fact.event, UnknownEvent)
    ]
    following = cursor_of(house.record_id, "versions", facts[-1].version) if len(facts) == limit else None
    return shown(Page(versions, following))


async def current(house: House, outcome: Outcome, message_id: UUID) -> MessageView:
    """Return a message that a command left as it was, from the record."""
    stream_id = MESSAGE.id(message_id)
    before_last = {stream_id: max(0, outcome.folded(MESSAGE, message_id).version - 1)}
    facts = (await house.record.streams([stream_id], after=before_last))[stream_id]
    return view_of(facts[-1])


async def _unless_system(house: House, caller: Caller, message_id: UUID, change: Coroutine[Any, Any, Done]) -> Done:
    """Return what a change answers; that a message is unknown is told as `SystemMessage` where it is one, and seen."""
    try:
        await derived_ids.require_no_system_message(house.db, me(caller), message_id)
    except BaseException:
        change.close()
        raise
    try:
        return await change
    except MessageNotFound:
        message = await messages.seen(house.db, me(caller), MessageId(message_id))
        if message.message_type == "system":
            raise SystemMessage from None
        raise


async def _require_of_record(house: House, found: list[MessageView], after: int | None, around: int | None) -> None:
    """Refuse a place beyond the record's end: nothing that is found there would otherwise mean that nothing came."""
    place = after if around is None else around
    if place is None or any(message.position >= place for message in found):
        return
    if place > (await house.record.head()).position:
        raise record_changed()


ROUTES: list[BaseRouteHandler] = [list_messages, send, read_message, edit, delete_message, read_history]
