"""Seats: how many sockets a person and an address may hold, over all gateways of the deployment.

Every gateway says how many it has (`adapters/roster.py`); what it said holds as long as its lease. Without Redis a
gateway counts its own sockets alone.
"""

from collections import Counter
from ipaddress import IPv6Address, ip_address

import structlog

from adapters.roster import Roster, RosterUnavailable, Seat
from domain.ids import UserId

log = structlog.get_logger()
NETWORK_BITS_V6 = 64  # a subscriber is given a network of this size, not an address


class Seats:
    def __init__(self, roster: Roster, *, of_user: int, of_address: int) -> None:
        """How many sockets a person, and an address, may hold at once; 0: any number."""
        self._roster = roster
        self._of_user = of_user
        self._of_address = of_address
        self._taken: Counter[str] = Counter()

    async def take(self, user_id: UserId, address: str | None) -> bool:
        """Take a seat, to be given back by `leave`; answers False where that would be one too many."""
        limits = self._limits(user_id, address)
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
        whose = self._limits(user_id, address).keys()
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

    def _limits(self, user_id: UserId, address: str | None) -> dict[str, int]:
        found = {f"user:{user_id}": self._of_user}
        if address is not None:
            found[f"address:{network_of(address)}"] = self._of_address
        return found


def network_of(address: str) -> str:
    """Return what counts as one address: an IPv4 address, or the network of an IPv6 one."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return address
    if not isinstance(parsed, IPv6Address):
        return str(parsed)
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(IPv6Address(int(parsed) >> (128 - NETWORK_BITS_V6) << (128 - NETWORK_BITS_V6)))
