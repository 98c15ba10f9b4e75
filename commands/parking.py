"""Parking: what projections parked, or took after all, is noted on the record. No person decides it."""

from msgspec import Struct

from commands.unit_of_work import Handler, UnitOfWork
from domain import parking as decide
from domain.parking import PARKING, key_of


class NoteParked(Struct, frozen=True):
    projection: str
    position: int
    topic: str
    error: str


class NoteReplayed(Struct, frozen=True):
    projection: str
    position: int
    topic: str


async def parked(command: NoteParked, unit: UnitOfWork) -> None:
    key, found = key_of(command.projection, command.position), command
    events = decide.park(
        await unit.load(PARKING, key), projection=found.projection, position=found.position, topic=found.topic,
        error=found.error,
    )  # fmt: skip
    unit.write(PARKING, key, events=events)


async def replayed(command: NoteReplayed, unit: UnitOfWork) -> None:
    key, found = key_of(command.projection, command.position), command
    events = decide.replay(
        await unit.load(PARKING, key), projection=found.projection, position=found.position, topic=found.topic
    )
    unit.write(PARKING, key, events=events)


HANDLERS: dict[type[Struct], Handler] = {NoteParked: parked, NoteReplayed: replayed}
