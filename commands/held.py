"""What is held: whether legal holds keep something from being erased. A hold beats an erasure."""

from collections.abc import Collection
from datetime import datetime
from uuid import UUID

from commands.command_bus import CommandBus
from commands.hold import holds_of
from commands.unit_of_work import UnitOfWork
from domain.erasure import HeldBackError
from domain.hold import ALL_HOLDS, HOLDS, Holds, covering
from domain.ids import RoomId, UserId

Rooms = Collection[RoomId | None]


class Holding:
    """The holds as they were at a moment."""

    def __init__(self, holds: Holds | None, at: datetime) -> None:
        self._holds = holds
        self._at = at

    def on(self, person: UserId, rooms: Rooms, since: datetime | None, until: datetime | None) -> set[UUID]:
        """Return the holds that cover what a person did in any of these rooms (None: in no room) within [since, until)."""
        return {
            hold_id
            for room in rooms
            for hold_id in covering(self._holds, person=person, room=room, since=since, until=until, at=self._at)
        }


async def holding(command_bus: CommandBus) -> Holding:
    """Return what is held now, without a guard: whoever erases by it is refused what was held since."""
    return Holding((await command_bus.see(HOLDS, ALL_HOLDS)).state, command_bus.now())


async def refuse_held(
    unit: UnitOfWork, person: UserId, rooms: Rooms, since: datetime | None, until: datetime | None
) -> None:
    """Raise `HeldBackError` if a hold covers any of it. The holds are a guard of whatever the unit appends."""
    if held := Holding(await holds_of(unit), unit.now).on(person, rooms, since, until):
        raise HeldBackError(held)
