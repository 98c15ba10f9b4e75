"""Which sessions have ended and which accounts are deactivated: what a token that is still valid does not say.

The control lane tells it at once; the read tables are read every few seconds, in case an entry was lost.
"""

from datetime import timedelta

from domain.bounds import ACCESS_SECONDS, CLOCK_LEEWAY_SECONDS
from domain.errors import SessionRevokedError
from domain.ids import SessionId, UserId
from domain.ports.clock import Clock
from domain.ports.credentials import Access, Tokens
from domain.ports.database import Db
from projections import sessions, users

ENDED_BETWEEN_RELOADS_MAX = 100_000


class Sessions:
    """What one gateway process knows of them."""

    def __init__(self, db: Db, tokens: Tokens, now: Clock) -> None:
        self._db = db
        self._tokens = tokens
        self._now = now
        self._ended: set[SessionId] = set()
        self._deactivated: set[UserId] = set()

    def authenticate(self, token: str) -> Access:
        """Return what a bearer token says. Raise `BadTokenError`, or `SessionRevokedError` if it was valid once."""
        access = self._tokens.read(token, self._now())
        if self.is_over(access):
            raise SessionRevokedError
        return access

    def is_over(self, access: Access) -> bool:
        """Return whether the session has ended or its account is deactivated. The token's age is not looked at."""
        return access.session_id in self._ended or access.user_id in self._deactivated

    def end(self, session_id: SessionId) -> None:
        self._ended.add(session_id)

    def is_deactivated(self, user_id: UserId) -> bool:
        return user_id in self._deactivated

    def deactivate(self, user_id: UserId) -> None:
        self._deactivated.add(user_id)

    def activate(self, user_id: UserId) -> None:
        self._deactivated.discard(user_id)

    async def reload(self) -> None:
        """Read the tables again. Forget the sessions that ended longer ago than any token lives."""
        life = timedelta(seconds=ACCESS_SECONDS + 2 * CLOCK_LEEWAY_SECONDS + 60)
        known = self._ended
        # The earlier of two clocks: `ended_at` is the database's time, the time in a token is ours.
        now = min(self._now(), await sessions.clock(self._db))
        self._ended = await sessions.ended_since(self._db, now - life)
        self._ended |= known if len(known) < ENDED_BETWEEN_RELOADS_MAX else set()
        self._deactivated = await users.inactive(self._db)
        await self._tokens.reload()
