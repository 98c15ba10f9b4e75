"""Seats: how many sockets a person and an address may hold, over all gateways of the deployment.

Every gateway says how many it has (`adapters/redis/cluster_state.py`); what it said holds as long as its lease. Without Redis a
gateway counts its own sockets alone.
"""

from collections import Counter
from itertools import islice

import structlog

from adapters.redis.cluster_state import Roster, RosterUnavailable, Seat
from domain import quotas
from domain.ids import UserId
from domain.quotas import of_address, of_user

log = structlog.get_logger()
SEATS_SAID_AT_ONCE_MAX = 100


class Seats:
    def __init__(self, roster: Roster, limits: quotas.Seats) -> None:
        self._roster = roster
        self._limits = limits
        self._taken: Counter[str] = Counter()
        self._unsaid: set[str] = set()

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
        self._unsaid |= limits.keys()  # of several at once the last word may have been an earlier count
        return refused is None

    def leave(self, user_id: UserId, address: str | None) -> None:
        """Give a seat back; the others hear of it with the next `say`."""
        whose = self._of(user_id, address).keys()
        self._taken.subtract(whose)
        self._unsaid |= whose

    def say_again(self) -> None:
        """Say everything once more: Redis had forgotten it."""
        self._unsaid |= self._taken.keys()

    async def say(self) -> None:
        """Say what changed. Raises `RosterUnavailable`; it is said another time then."""
        while self._unsaid:
            names = list(islice(self._unsaid, SEATS_SAID_AT_ONCE_MAX))
            self._unsaid.difference_update(names)
            try:
                await self._roster.seat(*(Seat(name, self._taken[name], 0) for name in names))
            except RosterUnavailable:
                self._unsaid.update(names)
                raise
            for name in names:
                if not self._taken[name]:
                    del self._taken[name]

    def _of(self, user_id: UserId, address: str | None) -> dict[str, int]:
        return {of_user(user_id): self._limits.of_user, of_address(address): self._limits.of_address}
