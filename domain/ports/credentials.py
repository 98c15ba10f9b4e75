"""Credentials: passwords, access and refresh tokens, tickets of sockets."""

from datetime import datetime
from typing import Protocol

from msgspec import Struct

from domain.ids import SessionId, UserId


class Passwords(Protocol):
    """Hashing is dear: who waits for it does so by address and account (`domain.quotas` names both), each in turn.

    Raises `BusyError` where too many wait.
    """

    def is_full_for(self, address: str) -> bool:
        """Whether somebody of this address would be refused with `BusyError` at this moment."""

    async def hash(self, password: str, *, address: str, account: str) -> str: ...
    async def verify(self, password: str, hashed: str | None, *, address: str, account: str) -> bool:
        """Take the same time whether the hash is known (given) or not (None: always False)."""

    def is_outdated(self, hashed: str) -> bool:
        """Whether a hash was made with other parameters than those of today."""

    def is_common(self, password: str) -> bool:
        """Whether it stands on the list of common and breached passwords."""


class Access(Struct, frozen=True):
    """What a valid access token says."""

    user_id: UserId
    session_id: SessionId
    expires_at: datetime


class Refreshing(Struct, frozen=True):
    """A refresh token: whose session, and what the record keeps of it (SHA-256: the token is random enough)."""

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
        """Raise `BadTokenError` for whatever is not a live access token of ours."""

    def refresh(self, session_id: SessionId, *, after: str = "", key: str | None = None) -> Refreshing:
        """Return a refresh token. With `key` it is a function of the token that it comes `after`, and of the key."""

    def read_refresh(self, token: str) -> Refreshing:
        """Raise `BadRefreshTokenError` for whatever was never a refresh token of ours, spent or not."""

    def jwks(self, now: datetime) -> dict[str, list[dict[str, str]]]:
        """The public keys that sign, will sign or have signed what still lives (RFC 7517), the newest first."""

    async def reload(self) -> None:
        """Read the keys anew."""


class Tickets(Protocol):
    """What a socket may show in its address: good for one use, for half a minute, for one session and origin."""

    def issue(self, access: Access, origin: str, now: datetime) -> str: ...

    async def spend(self, ticket: str, origin: str, now: datetime) -> Access:
        """Return the access it was issued for. Raises `BadTokenError` for any other ticket than a live unspent one."""
