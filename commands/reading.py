"""Read marks: at most one in five seconds is recorded. Of those that come within the five seconds, the furthest is recorded
at their end.
"""

from msgspec import Struct

from commands.room import enter
from commands.unit_of_work import Handler, UnitOfWork
from domain import reading as decide
from domain.ids import RoomId
from domain.reading import READING


class MarkRead(Struct, frozen=True):
    room_id: RoomId
    position: int


async def mark(command: MarkRead, unit: UnitOfWork) -> None:
    _, _, user_id = await enter(unit, command.room_id, "room.mark_read")
    reading = await unit.load(READING, command.room_id, user_id)
    events = decide.mark(
        reading, room_id=command.room_id, user_id=user_id, position=command.position, head=await unit.head()
    )
    wait = decide.due_in(reading, now=unit.now)
    if events and wait:
        # The position that was accepted, not the one that was sent: nobody has read what will be posted until then.
        position = events[0].position
        accepted = MarkRead(command.room_id, position)
        unit.postpone(READING, command.room_id, user_id, seconds=wait, rank=position, command=accepted)
    unit.write(READING, command.room_id, user_id, events=events)


HANDLERS: dict[type[Struct], Handler] = {MarkRead: mark}
