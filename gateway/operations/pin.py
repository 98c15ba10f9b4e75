"""Pinning messages and taking them down: requests and frames ask for the same, and are answered the same."""

from uuid import UUID

from commands.pin import PinMessage, UnpinMessage
from commands.unit_of_work import Outcome
from domain.events import Caller
from domain.ids import MessageId
from gateway.operations.execution import FrameHandler, execute
from gateway.operations.message import unless_system
from gateway.protocol import server_frames
from gateway.protocol.client_frames import ClientFrame, Pin, Unpin
from gateway.services import Services


async def pin(services: Services, caller: Caller, message_id: UUID) -> Outcome:
    """Pin a message in its room. Raise `DomainError`."""
    command = PinMessage(MessageId(message_id))
    return await unless_system(services, caller, message_id, execute(services, command, caller))


async def unpin(services: Services, caller: Caller, message_id: UUID) -> Outcome:
    """Take a message from the pinned ones. Raise `DomainError`."""
    command = UnpinMessage(MessageId(message_id))
    return await unless_system(services, caller, message_id, execute(services, command, caller))


async def pin_frame(services: Services, caller: Caller, frame: Pin) -> bytes | None:
    outcome = await pin(services, caller, frame.message_id)
    return server_frames.reply(frame.id, position=outcome.position)


async def unpin_frame(services: Services, caller: Caller, frame: Unpin) -> bytes | None:
    outcome = await unpin(services, caller, frame.message_id)
    return server_frames.reply(frame.id, position=outcome.position)


FRAMES: dict[type[ClientFrame], FrameHandler] = {Pin: pin_frame, Unpin: unpin_frame}
