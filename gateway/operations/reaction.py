"""Giving and taking back reactions: requests and frames ask for the same, and are answered the same."""

from uuid import UUID

from commands.reaction import AddReaction, RemoveReaction
from commands.unit_of_work import Outcome
from domain.events import Caller
from domain.ids import MessageId
from gateway.operations.execution import FrameHandler, execute
from gateway.operations.message import unless_system
from gateway.protocol import server_frames
from gateway.protocol.client_frames import ClientFrame, React, Unreact
from gateway.services import Services


async def add(services: Services, caller: Caller, message_id: UUID, emoji: str) -> Outcome:
    """Give an emoji. Raise `DomainError`."""
    command = AddReaction(MessageId(message_id), emoji)
    return await unless_system(services, caller, message_id, execute(services, command, caller))


async def remove(services: Services, caller: Caller, message_id: UUID, emoji: str) -> Outcome:
    """Take one's emoji back. Raise `DomainError`."""
    command = RemoveReaction(MessageId(message_id), emoji)
    return await unless_system(services, caller, message_id, execute(services, command, caller))


async def add_frame(services: Services, caller: Caller, frame: React) -> bytes | None:
    outcome = await add(services, caller, frame.message_id, frame.emoji)
    return server_frames.reply(frame.id, position=outcome.position)


async def remove_frame(services: Services, caller: Caller, frame: Unreact) -> bytes | None:
    outcome = await remove(services, caller, frame.message_id, frame.emoji)
    return server_frames.reply(frame.id, position=outcome.position)


FRAMES: dict[type[ClientFrame], FrameHandler] = {React: add_frame, Unreact: remove_frame}
