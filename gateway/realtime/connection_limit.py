"""Connection limit: how many sockets a user and an address may have, over all gateways of the deployment.

Every gateway reports how many it has (`adapters/redis/cluster_state.py`); a report counts as long as the gateway's lease
lives. Without Redis a gateway counts its own sockets alone.
"""

from collections import Counter
from itertools import islice

import structlog

from adapters.redis.cluster_state import ClusterState, ClusterStateUnavailableError, SocketEntry
from domain import quotas
from domain.ids import UserId
from domain.quotas import of_address, of_user

log = structlog.get_logger()
OWNERS_REPORTED_AT_ONCE_MAX = 100


class SocketLimit:
    """Sockets by owner: a user (`user:<id>`) or an address (`address:<network>`)."""

    def __init__(self, cluster_state: ClusterState, limits: quotas.SocketLimit) -> None:
        self._cluster_state = cluster_state
        self._limits = limits
        self._taken: Counter[str] = Counter()
        self._unreported: set[str] = set()

    async def take(self, user_id: UserId, address: str | None) -> bool:
        """Count a socket, until `leave`. Return False if it would be one too many, and is not counted."""
        limits = self._of(user_id, address)
        self._taken.update(limits.keys())
        try:
            refused = await self._cluster_state.report(
                *(SocketEntry(owner, self._taken[owner], most) for owner, most in limits.items())
            )
        except ClusterStateUnavailableError as error:
            log.warning("sockets are counted on this gateway alone", reason=str(error))
            refused = next((owner for owner, most in limits.items() if 0 < most < self._taken[owner]), None)
        if refused is not None:
            self._taken.subtract(limits.keys())
        self._unreported |= limits.keys()  # where several sockets come at once, the last report may be an earlier count
        return refused is None

    def leave(self, user_id: UserId, address: str | None) -> None:
        """Count a socket no more. The other gateways learn of it with the next `report`."""
        owners = self._of(user_id, address).keys()
        self._taken.subtract(owners)
        self._unreported |= owners

    def report_again(self) -> None:
        """Have everything reported once more: Redis had forgotten it."""
        self._unreported |= self._taken.keys()

    async def report(self) -> None:
        """Report what changed. Raise `ClusterStateUnavailableError`; it is reported another time then."""
        while self._unreported:
            owners = list(islice(self._unreported, OWNERS_REPORTED_AT_ONCE_MAX))
            self._unreported.difference_update(owners)
            try:
                await self._cluster_state.report(*(SocketEntry(owner, self._taken[owner], 0) for owner in owners))
            except ClusterStateUnavailableError:
                self._unreported.update(owners)
                raise
            for owner in owners:
                if not self._taken[owner]:
                    del self._taken[owner]

    def _of(self, user_id: UserId, address: str | None) -> dict[str, int]:
        return {of_user(user_id): self._limits.of_user, of_address(address): self._limits.of_address}
