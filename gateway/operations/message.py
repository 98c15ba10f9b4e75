"""Sending, editing and deleting messages: requests and frames ask for the same, and are answered the same.

System messages are not on the record; projections make them of other events. So the read tables are asked whether a message
is one of those: before a change is decided, and once more if the record does not know the message.
"""

from collections.abc import Coroutine
from typing import Any, Protocol, TypeVar
from uuid import UUID

from msgspec import Struct

from commands.message import DeleteMessage, EditMessage, PostMessage
from commands.room import enter
from commands.unit_of_work import Outcome, UnitOfWork
from domain.errors import MessageIdReservedError, MessageNotFoundError, SystemMessageError
from domain.events import Caller
from domain.ids import FileId, MessageId, RoomId
from domain.kinds import MessageType
from domain.mention import names_all
from domain.message import MESSAGE, Versions
from domain.ports.record import Receipt
from gateway.operations import system_message_ids
from gateway.operations.execution import FrameHandler, execute, me
from gateway.protocol import server_frames
from gateway.protocol.client_frames import ClientFrame, Delete, Edit, Send
from gateway.services import Services
from projections import mentions, message_queries

Done = TypeVar("Done")


class Draft(Protocol):
    """What a body and a frame that post a message have in common."""

    @property
    def content(self) -> str: ...
    @property
    def message_type(self) -> MessageType: ...
    @property
    def file_id(self) -> UUID | None: ...
    @property
    def reply_to(self) -> UUID | None: ...
    @property
    def thread_id(self) -> UUID | None: ...
    @property
    def in_room(self) -> bool: ...


class Sent(Struct, frozen=True):
    """An accepted post. `position` is that of the posting, even if it was posted before (`is_duplicate`)."""

    outcome: Outcome
    message_id: MessageId
    position: int
    is_duplicate: bool


async def send(
    services: Services,
    caller: Caller,
    room_id: UUID,
    message_id: UUID | None,
    draft: Draft,
    receipt: Receipt | None = None,
) -> Sent:
    """Post a message, under the client's id or a new one. Raise `DomainError`."""
    room = RoomId(room_id)
    if message_id is not None:
        await _require_free(services, caller, room, message_id)
    chosen = MessageId(message_id or services.command_bus.new_id())
    command = PostMessage(
        room,
        chosen,
        draft.content,
        draft.message_type,
        None if draft.file_id is None else FileId(draft.file_id),
        None if draft.reply_to is None else MessageId(draft.reply_to),
        None if draft.thread_id is None else MessageId(draft.thread_id),
        draft.in_room,
        await mentions.member_count(services.db, room) if names_all(draft.content) else None,
    )
    outcome = await execute(services, command, caller, receipt)
    message = outcome.folded(MESSAGE, chosen).state
    position = outcome.position if message is None else message.position
    return Sent(outcome, chosen, position, is_duplicate=not outcome.events)


async def edit(services: Services, caller: Caller, message_id: UUID, content: str, versions: Versions) -> Outcome:
    """Replace a message's text, if it has one of these versions. Raise `DomainError`."""
    command = EditMessage(MessageId(message_id), content, versions)
    return await unless_system(services, caller, message_id, execute(services, command, caller))


async def delete(services: Services, caller: Caller, message_id: UUID, versions: Versions) -> Outcome:
    """Leave a tombstone of a message, if it has one of these versions. Raise `DomainError`."""
    command = DeleteMessage(MessageId(message_id), versions)
    return await unless_system(services, caller, message_id, execute(services, command, caller))


async def send_frame(services: Services, caller: Caller, frame: Send) -> bytes | None:
    sent = await send(services, caller, frame.room_id, frame.message_id, frame)
    return server_frames.reply(
        frame.id, position=sent.position, message_id=sent.message_id, duplicate=sent.is_duplicate
    )


async def edit_frame(services: Services, caller: Caller, frame: Edit) -> bytes | None:
    outcome = await edit(services, caller, frame.message_id, frame.content, frame.version)
    return server_frames.reply(frame.id, position=outcome.position)


async def delete_frame(services: Services, caller: Caller, frame: Delete) -> bytes | None:
    outcome = await delete(services, caller, frame.message_id, frame.version)
    return server_frames.reply(frame.id, position=outcome.position)


async def unless_system(
    services: Services, caller: Caller, message_id: UUID, change: Coroutine[Any, Any, Done]
) -> Done:
    """Return what `change` returns. Raise `SystemMessageError` if the caller can see a system message under this id."""
    try:
        await system_message_ids.require_no_system_message(services.db, me(caller), message_id)
    except BaseException:
        change.close()
        raise
    try:
        return await change
    except MessageNotFoundError:
        message = await message_queries.one(services.db, me(caller), MessageId(message_id))
        if message.message_type == "system":
            raise SystemMessageError from None
        raise


async def _require_free(services: Services, caller: Caller, room_id: RoomId, message_id: UUID) -> None:
    """Raise `MessageIdReservedError` for an id that a system message has or will have.

    If the caller may not post in the room, raise that refusal instead.
    """
    try:
        await system_message_ids.require_free(services.derived, services.record, services.db, message_id)
    except MessageIdReservedError:

        async def probe(unit: UnitOfWork) -> None:
            await enter(unit, room_id, "message.post")

        await services.command_bus.admit(probe, caller)
        raise


FRAMES: dict[type[ClientFrame], FrameHandler] = {Send: send_frame, Edit: edit_frame, Delete: delete_frame}
