"""Pins: an owner or admin pins messages of a room, and takes them down. A deleted message cannot be pinned."""

from msgspec import Struct

from commands.message import reach
from commands.unit_of_work import Handler, UnitOfWork
from domain import pin as decide
from domain.errors import MessageDeletedError
from domain.ids import MessageId
from domain.pin import PINS


class PinMessage(Struct, frozen=True):
    message_id: MessageId


class UnpinMessage(Struct, frozen=True):
    message_id: MessageId


async def pin(command: PinMessage, unit: UnitOfWork) -> None:
    message, _, user_id = await reach(unit, command.message_id, "message.pin")
    if message.is_deleted:
        raise MessageDeletedError
    pins = await unit.load(PINS, message.room_id)
    events = decide.pin(
        pins,
        room_id=message.room_id,
        message_id=command.message_id,
        posted_position=message.position,
        by=user_id,
    )
    unit.write(PINS, message.room_id, events=events)


async def unpin(command: UnpinMessage, unit: UnitOfWork) -> None:
    message, _, user_id = await reach(unit, command.message_id, "message.unpin")
    pins = await unit.load(PINS, message.room_id)
    events = decide.unpin(
        pins,
        room_id=message.room_id,
        message_id=command.message_id,
        posted_position=message.position,
        by=user_id,
    )
    unit.write(PINS, message.room_id, events=events)


HANDLERS: dict[type[Struct], Handler] = {PinMessage: pin, UnpinMessage: unpin}
