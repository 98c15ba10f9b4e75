"""What is held: whether legal holds, or the minimum of a retention policy, keep something from being erased. Both beat an erasure.

A policy is named by its room's id (the null id: the default) where holds are named by theirs.
"""

from collections.abc import Collection, Mapping
from datetime import datetime
from uuid import UUID

from commands.command_bus import CommandBus
from commands.hold import holds_of
from commands.retention import policy_of
from commands.unit_of_work import UnitOfWork
from domain.erasure import HeldBackError
from domain.hold import ALL_HOLDS, HOLDS, Holds, covering
from domain.ids import RoomId, UserId
from domain.retention import DEFAULT, RETENTION, Effective, effective, keeps

Rooms = Collection[RoomId | None]


class Holding:
    """The holds and policies as they were at a moment. `policies` are those that hold in rooms; `DEFAULT`: in all others."""

    def __init__(self, holds: Holds | None, policies: Mapping[RoomId, Effective], at: datetime) -> None:
        self._holds = holds
        self._policies = policies
        self._at = at

    def on(self, person: UserId, rooms: Rooms, since: datetime | None, until: datetime | None) -> set[UUID]:
        """Return what keeps what a person did in any of these rooms (None: in no room) within [since, until)."""
        found: set[UUID] = {
            hold_id
            for room in rooms
            for hold_id in covering(self._holds, person=person, room=room, since=since, until=until, at=self._at)
        }
        for room in rooms:
            policy = None if room is None else self._policies.get(room, self._policies.get(DEFAULT))
            if room is not None and policy is not None and keeps(policy, until, self._at):
                found.add(room if policy.source == "room" else DEFAULT)
        return found


async def holding(command_bus: CommandBus, rooms: Collection[RoomId]) -> Holding:
    """Return what is held now, without a guard: whoever erases by it is refused what was held since. `rooms` are those in which
    the person said something."""
    folds = await command_bus.read({RETENTION.id(room): RETENTION for room in (DEFAULT, *rooms)})
    default = folds[RETENTION.id(DEFAULT)].state
    policies = {room: effective(folds[RETENTION.id(room)].state, default) for room in rooms}
    policies[DEFAULT] = effective(None, default)
    return Holding((await command_bus.see(HOLDS, ALL_HOLDS)).state, policies, command_bus.now())


async def refuse_held(
    unit: UnitOfWork, person: UserId, rooms: Rooms, since: datetime | None, until: datetime | None
) -> None:
    """Raise `HeldBackError` if something keeps any of it. Holds and policies are guards of whatever the unit appends."""
    policies = {room: await policy_of(unit, room) for room in rooms if room is not None}
    if held := Holding(await holds_of(unit), policies, unit.now).on(person, rooms, since, until):
        raise HeldBackError(held)
