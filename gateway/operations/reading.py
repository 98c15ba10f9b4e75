"""Moving read marks, as requests and frames alike ask for it."""

from uuid import UUID

from commands.reading import MarkRead
from commands.unit_of_work import Outcome
from domain.events import Caller
from domain.ids import RoomId
from gateway.operations.execution import execute, me
from gateway.services import Services


async def mark(services: Services, caller: Caller, room_id: UUID, position: int) -> Outcome:
    """Move one's read mark forward; one that is recorded later is shown to its owner from now on. Raises `DomainError`."""
    outcome = await execute(services, MarkRead(RoomId(room_id), position), caller)
    if isinstance(outcome.postponed, MarkRead):
        await services.marks.note(me(caller), outcome.postponed.room_id, outcome.postponed.position)
    return outcome
