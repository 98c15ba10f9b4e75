"""Presence, as those ask for it who tell people things outside the chat."""

from collections.abc import Collection, Mapping
from typing import Protocol

from domain.ids import RoomId, UserId


class WhoIsHere(Protocol):
    """Who is connected now. If that cannot be found out, nobody is: rather one notice too many than none."""

    async def looking(self, room_ids: Collection[RoomId]) -> Mapping[RoomId, frozenset[UserId]]:
        """Return who has each of these rooms before them; a room may be missing if nobody has."""

    async def online(self, user_ids: Collection[UserId]) -> frozenset[UserId]:
        """Return which of these people are connected at all."""
