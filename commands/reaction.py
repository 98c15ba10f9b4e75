"""Reactions: giving an emoji to a message, and taking it back. The message is guarded: a deleted one gets none."""

from msgspec import Struct

from commands.message import reach
from commands.unit_of_work import Handler, UnitOfWork
from domain import reaction as decide
from domain.errors import MessageDeletedError
from domain.ids import MessageId
from domain.reaction import REACTIONS


class AddReaction(Struct, frozen=True):
    message_id: MessageId
    emoji: str


class RemoveReaction(Struct, frozen=True):
    message_id: MessageId
    emoji: str


async def add(command: AddReaction, unit: UnitOfWork) -> None:
    message, _, user_id = await reach(unit, command.message_id, "reaction.add")
    if message.is_deleted:
        raise MessageDeletedError
    reactions = await unit.load(REACTIONS, command.message_id)
    events = decide.add(
        reactions,
        room_id=message.room_id,
        message_id=command.message_id,
        posted_position=message.position,
        by=user_id,
        emoji=command.emoji,
    )
    unit.write(REACTIONS, command.message_id, events=events)


async def remove(command: RemoveReaction, unit: UnitOfWork) -> None:
    message, _, user_id = await reach(unit, command.message_id, "reaction.remove")
    reactions = await unit.load(REACTIONS, command.message_id)
    events = decide.remove(
        reactions,
        room_id=message.room_id,
        message_id=command.message_id,
        posted_position=message.position,
        by=user_id,
        emoji=command.emoji,
    )
    unit.write(REACTIONS, command.message_id, events=events)


HANDLERS: dict[type[Struct], Handler] = {AddReaction: add, RemoveReaction: remove}
