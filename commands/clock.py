"""The clock: an operator accepts a time that was refused until then, and the record goes on."""

from datetime import datetime

from msgspec import Struct

from commands.unit_of_work import Handler, UnitOfWork
from domain.clock import CLOCK, ClockAccepted


class AcceptClock(Struct, frozen=True):
    """The three times are those that the operator saw and agreed to."""

    clock: datetime
    own: datetime
    recorded: datetime


async def accept(command: AcceptClock, unit: UnitOfWork) -> None:
    await unit.load(CLOCK)
    unit.write(CLOCK, events=(ClockAccepted(command.clock, command.own, command.recorded),))


HANDLERS: dict[type[Struct], Handler] = {AcceptClock: accept}
