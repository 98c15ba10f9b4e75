"""The clock: that an operator had the record go on at a time that was refused until then is itself on the record."""

from datetime import datetime
from typing import ClassVar

from msgspec import Struct

from domain.events import Event, Recorded, Stream


class ClockAccepted(Event, frozen=True):
    """`clock` is what the database's clock said, `own` what the machine's said where the operator was, `recorded` the
    time of the event before."""

    topic: ClassVar = "clock.accepted"

    clock: datetime
    own: datetime
    recorded: datetime


class Accepted(Struct, frozen=True):
    """Up to when times were accepted."""

    clock: datetime


def evolve(accepted: Accepted | None, event: Recorded[ClockAccepted]) -> Accepted:
    return Accepted(event.event.clock)


CLOCK: Stream[Accepted] = Stream("clock", evolve, Accepted)
EVENTS: tuple[type[Event], ...] = (ClockAccepted,)
