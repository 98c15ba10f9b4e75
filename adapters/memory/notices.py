"""Channels and presence in memory: what tests tell people by, held to the contracts of the real ones."""

from collections.abc import Collection, Mapping
from typing import NamedTuple
from uuid import UUID

from domain.ids import RoomId, UserId
from domain.ports.channels import Gone, Notice, Outcome, Told


class ToldTo(NamedTuple):
    """A notice that a device took."""

    target_id: UUID
    notice: Notice


class MemoryChannel:
    """The port `domain.ports.channels.Channel`: devices are added by hand, and answer what they are set to."""

    def __init__(self, name: str = "push") -> None:
        self.name = name
        self.told: list[ToldTo] = []
        self.answers: dict[UUID, list[Outcome]] = {}  # each is answered once, and then `Told`
        self._devices: dict[UUID, UUID] = {}

    def add(self, target_id: UUID, account_id: UUID) -> None:
        """Give somebody a device."""
        self._devices[target_id] = account_id

    async def targets(self, account_id: UUID) -> list[UUID]:
        return [target_id for target_id, owner in self._devices.items() if owner == account_id]

    async def tell(self, target_id: UUID, notice: Notice) -> Outcome:
        if self._devices.get(target_id) != notice.account_id:
            return Gone()
        if answers := self.answers.get(target_id):
            return answers.pop(0)
        self.told.append(ToldTo(target_id, notice))
        return Told()

    async def forget(self, target_id: UUID) -> None:
        self._devices.pop(target_id, None)


class MemoryPresence:
    """The port `domain.ports.presence.WhoIsHere`: people are where they are put."""

    def __init__(self) -> None:
        self.rooms: dict[RoomId, set[UserId]] = {}
        self.elsewhere: set[UserId] = set()

    async def looking(self, room_ids: Collection[RoomId]) -> Mapping[RoomId, frozenset[UserId]]:
        return {room_id: frozenset(self.rooms.get(room_id, ())) for room_id in room_ids}

    async def online(self, user_ids: Collection[UserId]) -> frozenset[UserId]:
        return frozenset(user_ids) & self.elsewhere.union(*self.rooms.values())
