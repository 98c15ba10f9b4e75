"""Pinning messages and taking them down, as requests and frames alike ask for it."""

from uuid import UUID

from commands.pin import PinMessage, UnpinMessage
from commands.unit_of_work import Outcome
from domain.events import Caller
from domain.ids import MessageId
from gateway.operations.execution import execute
from gateway.operations.message import unless_system
from gateway.services import Services


async def pin(services: Services, caller: Caller, message_id: UUID) -> Outcome:
    """Pin a message in its room. Raises `DomainError`."""
    command = PinMessage(MessageId(message_id))
    return await unless_system(services, caller, message_id, execute(services, command, caller))


async def unpin(services: Services, caller: Caller, message_id: UUID) -> Outcome:
    """Take a message from the pinned ones. Raises `DomainError`."""
    command = UnpinMessage(MessageId(message_id))
    return await unless_system(services, caller, message_id, execute(services, command, caller))
