"""Moving read marks: requests and frames ask for the same, and are answered the same."""

from uuid import UUID

from commands.reading import MarkRead
from commands.unit_of_work import Outcome
from domain.events import Caller
from domain.ids import RoomId
from domain.reading import ReadMarked
from gateway.operations.execution import FrameHandler, execute, me
from gateway.protocol import server_frames
from gateway.protocol.client_frames import ClientFrame, Read
from gateway.services import Services


async def mark(services: Services, caller: Caller, room_id: UUID, position: int) -> Outcome:
    """Move the caller's read mark forward. Raise `DomainError` if they may not.

    Their own reads show it from now on, though the record and the read tables may have it some seconds later.
    """
    outcome = await execute(services, MarkRead(RoomId(room_id), position), caller)
    recorded = outcome.recorded(ReadMarked)
    accepted = recorded.event if recorded else outcome.postponed
    if isinstance(accepted, (ReadMarked, MarkRead)):
        await services.marks.note(me(caller), accepted.room_id, accepted.position)
    return outcome


async def mark_frame(services: Services, caller: Caller, frame: Read) -> bytes | None:
    outcome = await mark(services, caller, frame.room_id, frame.position)
    return server_frames.reply(frame.id, position=outcome.position)


FRAMES: dict[type[ClientFrame], FrameHandler] = {Read: mark_frame}
