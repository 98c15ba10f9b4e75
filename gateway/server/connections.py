"""Connections: counted from their acceptance to their end, and never more than there are descriptors for.

A client beyond a limit gets a short answer (`gateway/server/acceptor.py`): 429 for an address that has enough, 503 where
all slots are taken.
"""

from collections import Counter
from collections.abc import Callable

from msgspec import Struct

from domain.bounds import WRITE_STALL_SECONDS
from domain.quotas import of_address
from gateway.http.problems import Problem

CONNECTIONS_MAX = 10_000  # where nothing is known of descriptors
HEAD_SECONDS = 10.0
KEEP_ALIVE_SECONDS = 75  # longer than clients and load balancers keep theirs
BODY_GRACE_SECONDS = 10.0
BODY_IDLE_SECONDS = 30.0

LATER = {"Retry-After": "1"}
TOO_MANY = Problem(429, "connections.too_many", "This address has as many connections as it may have.", headers=LATER)
FULL = Problem(503, "connections.full", "This server has as many connections as it can hold.", headers=LATER)


class ConnectionBounds(Struct, frozen=True):
    """How many connections there may be (`of_address` 0: any number), and how long a client may take for what."""

    total: int = CONNECTIONS_MAX
    of_address: int = 0
    keep_alive_seconds: float = KEEP_ALIVE_SECONDS
    head_seconds: float = HEAD_SECONDS
    body_grace_seconds: float = BODY_GRACE_SECONDS
    body_idle_seconds: float = BODY_IDLE_SECONDS
    write_stall_seconds: float = WRITE_STALL_SECONDS


class Slot:
    """One connection's slot. Whoever sees the connection end releases it; the second time does nothing."""

    def __init__(self, limit: "ConnectionLimit", owner: str | None) -> None:
        self._limit: ConnectionLimit | None = limit
        self._owner = owner

    def release(self) -> None:
        if self._limit is not None:
            self._limit.release(self._owner)
            self._limit = None


class ConnectionLimit:
    """The connections of one process: HTTP and sockets, by address (IPv6 by /64) and in all.

    A trusted proxy speaks for many clients: its connections count in the total, and for no address.
    """

    def __init__(self, bounds: ConnectionBounds, trusts: Callable[[str], bool]) -> None:
        self._bounds = bounds
        self._trusts = trusts
        self._by_owner: Counter[str] = Counter()
        self.open = 0

    def take(self, address: str | None) -> Slot | Problem:
        """Return a slot, or the problem that says why there is none."""
        if self.open >= self._bounds.total:
            return FULL
        owner: str | None = None
        if self._bounds.of_address and not (address and self._trusts(address)):
            owner = of_address(address)
            if self._by_owner[owner] >= self._bounds.of_address:
                return TOO_MANY
            self._by_owner[owner] += 1
        self.open += 1
        return Slot(self, owner)

    def release(self, owner: str | None) -> None:
        self.open -= 1
        if owner is not None:
            self._by_owner[owner] -= 1
            if not self._by_owner[owner]:
                del self._by_owner[owner]
