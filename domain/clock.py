"""The clock: an operator accepted a time that was refused until then, and the record went on. That is recorded too."""

from datetime import datetime
from typing import ClassVar

from msgspec import Struct

from domain.events import Event, Recorded, Stream


class ClockAccepted(Event, frozen=True):
    """`clock` is the time of the database, `own` that of the operator's machine, `recorded` that of the event before."""

    topic: ClassVar = "clock.accepted"

    clock: datetime
    own: datetime
    recorded: datetime


class Accepted(Struct, frozen=True):
    """The latest time that was accepted."""

    clock: datetime


def evolve(accepted: Accepted | None, event: Recorded[ClockAccepted]) -> Accepted:
    return Accepted(event.event.clock)


CLOCK: Stream[Accepted] = Stream("clock", evolve, Accepted)
EVENTS: tuple[type[Event], ...] = (ClockAccepted,)
