"""Reading: how far one member has read one room. The key of its stream is (room, user).

A mark moves forward only, and is recorded at most once in five seconds: it is a hint to its owner's other devices, and
nobody else relies on it. It is published to its owner alone.
"""

from datetime import datetime, timedelta
from typing import ClassVar

from msgspec import Struct

from domain.bounds import READ_MARK_SECONDS
from domain.events import Event, Recorded, Stream
from domain.ids import RoomId, UserId
from domain.integers import Int8


class ReadMarked(Event, frozen=True):
    topic: ClassVar = "reading.marked"

    room_id: RoomId
    user_id: UserId
    position: Int8


class Reading(Struct, frozen=True):
    position: int
    marked_at: datetime


def mark(
    reading: Reading | None, *, room_id: RoomId, user_id: UserId, position: int, head: int
) -> tuple[ReadMarked, ...]:
    """Move the mark forward, at most to the head. A mark that is not further changes nothing."""
    position = min(position, head)
    if position <= (reading.position if reading else 0):
        return ()
    return (ReadMarked(room_id, user_id, position),)


def due_in(reading: Reading | None, *, now: datetime) -> float:
    """Return the seconds until the next mark may be recorded, 0 if it may be recorded at once."""
    if reading is None:
        return 0.0
    return max(0.0, (reading.marked_at + timedelta(seconds=READ_MARK_SECONDS) - now).total_seconds())


def evolve(reading: Reading | None, recorded: Recorded[ReadMarked]) -> Reading:
    return Reading(recorded.event.position, recorded.at)


READING: Stream[Reading] = Stream("reading", evolve, Reading)
EVENTS: tuple[type[Event], ...] = (ReadMarked,)
