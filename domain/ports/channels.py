"""Ports to the channels by which people are told of things outside the chat: push, mail, webhooks."""

from typing import Protocol
from uuid import UUID

from msgspec import Struct


class Notice(Struct, frozen=True, kw_only=True):
    """What one person is told. `text`, `room_name` and `actor_name` are None unless the person lets content be shown."""

    account_id: UUID
    position: int
    kind: str
    room_id: UUID | None
    message_id: UUID | None
    actor_id: UUID | None
    thread_id: UUID | None = None
    at: str
    count: int = 1
    room_name: str | None = None
    actor_name: str | None = None
    text: str | None = None


class Told(Struct, frozen=True):
    """The channel took it."""


class Gone(Struct, frozen=True):
    """The target is no more (404, 410): it is to be forgotten."""


class Later(Struct, frozen=True):
    """Not now (429, 5xx, a connection that failed): again after so many seconds."""

    seconds: float


class Refused(Struct, frozen=True):
    """Never (another 4xx, an address that is not public): `reason` is for operators and holds nothing personal."""

    reason: str


Outcome = Told | Gone | Later | Refused


class Channel(Protocol):
    """One way to tell people. It tells one target once and never raises for what the other side does."""

    name: str

    async def targets(self, account_id: UUID) -> list[UUID]:
        """The person's devices or addresses by this channel (subscription ids; for mail the account itself)."""

    async def tell(self, target_id: UUID, notice: Notice) -> Outcome:
        """Tell it, once."""

    async def forget(self, target_id: UUID) -> None:
        """The target answered that it is gone: end the subscription, on the record."""
