"""Session: one log-in of one person on one device, kept alive by refresh tokens of one use.

Only SHA-256 hashes of refresh tokens are recorded. If a token is used twice, it was stolen, and one of the two uses was the
thief's: the whole session ends (RFC 9700 4.14.2).
"""

from datetime import datetime, timedelta
from typing import ClassVar, Literal, assert_never
from uuid import UUID

from msgspec import Struct
from msgspec.structs import replace

from domain.authorization import of_session
from domain.bounds import CLOCK_LEEWAY_SECONDS, REFRESH_RETRY_SECONDS, REFRESH_SECONDS
from domain.errors import BadRefreshTokenError, SessionRevokedError
from domain.events import Event, Recorded, Stream
from domain.ids import RoomId, SessionId, UserId

# revoked: by its owner, from another session. too_many: a newer one took its place.
EndReason = Literal["logout", "reuse", "deactivated", "revoked", "password_changed", "password_reset", "too_many"]


class _OfSession(Event, frozen=True):
    session_id: SessionId
    user_id: UserId

    def encryption_subject(self) -> tuple[UUID, RoomId | None]:
        return self.user_id, None


class SessionOpened(_OfSession, frozen=True):
    topic: ClassVar = "session.opened"
    sealed: ClassVar = ("token_hash", "address", "agent")

    token_hash: str
    expires_at: datetime
    address: str | None = None
    agent: str | None = None


class SessionRefreshed(_OfSession, frozen=True):
    topic: ClassVar = "session.refreshed"
    sealed: ClassVar = ("token_hash", "address", "agent")

    token_hash: str
    address: str | None = None
    agent: str | None = None


class SessionEnded(_OfSession, frozen=True):
    topic: ClassVar = "session.ended"

    reason: EndReason


class SessionListed(_OfSession, frozen=True):
    """A session was added to its owner's list, so that one command can end all of them."""

    topic: ClassVar = "session.listed"

    expires_at: datetime


class SessionsUnlisted(Event, frozen=True):
    """Sessions that have ended were removed from their owner's list."""

    topic: ClassVar = "session.unlisted"

    user_id: UserId
    session_ids: tuple[SessionId, ...]


SessionEvent = SessionOpened | SessionRefreshed | SessionEnded


class Session(Struct, frozen=True):
    session_id: SessionId
    user_id: UserId
    token_hash: str
    expires_at: datetime
    refreshed_at: datetime
    ended: bool


class Listed(Struct, frozen=True):
    """The sessions of a person that may still live, the oldest first.

    Earlier releases did not remove sessions that ended: whether those have ended, only their own streams say.
    """

    expires: tuple[tuple[SessionId, datetime], ...] = ()

    @property
    def ids(self) -> tuple[SessionId, ...]:
        """All of them, even if they seem to have expired: ending all sessions ends those too, whatever the clock says."""
        return tuple(session_id for session_id, _ in self.expires)


def open_session(
    *,
    session_id: SessionId,
    user_id: UserId,
    token_hash: str,
    expires_at: datetime,
    address: str | None = None,
    agent: str | None = None,
) -> tuple[SessionEvent, ...]:
    return (SessionOpened(session_id, user_id, token_hash, expires_at, address, agent),)


def refresh(
    session: Session | None,
    *,
    presented_hash: str,
    next_hash: str,
    now: datetime,
    address: str | None = None,
    agent: str | None = None,
) -> tuple[SessionEvent, ...]:
    """Spend a token; the next one takes its place. A token that was spent before ends the session with `SessionEnded`.

    Nothing changes if a client asks again within seconds for the very token that it was given: it has lost the answer. Only
    who has the spent token and the Idempotency-Key of which the next one was made can ask for that.
    """
    if session is None:
        raise BadRefreshTokenError
    if session.ended:
        raise SessionRevokedError
    if now >= session.expires_at:
        raise BadRefreshTokenError
    if presented_hash != session.token_hash:
        since = (now - session.refreshed_at).total_seconds()
        if next_hash == session.token_hash and -CLOCK_LEEWAY_SECONDS <= since <= REFRESH_RETRY_SECONDS:
            return ()
        return (SessionEnded(session.session_id, session.user_id, "reuse"),)
    return (SessionRefreshed(session.session_id, session.user_id, next_hash, address, agent),)


def end(session: Session | None, *, reason: EndReason) -> tuple[SessionEvent, ...]:
    if session is None or session.ended:
        return ()
    return (SessionEnded(session.session_id, session.user_id, reason),)


def evolve(session: Session | None, recorded: Recorded[SessionEvent]) -> Session:
    event = recorded.event
    if isinstance(event, SessionOpened):
        return Session(event.session_id, event.user_id, event.token_hash, event.expires_at, recorded.at, False)
    assert session is not None, "a session is opened before anything else happens to it"
    match event:
        case SessionRefreshed():
            return replace(session, token_hash=event.token_hash, refreshed_at=recorded.at)
        case SessionEnded():
            return replace(session, ended=True)
        case _:
            assert_never(event)


def require_own(session: Session | None, user_id: UserId) -> Session:
    """Return the session. Raise the same refusal if it is somebody else's and if it does not exist."""
    refusal = of_session("session.end", is_own=session is not None and session.user_id == user_id)
    if refusal is not None:
        raise refusal
    assert session is not None, "a session that does not exist is nobody's own"
    return session


def unlist(listed: Listed | None, user_id: UserId, *ended: SessionId) -> tuple[SessionsUnlisted, ...]:
    """Remove those of the ended sessions from the list that are in it."""
    known = {session_id for session_id, _ in listed.expires} if listed else set()
    ids = tuple(session_id for session_id in ended if session_id in known)
    return (SessionsUnlisted(user_id, ids),) if ids else ()


def evolve_list(listed: Listed | None, recorded: Recorded[SessionListed | SessionsUnlisted]) -> Listed:
    """Add a session, or remove some. Adding one also drops those that have expired; they are the first ones.

    They must have expired by two clocks, the record's and that of the gateway which opened the new session: if one of them is
    wrong, sessions stay in the list, so that they can still be ended.
    """
    expires = () if listed is None else listed.expires
    match recorded.event:
        case SessionListed() as e:
            at = min(recorded.at, e.expires_at - timedelta(seconds=REFRESH_SECONDS))
            live = next((i for i, (_, expires_at) in enumerate(expires) if expires_at > at), len(expires))
            return Listed((*expires[live:], (e.session_id, e.expires_at)))
        case SessionsUnlisted(session_ids=ids):
            ended = frozenset(ids)
            return Listed(tuple(entry for entry in expires if entry[0] not in ended))
        case _:
            assert_never(recorded.event)


SESSION: Stream[Session] = Stream("session", evolve, Session, subject=lambda session: (session.user_id, None))
SESSIONS: Stream[Listed] = Stream("sessions", evolve_list, Listed, fold=2)
EVENTS: tuple[type[Event], ...] = (SessionOpened, SessionRefreshed, SessionEnded)
LISTING: tuple[type[Event], ...] = (SessionListed, SessionsUnlisted)
