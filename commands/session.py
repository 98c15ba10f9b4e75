"""Sessions: opening one, spending its refresh token, ending it."""

from datetime import datetime

from msgspec import Struct

from commands.desk import Handler, Work
from domain import session as decide
from domain.account import ACCOUNT, require_active
from domain.ids import SessionId, UserId
from domain.refusals import AccountDeactivated, BadRefreshToken, SessionRevoked
from domain.session import SESSION, EndReason


class OpenSession(Struct, frozen=True):
    """The password was right; `token_hash` is the SHA-256 of the first refresh token, in hex."""

    session_id: SessionId
    user_id: UserId
    token_hash: str
    expires_at: datetime


class RefreshSession(Struct, frozen=True):
    """A spent token ends the session: then the outcome holds `SessionEnded` and no `SessionRefreshed`."""

    session_id: SessionId
    presented_hash: str
    next_hash: str


class EndSession(Struct, frozen=True):
    session_id: SessionId
    reason: EndReason


async def open_session(command: OpenSession, work: Work) -> None:
    work.act_as(command.user_id)
    require_active(await work.load(ACCOUNT, command.user_id))
    existing = await work.load_new(SESSION, command.session_id)
    assert existing is None, "a session's id is minted for it"
    work.write(
        SESSION,
        command.session_id,
        events=decide.open_session(
            session_id=command.session_id,
            user_id=command.user_id,
            token_hash=command.token_hash,
            expires_at=command.expires_at,
        ),
    )


async def refresh(command: RefreshSession, work: Work) -> None:
    session = await work.load(SESSION, command.session_id)
    if session is None:
        raise BadRefreshToken
    work.act_as(session.user_id)
    try:
        require_active(await work.load(ACCOUNT, session.user_id))
    except AccountDeactivated:
        raise SessionRevoked from None
    events = decide.refresh(session, presented_hash=command.presented_hash, next_hash=command.next_hash, now=work.now)
    work.write(SESSION, command.session_id, events=events)


async def end(command: EndSession, work: Work) -> None:
    session = await work.load(SESSION, command.session_id)
    work.write(SESSION, command.session_id, events=decide.end(session, reason=command.reason))


HANDLERS: dict[type[Struct], Handler] = {OpenSession: open_session, RefreshSession: refresh, EndSession: end}
