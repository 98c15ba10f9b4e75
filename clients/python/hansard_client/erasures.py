"""Erasures: asking for one, and how far it is. A part of `Client`, which asks for it."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, Unpack

from hansard_client.asking import Asked, path_of
from hansard_client.chat import Id
from hansard_client.models import Json, _read_by, _Said, _time

ErasureStatus = Literal["running", "waiting", "completed", "cancelled"]


@dataclass(frozen=True)
class Certificate(_Said):
    """What was erased. `unreached` says in codes and sentences what was not reached; `row` (Base64) is the event that the record
    holds, `proof` (C2SP tlog-proof) shows that it stands in a tree that was signed; None: not yet."""

    messages: int
    files: int
    reactions: int
    keys: int
    hold_ids: Sequence[str]
    wrapping: int | None
    unreached: Sequence[Json]
    position: int
    row: str
    proof: str | None


@dataclass(frozen=True)
class Erasure(_Said):
    """How far an erasure is. It waits while legal holds keep something, or, if `held_by` is empty, for an approval."""

    erasure_id: str
    status: ErasureStatus
    held_by: Sequence[str]
    requested_at: datetime | None = _time()
    completed_at: datetime | None = _time()
    certificate: Certificate | None = _read_by(Certificate.of)


class Erasures(ABC):
    @abstractmethod
    async def call(self, method: str, path: str, **asked: Unpack[Asked]) -> Any:
        """Call a route and return its body."""

    async def erase_me(self, password: str) -> Erasure:
        """Have oneself erased, for ever: all sessions end at once. Keep `erasure_id`: it is what `erasure` takes afterwards."""
        return Erasure.of(await self.call("DELETE", "/users/me", body={"password": password}))

    async def erase_user(self, user_id: Id, *, reason: str) -> Erasure:
        """Have somebody erased who asked for it; for admins."""
        return Erasure.of(await self.call("POST", f"/users/{path_of(user_id)}/erasure", reason=reason))

    async def erasure(self, erasure_id: Id, *, after: int | None = None) -> Erasure:
        """Return how far an erasure is, and its certificate; whoever knows its id may ask, without a session."""
        return Erasure.of(await self.call("GET", f"/erasures/{path_of(erasure_id)}", after=after, is_public=True))
