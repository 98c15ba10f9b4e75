"""Session: one log-in of one person on one device, kept alive by refresh tokens of one use.

Only SHA-256 hashes of refresh tokens are recorded. A token that was spent and comes again was stolen, or its thief's
use was: the whole session ends (RFC 9700 4.14.2).
"""

from datetime import datetime
from typing import ClassVar, Literal, assert_never
from uuid import UUID

from msgspec import Struct
from msgspec.structs import replace

from domain.facts import Event, Recorded, Stream
from domain.ids import RoomId, SessionId, UserId
from domain.limits import REFRESH_RETRY_SECONDS
from domain.refusals import BadRefreshToken, SessionRevoked

EndReason = Literal["logout", "reuse", "deactivated", "revoked"]


class _OfSession(Event, frozen=True):
    session_id: SessionId
    user_id: UserId

    def key_subject(self) -> tuple[UUID, RoomId | None]:
        return self.user_id, None


class SessionOpened(_OfSession, frozen=True):
    topic: ClassVar = "session.opened"
    sealed: ClassVar = ("token_hash",)

    token_hash: str
    expires_at: datetime


class SessionRefreshed(_OfSession, frozen=True):
    topic: ClassVar = "session.refreshed"
    sealed: ClassVar = ("token_hash",)

    token_hash: str


class SessionEnded(_OfSession, frozen=True):
    topic: ClassVar = "session.ended"

    reason: EndReason


SessionEvent = SessionOpened | SessionRefreshed | SessionEnded


class Session(Struct, frozen=True):
    session_id: SessionId
    user_id: UserId
    token_hash: str
    expires_at: datetime
    refreshed_at: datetime
    ended: bool


def open_session(
    *, session_id: SessionId, user_id: UserId, token_hash: str, expires_at: datetime
) -> tuple[SessionEvent, ...]:
    return (SessionOpened(session_id, user_id, token_hash, expires_at),)


def refresh(session: Session | None, *, presented_hash: str, next_hash: str, now: datetime) -> tuple[SessionEvent, ...]:
    """Spend the token: the next one takes its place. A spent one ends the session: the answer is `SessionEnded`.

    Whoever asks again shortly after, and for the very token that was given, lost the answer: nothing changes. That is
    possible only for who has the spent token and the Idempotency-Key of which the next one was made.
    """
    if session is None:
        raise BadRefreshToken
    if session.ended:
        raise SessionRevoked
    if now >= session.expires_at:
        raise BadRefreshToken
    if presented_hash != session.token_hash:
        since = (now - session.refreshed_at).total_seconds()
        if next_hash == session.token_hash and since <= REFRESH_RETRY_SECONDS:
            return ()
        return (SessionEnded(session.session_id, session.user_id, "reuse"),)
    return (SessionRefreshed(session.session_id, session.user_id, next_hash),)


def end(session: Session | None, *, reason: EndReason) -> tuple[SessionEvent, ...]:
    if session is None or session.ended:
        return ()
    return (SessionEnded(session.session_id, session.user_id, reason),)


def evolve(session: Session | None, fact: Recorded[SessionEvent]) -> Session:
    event = fact.event
    if isinstance(event, SessionOpened):
        return Session(event.session_id, event.user_id, event.token_hash, event.expires_at, fact.at, False)
    assert session is not None, "a session is opened before anything else happens to it"
    match event:
        case SessionRefreshed():
            return replace(session, token_hash=event.token_hash, refreshed_at=fact.at)
        case SessionEnded():
            return replace(session, ended=True)
        case _:
            assert_never(event)


SESSION: Stream[Session] = Stream("session", evolve)
EVENTS: tuple[type[Event], ...] = (SessionOpened, SessionRefreshed, SessionEnded)
