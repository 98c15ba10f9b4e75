"""Credentials: passwords, access and refresh tokens, tickets of sockets."""

from datetime import datetime
from typing import Protocol

from msgspec import Struct

from domain.ids import SessionId, UserId


class Passwords(Protocol):
    """Hashing is expensive: requests wait for it in queues by address and by account (named by `domain.quotas`), in turn.

    Raises `BusyError` if too many wait.
    """

    def is_full_for(self, address: str) -> bool:
        """Return whether a request of this address would be refused with `BusyError` at this moment."""

    async def hash(self, password: str, *, address: str, account: str) -> str: ...
    async def verify(self, password: str, hashed: str | None, *, address: str, account: str) -> bool:
        """Return whether a password matches a hash. With None return False, after the same time."""

    def is_outdated(self, hashed: str) -> bool:
        """Return whether a hash was made with other parameters than today's."""

    def is_common(self, password: str) -> bool:
        """Return whether a password is on the list of common and breached ones."""


class Access(Struct, frozen=True):
    """What a valid access token says."""

    user_id: UserId
    session_id: SessionId
    expires_at: datetime


class Refreshing(Struct, frozen=True):
    """A refresh token, its session, and the hash that the record keeps (SHA-256 is enough, because the token is random)."""

    session_id: SessionId
    token: str
    hash: str


class Tokens(Protocol):
    """Access tokens: JWT (RFC 9068), signed with EdDSA by keys of our own table. Refresh tokens: opaque."""

    def access(
        self, *, user_id: UserId, session_id: SessionId, now: datetime, until: datetime | None = None
    ) -> tuple[str, int]:
        """Return a token and how many seconds it lives: `ACCESS_SECONDS`, and not beyond `until`."""

    def read(self, token: str, now: datetime) -> Access:
        """Return what an access token says. Raise `BadTokenError` unless it is a live one of ours."""

    def refresh(self, session_id: SessionId, *, after: str = "", key: str | None = None) -> Refreshing:
        """Return a refresh token. With `key` it is a function of that key and of the token that it comes `after`."""

    def read_refresh(self, token: str) -> Refreshing:
        """Return what a refresh token says. Raise `BadRefreshTokenError` unless we have issued it, spent or not."""

    def jwks(self, now: datetime) -> dict[str, list[dict[str, str]]]:
        """Return the public keys of live and future tokens (RFC 7517), the newest first."""

    async def reload(self) -> None:
        """Read the keys anew."""


class Tickets(Protocol):
    """Tickets stand in the address of a socket. One is valid for one use, half a minute, one session and one origin."""

    def issue(self, access: Access, origin: str, now: datetime) -> str: ...

    async def spend(self, ticket: str, origin: str, now: datetime) -> Access:
        """Return the access for which it was issued. Raise `BadTokenError` unless it is live and unspent."""
