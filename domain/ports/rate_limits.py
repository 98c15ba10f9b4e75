"""Rate limits: taking from quotas."""

from typing import Protocol

from msgspec import Struct

from domain.quotas import Quota


class QuotaState(Struct, frozen=True):
    """A quota after a request: how much is left of it, and in how many seconds it will be full again."""

    quota: Quota
    remaining: int
    full_in_seconds: float


class Allowance(Struct, frozen=True):
    """Whether a request may go on, and if not, in how many seconds the same one could. `quota_states` is () without limits."""

    ok: bool = True
    retry_after_seconds: float = 0.0
    quota_states: tuple[QuotaState, ...] = ()


class Limits(Protocol):
    """GCRA, exact over all processes of a deployment while Redis answers, and within this process while it does not."""

    async def take(self, whose: str, *quotas: Quota | None) -> Allowance:
        """Take the cost of each quota, or nothing if one of them has not enough left. None: not limited. Never raise."""

    async def give_back(self, whose: str, *quotas: Quota | None) -> None:
        """Undo a take, because what it was for does not count after all."""
