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
from commands.unit_of_work import Outcome, Work
from domain.errors import MessageIdReserved, MessageNotFound, SystemMessage
from domain.events import Caller
from domain.ids import FileId, MessageId, RoomId
from domain.kinds import MessageType
from domain.message import MESSAGE, Versions
from domain.ports.record import Receipt
from gateway.operations import system_message_ids
from gateway.operations.execution import execute, me
from gateway.services import House
from projections import messages

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
    house: House, caller: Caller, room_id: UUID, message_id: UUID | None, said: Content, receipt: Receipt | None = None
) -> Sent:
    """Post a message, under an id of the client's or a new one. Raises `Refused`."""
    room = RoomId(room_id)
    if message_id is not None:
        await _require_free(house, caller, room, message_id)
    chosen = MessageId(message_id or house.desk.new_id())
    command = PostMessage(
        room,
        chosen,
        said.content,
        said.message_type,
        None if said.file_id is None else FileId(said.file_id),
        None if said.reply_to is None else MessageId(said.reply_to),
    )
    outcome = await execute(house, command, caller, receipt)
    message = outcome.folded(MESSAGE, chosen).state
    position = outcome.position if message is None else message.position
    return Sent(outcome, chosen, position, is_duplicate=not outcome.facts)


async def edit(house: House, caller: Caller, message_id: UUID, content: str, versions: Versions) -> Outcome:
    """Replace a message's text, if it is one of these versions. Raises `Refused`."""
    command = EditMessage(MessageId(message_id), content, versions)
    return await unless_system(house, caller, message_id, execute(house, command, caller))


async def delete(house: House, caller: Caller, message_id: UUID, versions: Versions) -> Outcome:
    """Leave a tombstone of a message, if it is one of these versions. Raises `Refused`."""
    command = DeleteMessage(MessageId(message_id), versions)
    return await unless_system(house, caller, message_id, execute(house, command, caller))


async def unless_system(house: House, caller: Caller, message_id: UUID, change: Coroutine[Any, Any, Done]) -> Done:
    """Return what a change answers. Raise `SystemMessage` instead of what it raises where the message is one of those."""
    try:
        await system_message_ids.require_no_system_message(house.db, me(caller), message_id)
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


async def _require_free(house: House, caller: Caller, room_id: RoomId, message_id: UUID) -> None:
    """Refuse an id that a system message has, or will have; whoever may not post in the room is told that first."""
    try:
        await system_message_ids.require_free(house.derived, house.record, house.db, message_id)
    except MessageIdReserved:

        async def probe(work: Work) -> None:
            await enter(work, room_id, "message.post")

        await house.desk.admit(probe, caller)
        raise
