"""Rate limits: which quotas a request takes, and the headers that say so (IETF draft-ietf-httpapi-ratelimit-headers).

Every request takes from `requests`, except those to unlimited routes; a route declares what else it takes
(`gateway/http/declarations.py`). With a token the person is limited, without one the address. What depends on a body (whose
password, whose mail) the routes take themselves.
"""

from collections.abc import Sequence
from math import ceil
from typing import Any

from domain.errors import LimitExceededError
from domain.ports.credentials import Access
from domain.ports.rate_limits import Allowance, Limits, QuotaState
from domain.quotas import Quota, Quotas, of_address, of_user
from gateway.http.declarations import Declaration

POLICIES_LISTED_MAX = 8


class Throttle:
    """What limits the requests to one gateway process."""

    def __init__(self, limits: Limits, quotas: Quotas) -> None:
        self._limits = limits
        self._quotas = quotas

    async def take(self, scope: Any, declared: Declaration | None, access: Access | None) -> Allowance:
        """Take what a request costs. `declared` is what its route declares, None if there is no route."""
        if declared is not None and declared.is_unlimited:
            return Allowance()
        names = declared.quotas if declared else ()
        quotas = [self._quotas.requests, *(getattr(self._quotas, name) for name in names)]
        allowance = await self._limits.take(owner_of(scope, access), *quotas)
        note_allowance(scope, allowance)
        return allowance

    async def take_connect(self, scope: Any) -> Allowance:
        """Take what opening a socket costs."""
        allowance = await self._limits.take(owner_of(scope, None), self._quotas.connects)
        note_allowance(scope, allowance)
        return allowance


async def take(limits: Limits, scope: Any, name: str, *quotas: Quota | None) -> None:
    """Take further quotas under a name, within a route. Raise `LimitExceededError`. The answer's headers name them too."""
    allowance = await limits.take(name, *quotas)
    note_allowance(scope, allowance)
    require(allowance)


def require(allowance: Allowance) -> None:
    """Raise `LimitExceededError` unless the allowance is given."""
    if not allowance.ok:
        raise LimitExceededError(allowance.retry_after_seconds)


def owner_of(scope: Any, access: Access | None) -> str:
    client = scope.get("client")
    return of_user(access.user_id) if access else of_address(client[0] if client else None)


def note_allowance(scope: Any, allowance: Allowance) -> None:
    """Keep what the answer's headers will say, in the scope's state."""
    scope["state"].setdefault("quota_states", []).extend(allowance.quota_states)


def headers(quota_states: Sequence[QuotaState]) -> list[tuple[bytes, bytes]]:
    """Return the two headers of an answer (RFC 9651 lists): the policies, and what is left of each."""
    if not quota_states:
        return []
    latest = quota_states[-POLICIES_LISTED_MAX:]
    policies = ", ".join(f'"{s.quota.name}";q={s.quota.burst};w={ceil(s.quota.window_seconds)}' for s in latest)
    state = ", ".join(f'"{s.quota.name}";r={s.remaining};t={ceil(s.full_in_seconds)}' for s in latest)
    return [(b"ratelimit-policy", policies.encode()), (b"ratelimit", state.encode())]
