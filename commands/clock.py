"""The clock: having the record go on at a time that was refused until then; operators alone may."""

from datetime import datetime

from msgspec import Struct

from commands.unit_of_work import Handler, UnitOfWork
from domain.clock import CLOCK, ClockAccepted


class AcceptClock(Struct, frozen=True):
    """All three as the operator was shown them."""

    clock: datetime
    own: datetime
    recorded: datetime


async def accept(command: AcceptClock, unit: UnitOfWork) -> None:
    await unit.load(CLOCK)
    unit.write(CLOCK, events=(ClockAccepted(command.clock, command.own, command.recorded),))


HANDLERS: dict[type[Struct], Handler] = {AcceptClock: accept}
