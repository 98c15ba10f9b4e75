"""Rate limits: taking from quotas."""

from typing import Protocol

from msgspec import Struct

from domain.quotas import Quota


class QuotaState(Struct, frozen=True):
    """How one quota stands after a request: what is left of it, and in how many seconds it will be full again."""

    quota: Quota
    remaining: int
    full_in_seconds: float


class Allowance(Struct, frozen=True):
    """Whether a request may go on; where not, in how many seconds the same one would. `standings` is () where nothing is limited."""

    ok: bool = True
    retry_after_seconds: float = 0.0
    quota_states: tuple[QuotaState, ...] = ()


class Limits(Protocol):
    """GCRA, exact across all processes of a house while Redis answers, and within this process while it does not."""

    async def take(self, whose: str, *quotas: Quota | None) -> Allowance:
        """Take each quota's cost, or nothing at all where one of them has not enough. None: not limited. Never raises."""

    async def give_back(self, whose: str, *quotas: Quota | None) -> None:
        """Undo a take: what it was taken for turned out not to count."""
