"""Parking: an event that read tables could not take, and went on without, and that they took later after all.

One stream for each such event and projection, so that neither is noted twice. What is noted of these very events stays off
the record: a projection that cannot take them would have one more to park each time.
"""

from typing import ClassVar, assert_never
from uuid import UUID, uuid5

from msgspec import Struct

from domain.events import Event, Recorded, Stream
from domain.integers import Int8

PARKED = UUID("2b1f5d1e-6a0c-5c43-9a51-7f1d0c9f2e64")


class _OfParking(Event, frozen=True):
    """`position` and `parked_topic` are those of the event that was parked."""

    projection: str
    position: Int8
    parked_topic: str


class EventParked(_OfParking, frozen=True):
    """`error` is the class of what went wrong: never its words, which may quote the event."""

    topic: ClassVar = "projection.parked"

    error: str


class EventReplayed(_OfParking, frozen=True):
    """The projection's tables are as if the event had never been parked."""

    topic: ClassVar = "projection.replayed"


ParkingEvent = EventParked | EventReplayed


class Parking(Struct, frozen=True):
    is_parked: bool


def key_of(projection: str, position: int) -> UUID:
    """Return the key of the stream of an event that a projection parks."""
    return uuid5(PARKED, f"{projection}/{position}")


def park(
    parking: Parking | None, *, projection: str, position: int, topic: str, error: str
) -> tuple[ParkingEvent, ...]:
    """Note that an event is parked; what is noted already stays so."""
    if parking is not None and parking.is_parked:
        return ()
    return (EventParked(projection, position, topic, error),)


def replay(parking: Parking | None, *, projection: str, position: int, topic: str) -> tuple[ParkingEvent, ...]:
    """Note that a parked event was taken after all; of others there is nothing to note."""
    if parking is None or not parking.is_parked:
        return ()
    return (EventReplayed(projection, position, topic),)


def evolve(parking: Parking | None, recorded: Recorded[ParkingEvent]) -> Parking:
    match recorded.event:
        case EventParked():
            return Parking(True)
        case EventReplayed():
            return Parking(False)
        case _:
            assert_never(recorded.event)


PARKING: Stream[Parking] = Stream("parking", evolve, Parking)
EVENTS: tuple[type[Event], ...] = (EventParked, EventReplayed)
