"""Giving and taking back reactions, as requests and frames alike ask for it."""

from uuid import UUID

from commands.reaction import AddReaction, RemoveReaction
from commands.unit_of_work import Outcome
from domain.events import Caller
from domain.ids import MessageId
from gateway.operations.execution import execute
from gateway.operations.message import unless_system
from gateway.services import Services


async def add(services: Services, caller: Caller, message_id: UUID, emoji: str) -> Outcome:
    """Give an emoji. Raises `DomainError`."""
    command = AddReaction(MessageId(message_id), emoji)
    return await unless_system(services, caller, message_id, execute(services, command, caller))


async def remove(services: Services, caller: Caller, message_id: UUID, emoji: str) -> Outcome:
    """Take one's emoji back. Raises `DomainError`."""
    command = RemoveReaction(MessageId(message_id), emoji)
    return await unless_system(services, caller, message_id, execute(services, command, caller))
