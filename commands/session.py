"""Sessions: opening one, spending its refresh token, ending it."""

from collections.abc import Sequence
from datetime import datetime

from msgspec import Struct

from commands.push import end_with_sessions
from commands.unit_of_work import Handler, UnitOfWork
from domain import session as decide
from domain.account import ACCOUNT, require_active
from domain.errors import AccountDeactivatedError, BadCredentialsError, BadRefreshTokenError, SessionRevokedError
from domain.ids import SessionId, UserId
from domain.session import SESSION, SESSIONS, EndReason, Listed, SessionEnded, SessionListed

SESSIONS_LIVE_MAX = 100
SESSIONS_ENDED_AT_ONCE_MAX = 20  # by one log-in: a list from before ends were listed too shrinks step by step


class OpenSession(Struct, frozen=True):
    """`token_hash` is the SHA-256 of the first refresh token, in hex; `seen_hash` what the right password matched."""

    session_id: SessionId
    user_id: UserId
    token_hash: str
    expires_at: datetime
    seen_hash: str | None = None


class RefreshSession(Struct, frozen=True):
    """A token that was spent before ends the session: then the outcome holds `SessionEnded`, not `SessionRefreshed`."""

    session_id: SessionId
    presented_hash: str
    next_hash: str


class EndSession(Struct, frozen=True):
    """End a session of the caller's: the one that asks, or another one."""

    session_id: SessionId
    reason: EndReason


async def open_session(command: OpenSession, unit: UnitOfWork) -> None:
    """Open a session, and add it to its owner's list. If the list gets too long, the oldest sessions end."""
    user_id = command.user_id
    unit.act_as(user_id)
    account = require_active(await unit.load(ACCOUNT, user_id))
    if command.seen_hash is not None and command.seen_hash != account.password_hash:
        raise BadCredentialsError
    listed = await unit.load(SESSIONS, user_id) or Listed()
    existing = await unit.load_new(SESSION, command.session_id)
    assert existing is None, "every session gets a new id"
    unit.write(
        SESSION,
        command.session_id,
        events=decide.open_session(
            session_id=command.session_id,
            user_id=command.user_id,
            token_hash=command.token_hash,
            expires_at=command.expires_at,
            address=unit.caller.address,
            agent=unit.caller.agent,
        ),
    )
    unit.write(SESSIONS, user_id, events=[SessionListed(command.session_id, user_id, command.expires_at)])
    live = listed.ids
    too_many = live[: max(0, len(live) + 1 - SESSIONS_LIVE_MAX)][:SESSIONS_ENDED_AT_ONCE_MAX]
    await _end(unit, user_id, too_many, reason="too_many")
    if too_many:
        await end_with_sessions(unit, user_id, lambda each: each.session_id in too_many)


async def refresh(command: RefreshSession, unit: UnitOfWork) -> None:
    session = await unit.load(SESSION, command.session_id)
    if session is None:
        raise BadRefreshTokenError
    unit.act_as(session.user_id)
    try:
        require_active(await unit.load(ACCOUNT, session.user_id))
    except AccountDeactivatedError:
        raise SessionRevokedError from None
    events = decide.refresh(
        session,
        presented_hash=command.presented_hash,
        next_hash=command.next_hash,
        now=unit.now,
        address=unit.caller.address,
        agent=unit.caller.agent,
    )
    unit.write(SESSION, command.session_id, events=events)
    if any(isinstance(event, SessionEnded) for event in events):
        await _ended(unit, session.user_id, command.session_id)


async def end(command: EndSession, unit: UnitOfWork) -> None:
    assert unit.caller.user_id, "authentication lets no stranger here"
    session = decide.require_own(await unit.load(SESSION, command.session_id), unit.caller.user_id)
    unit.write(SESSION, command.session_id, events=decide.end(session, reason=command.reason))
    await _ended(unit, session.user_id, command.session_id)


async def end_all(unit: UnitOfWork, user_id: UserId, *, reason: EndReason, keep: SessionId | None = None) -> None:
    """End every live session of a person except `keep`, in the append of the command that calls this.

    So end all push subscriptions of other sessions, those of long expired ones included.
    """
    listed = await unit.load(SESSIONS, user_id) or Listed()
    await _end(unit, user_id, [one for one in listed.ids if one != keep], reason=reason)
    await end_with_sessions(unit, user_id, lambda each: each.session_id != keep)


async def _end(unit: UnitOfWork, user_id: UserId, ids: Sequence[SessionId], *, reason: EndReason) -> None:
    sessions = await unit.load_all(*((SESSION, (session_id,)) for session_id in ids))
    for session_id, session in zip(ids, sessions, strict=True):
        unit.write(SESSION, session_id, events=decide.end(session, reason=reason))
    await _unlist(unit, user_id, *ids)


async def _ended(unit: UnitOfWork, user_id: UserId, *ended: SessionId) -> None:
    """Take these sessions from the list, and end what belongs to them: a device that is logged out is told nothing more."""
    await _unlist(unit, user_id, *ended)
    await end_with_sessions(unit, user_id, lambda each: each.session_id in ended)


async def _unlist(unit: UnitOfWork, user_id: UserId, *ended: SessionId) -> None:
    unit.write(SESSIONS, user_id, events=decide.unlist(await unit.load(SESSIONS, user_id), user_id, *ended))


HANDLERS: dict[type[Struct], Handler] = {OpenSession: open_session, RefreshSession: refresh, EndSession: end}
