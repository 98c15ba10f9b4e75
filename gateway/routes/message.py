"""Messages: sending, editing, deleting. How they are read: `gateway/routes/message_history.py`."""

from typing import Annotated, Any, Literal
from uuid import UUID

from litestar import Response, delete, patch, post
from litestar.handlers import BaseRouteHandler
from msgspec import Meta, Struct

from commands.message import reach
from commands.unit_of_work import Outcome, UnitOfWork
from domain.bounds import MESSAGE_CHARS_MAX
from domain.events import Caller
from domain.ids import MessageId
from domain.message import MESSAGE, MessageDeleted, MessageEdited, MessagePosted, require_editable
from domain.message import delete as decide_deletion
from domain.ports.record import Receipt
from domain.rights import RoomOperation
from domain.text import PRINTABLE_PATTERN, check_content
from gateway.http.declarations import Admit, Described, declare
from gateway.http.responses import written
from gateway.operations import message as operations
from gateway.protocol.faults import CHECK
from gateway.routes.room import admitting
from gateway.services import Services
from projections.messages import MessageView, view_of

Content = Annotated[
    str,
    Meta(
        max_length=MESSAGE_CHARS_MAX,
        extra_json_schema={"pattern": PRINTABLE_PATTERN},
        extra={CHECK: lambda value, _: check_content(value, chars_min=0)},
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
    """`id` may be made by the client; sending the same again under it is answered with the message. With `thread_id` it is a
    reply in the thread of that message; `in_room` shows it in the room, too, as every message without a thread."""

    content: Content
    id: UUID | None = None
    message_type: Literal["text", "image", "file", "system"] = "text"
    file_id: UUID | None = None
    reply_to: UUID | None = None
    thread_id: UUID | None = None
    in_room: bool = False


class EditBody(Struct, frozen=True, forbid_unknown_fields=True):
    content: Content


async def admit_editors(services: Services, caller: Caller, path: dict[str, Any]) -> None:
    """Raise `DomainError` if the caller may not edit the message."""

    async def probe(unit: UnitOfWork) -> None:
        message, relationship, user_id = await reach(unit, MessageId(path["message_id"]), "message.edit")
        require_editable(message, by=user_id, relationship=relationship)

    await operations.unless_system(services, caller, path["message_id"], services.command_bus.admit(probe, caller))


async def admit_deleters(services: Services, caller: Caller, path: dict[str, Any]) -> None:
    """Raise `DomainError` if the caller may not delete the message."""

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


@post(
    "/rooms/{room_id:uuid}/messages",
    opt=declare(
        "message.post",
        "file.share",
        "mention.room",
        quotas=("sends",),
        idempotency="receipt",
        admit=admitting("message.post"),
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


async def current(services: Services, outcome: Outcome, message_id: UUID) -> MessageView:
    """Return a message that a command left as it was, from the record."""
    stream_id = MESSAGE.id(message_id)
    before_last = {stream_id: max(0, outcome.folded(MESSAGE, message_id).version - 1)}
    events = (await services.record.streams([stream_id], after=before_last))[stream_id]
    return view_of(events[-1])


ROUTES: list[BaseRouteHandler] = [send, edit, delete_message]
