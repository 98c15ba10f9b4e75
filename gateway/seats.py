"""Seats: how many sockets a person and an address may hold, over all gateways of the deployment.

Every gateway says how many it has (`adapters/roster.py`); what it said holds as long as its lease. Without Redis a
gateway counts its own sockets alone.
"""

from collections import Counter

import structlog

from adapters.roster import Roster, RosterUnavailable, Seat
from domain import quotas
from domain.ids import UserId
from domain.quotas import of_address, of_user

log = structlog.get_logger()


class Seats:
    def __init__(self, roster: Roster, limits: quotas.Seats) -> None:
        self._roster = roster
        self._limits = limits
        self._taken: Counter[str] = Counter()

    async def take(self, user_id: UserId, address: str | None) -> bool:
        """Take a seat, to be given back by `leave`; answers False where that would be one too many."""
        limits = self._of(user_id, address)
        self._taken.update(limits.keys())
        try:
            refused = await self._roster.seat(
                *(Seat(whose, self._taken[whose], most) for whose, most in limits.items())
            )
        except RosterUnavailable as error:
            log.warning("sockets are counted on this gateway alone", reason=str(error))
            refused = next((whose for whose, most in limits.items() if 0 < most < self._taken[whose]), None)
        if refused is not None:
            self._taken.subtract(limits.keys())
        return refused is None

    async def leave(self, user_id: UserId, address: str | None) -> None:
        """Give a seat back."""
        whose = self._of(user_id, address).keys()
        self._taken.subtract(whose)
        await self._say(list(whose))

    async def say_again(self) -> None:
        """Say everything once more: Redis had forgotten it."""
        await self._say(list(self._taken))

    async def _say(self, names: list[str]) -> None:
        counts = [Seat(name, self._taken[name], 0) for name in names]
        for name in names:
            if not self._taken[name]:
                del self._taken[name]
        try:
            for count in counts:
                await self._roster.seat(count)
        except RosterUnavailable:
            pass  # it is said again with the next change, or when Redis comes back

    def _of(self, user_id: UserId, address: str | None) -> dict[str, int]:
        return {of_user(user_id): self._limits.of_user, of_address(address): self._limits.of_address}
