"""Sending, editing and deleting messages, as requests and frames alike ask for it.

System messages are not on the record, but rows that projections make of other events. So whoever changes one is told so
by what the read tables say: before the record is asked, and once more where it knows of no such message.
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
from domain.message import MESSAGE, Versions
from domain.ports.record import Receipt
from gateway.operations import system_message_ids
from gateway.operations.execution import execute, me
from gateway.services import Services
from projections import message_queries

Done = TypeVar("Done")


class Content(Protocol):
    """What a body and a frame have in common that posts a message."""

    @property
    def content(self) -> str: ...
    @property
    def message_type(self) -> MessageType: ...
    @property
    def file_id(self) -> UUID | None: ...
    @property
    def reply_to(self) -> UUID | None: ...


class Sent(Struct, frozen=True):
    """An accepted post. `position` is that of the posting, also where it was posted before (`is_duplicate`)."""

    outcome: Outcome
    message_id: MessageId
    position: int
    is_duplicate: bool


async def send(
    services: Services,
    caller: Caller,
    room_id: UUID,
    message_id: UUID | None,
    said: Content,
    receipt: Receipt | None = None,
) -> Sent:
    """Post a message, under an id of the client's or a new one. Raises `DomainError`."""
    room = RoomId(room_id)
    if message_id is not None:
        await _require_free(services, caller, room, message_id)
    chosen = MessageId(message_id or services.command_bus.new_id())
    command = PostMessage(
        room,
        chosen,
        said.content,
        said.message_type,
        None if said.file_id is None else FileId(said.file_id),
        None if said.reply_to is None else MessageId(said.reply_to),
    )
    outcome = await execute(services, command, caller, receipt)
    message = outcome.folded(MESSAGE, chosen).state
    position = outcome.position if message is None else message.position
    return Sent(outcome, chosen, position, is_duplicate=not outcome.events)


async def edit(services: Services, caller: Caller, message_id: UUID, content: str, versions: Versions) -> Outcome:
    """Replace a message's text, if it is one of these versions. Raises `DomainError`."""
    command = EditMessage(MessageId(message_id), content, versions)
    return await unless_system(services, caller, message_id, execute(services, command, caller))


async def delete(services: Services, caller: Caller, message_id: UUID, versions: Versions) -> Outcome:
    """Leave a tombstone of a message, if it is one of these versions. Raises `DomainError`."""
    command = DeleteMessage(MessageId(message_id), versions)
    return await unless_system(services, caller, message_id, execute(services, command, caller))


async def unless_system(
    services: Services, caller: Caller, message_id: UUID, change: Coroutine[Any, Any, Done]
) -> Done:
    """Return what a change answers. Raise `SystemMessageError` instead of what it raises where the message is one of those."""
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
    """Refuse an id that a system message has, or will have; whoever may not post in the room is told that first."""
    try:
        await system_message_ids.require_free(services.derived, services.record, services.db, message_id)
    except MessageIdReservedError:

        async def probe(unit: UnitOfWork) -> None:
            await enter(unit, room_id, "message.post")

        await services.command_bus.admit(probe, caller)
        raise
