"""Moving read marks, as requests and frames alike ask for it."""

from uuid import UUID

from commands.reading import MarkRead
from commands.unit_of_work import Outcome
from domain.events import Caller
from domain.ids import RoomId
from domain.reading import ReadMarked
from gateway.operations.execution import execute, me
from gateway.services import Services


async def mark(services: Services, caller: Caller, room_id: UUID, position: int) -> Outcome:
    """Move one's read mark forward; its owner is shown it from now on, though the read tables follow later, and the record
    maybe too. Raises `DomainError`."""
    outcome = await execute(services, MarkRead(RoomId(room_id), position), caller)
    recorded = outcome.recorded(ReadMarked)
    accepted = recorded.event if recorded else outcome.postponed
    if isinstance(accepted, (ReadMarked, MarkRead)):
        await services.marks.note(me(caller), accepted.room_id, accepted.position)
    return outcome
