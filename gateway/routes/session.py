"""Sessions: logging in, refreshing, logging out, one's own sessions, one's password."""

from datetime import datetime, timedelta
from functools import partial
from typing import Annotated, Any, Literal
from uuid import UUID

from litestar import Request, Response, delete, get, post, put
from litestar.handlers import BaseRouteHandler
from msgspec import UNSET, Meta, Struct, UnsetType

from commands.account import ChangePassword, RehashPassword
from commands.session import EndSession, OpenSession, RefreshSession
from commands.unit_of_work import Outcome
from domain.account import ACCOUNT, Account, require_active
from domain.authorization import as_whom
from domain.bounds import EMAIL_CHARS_MAX, PASSWORD_BYTES_MAX, REFRESH_SECONDS
from domain.errors import (
    AccountDeactivatedError,
    BadCredentialsError,
    BadRefreshTokenError,
    BusyError,
    SessionRevokedError,
    UnauthenticatedError,
    WrongPasswordError,
)
from domain.events import Caller
from domain.ids import SessionId
from domain.ports.credentials import Refreshing
from domain.quotas import of_email, of_email_at, of_session
from domain.session import SESSION, SessionEnded
from domain.text import fold_email, normalised
from gateway.edge import rate_limits
from gateway.http.browser_sessions import clear_cookie, set_cookie, token_of, wants_cookie
from gateway.http.declarations import Described, declare
from gateway.http.error_mapping import problem_of
from gateway.http.fields import NewPassword
from gateway.http.idempotency import idempotency_key
from gateway.http.pagination import Page
from gateway.http.responses import shown, written
from gateway.operations.execution import execute
from gateway.operations.passwords import account_in_time, hash_for, matching_form, require_good
from gateway.routes.email_token import verify_again
from gateway.services import Services
from projections import sessions
from projections.sessions import SessionRow
from projections.users import Profile


class LoginBody(Struct, frozen=True, forbid_unknown_fields=True):
    email: Annotated[str, Meta(max_length=EMAIL_CHARS_MAX)]
    password: Annotated[str, Meta(max_length=PASSWORD_BYTES_MAX)]


class RefreshBody(Struct, frozen=True, forbid_unknown_fields=True):
    """`refresh_token` is needed, unless it is in a cookie (`Hansard-Session: cookie`); then the object is empty."""

    refresh_token: Annotated[str, Meta(max_length=512)] | UnsetType = UNSET


class PasswordBody(Struct, frozen=True, forbid_unknown_fields=True):
    current_password: Annotated[str, Meta(max_length=PASSWORD_BYTES_MAX)]
    new_password: NewPassword


class SessionView(Struct, frozen=True):
    """`address` and `agent` are those of its last refresh; `is_current`: it is the session that asks."""

    id: SessionId
    created_at: datetime
    last_used_at: datetime
    expires_at: datetime
    address: str | None
    agent: str | None
    is_current: bool


class TokensView(Struct, frozen=True):
    """`expires_in` in seconds is the access token's; the refresh token lives seven days and is good for one use.

    It is absent where it is in a cookie.
    """

    access_token: str
    refresh_token: str | UnsetType
    token_type: Literal["bearer"]
    expires_in: int
    user: Profile


@post(
    "/auth/login",
    status_code=200,
    opt=declare(
        "session.open",
        quotas=("logins",),
        hashes_password=True,
        described=Described(refused_with=frozenset({401, 403}), takes_cookie=True),
    ),
)
async def login(
    request: Request[Any, Any, Any], data: LoginBody, services: Services, caller: Caller
) -> Response[TokensView]:
    """Open a session. A wrong e-mail and a wrong password get the same answer, after the same time.

    Every try takes one of the account's wrong passwords, and a right one gives it back: so tries side by side are no
    more than tries one after the other. Strangers have so many together, and each address where the account was logged in
    of late has as many of its own: guessing does not lock the owner out. Live sessions know nothing of it.
    """
    in_cookie = wants_cookie(request)
    account, is_known = await account_in_time(services, data.email, caller)
    folded = fold_email(data.email)
    whose = of_email_at(folded, caller.address) if is_known else of_email(folded)
    guesses = services.policy.quotas.wrong_passwords
    await rate_limits.take(services.limits, request.scope, whose, guesses)
    try:
        matching = await matching_form(
            services, data.password, account.password_hash if account else None, data.email, caller
        )
    except BusyError:
        await services.limits.give_back(whose, guesses)  # no password was compared, so nothing was learnt
        raise
    if account is None or matching is None:
        raise BadCredentialsError
    if not account.is_active and (refusal := as_whom("session.open", "deactivated")) is not None:
        raise refusal
    await services.limits.give_back(whose, guesses)
    is_unverified = services.policy.verify_email and not account.is_verified
    if is_unverified and (refusal := as_whom("session.open", "unverified")) is not None:
        services.jobs.put(partial(verify_again, services, account.user_id, account.email, caller))
        raise refusal
    account = await _rehashed(services, account, matching, caller)
    session_id = SessionId(services.command_bus.new_id())
    token = services.tokens.refresh(session_id)
    expires_at = services.now() + timedelta(seconds=REFRESH_SECONDS)
    try:
        command = OpenSession(session_id, account.user_id, token.hash, expires_at, account.password_hash)
        outcome = await execute(services, command, caller)
    except AccountDeactivatedError:
        raise BadCredentialsError from None
    return await _with_tokens(request, services, outcome, token, in_cookie=in_cookie)


@post(
    "/auth/refresh",
    status_code=200,
    opt=declare(
        "session.refresh",
        idempotency="token",
        described=Described(refused_with=frozenset({401, 403}), takes_cookie=True),
    ),
)
async def refresh(
    request: Request[Any, Any, Any], data: RefreshBody, services: Services, caller: Caller
) -> Response[TokensView]:
    """Spend a refresh token for new tokens. A spent one, come again, ends the whole session.

    Who sends an Idempotency-Key and loses the answer gets it again for ten seconds with the same key.
    """
    in_cookie = wants_cookie(request)
    try:
        return await _refreshed(request, services, caller, _presented(request, data, in_cookie), in_cookie=in_cookie)
    except UnauthenticatedError as refusal:
        problem = problem_of(refusal)
        if in_cookie:
            problem.headers |= clear_cookie(request)
        raise problem from None


async def _refreshed(
    request: Request[Any, Any, Any], services: Services, caller: Caller, token: str, *, in_cookie: bool
) -> Response[TokensView]:
    presented, key = services.tokens.read_refresh(token), idempotency_key(request)
    fresh = services.tokens.refresh(presented.session_id, after=presented.token, key=key)
    outcome = await execute(services, RefreshSession(presented.session_id, presented.hash, fresh.hash), caller)
    if outcome.recorded(SessionEnded) is not None:
        services.sessions.end(presented.session_id)
        raise SessionRevokedError("This refresh token was used before: the session has ended. Log in again.")
    return await _with_tokens(request, services, outcome, fresh, in_cookie=in_cookie)


def _presented(request: Request[Any, Any, Any], data: RefreshBody, in_cookie: bool) -> str:
    """Return the refresh token of a request: that of its cookie or of its body, whichever it says. Raise `BadRefreshTokenError` if
    it is not there, or in the other place, too."""
    given = None if data.refresh_token is UNSET else data.refresh_token
    if in_cookie == (given is not None):
        raise BadRefreshTokenError
    return token_of(request) if given is None else given


@post("/auth/logout", status_code=204, opt=declare("session.close", described=Described(takes_cookie=True)))
async def logout(request: Request[Any, Any, Any], services: Services, caller: Caller) -> Response[None]:
    """End the session of the token that asks; its sockets close, its tokens are refused."""
    in_cookie = wants_cookie(request)
    assert caller.session_id, "authentication lets no stranger here"
    outcome = await execute(services, EndSession(caller.session_id, "logout"), caller)
    services.sessions.end(caller.session_id)
    answer = written(outcome, None, status=204)
    answer.headers.update(clear_cookie(request) if in_cookie else {})
    return answer


@get("/auth/sessions", opt=declare("session.list"))
async def list_sessions(services: Services, caller: Caller) -> Response[Page[SessionView]]:
    """List one's own live sessions, the newest first. There are never more than fit on a page."""
    assert caller.user_id, "authentication lets no stranger here"
    found = await sessions.live(services.db, caller.user_id, services.now())
    return shown(Page([_view(row, row.id == caller.session_id) for row in found], None))


@delete("/auth/sessions/{session_id:uuid}", status_code=204, opt=declare("session.end"))
async def end_session(session_id: UUID, services: Services, caller: Caller) -> Response[None]:
    """End one of one's own sessions; one that has ended already stays so."""
    outcome = await execute(services, EndSession(SessionId(session_id), "revoked"), caller)
    services.sessions.end(SessionId(session_id))
    return written(outcome, None, status=204)


@put("/auth/password", status_code=204, opt=declare("password.change", hashes_password=True))
async def change_password(
    request: Request[Any, Any, Any], data: PasswordBody, services: Services, caller: Caller
) -> Response[None]:
    """Change one's password. Every other session ends; wrong present ones count as wrong ones of a log-in do, by session."""
    assert caller.user_id and caller.session_id, "authentication lets no stranger here"
    account = require_active((await services.command_bus.see(ACCOUNT, caller.user_id)).state)
    password = require_good(services, data.new_password, account.email, account.username, field="new_password")
    whose, guesses = of_session(caller.session_id), services.policy.quotas.wrong_passwords
    await rate_limits.take(services.limits, request.scope, whose, guesses)
    if await matching_form(services, data.current_password, account.password_hash, account.email, caller) is None:
        raise WrongPasswordError(pointer="/current_password")
    await services.limits.give_back(whose, guesses)
    hashed = await hash_for(services, password, account.email, caller)
    outcome = await execute(services, ChangePassword(account.password_hash, hashed), caller)
    for recorded in outcome.events:
        if isinstance(recorded.event, SessionEnded):
            services.sessions.end(recorded.event.session_id)
    return written(outcome, None, status=204)


async def _with_tokens(
    request: Request[Any, Any, Any], services: Services, outcome: Outcome, token: Refreshing, *, in_cookie: bool
) -> Response[TokensView]:
    """Answer with the tokens of a session, as it is after a command. An access token does not outlive its session."""
    session = outcome.folded(SESSION, token.session_id).state
    assert session is not None, "it was opened or refreshed"
    services.reads.wrote(session.user_id, outcome.position)
    access, seconds = services.tokens.access(
        user_id=session.user_id, session_id=token.session_id, now=services.now(), until=session.expires_at
    )
    seen = await services.command_bus.see(ACCOUNT, session.user_id)
    assert seen.state is not None, "a session belongs to an account"
    profile = profile_of(seen.state, seen.version)
    answer = written(outcome, TokensView(access, UNSET if in_cookie else token.token, "bearer", seconds, profile))
    answer.headers.update(set_cookie(request, token.token) if in_cookie else {})
    return answer


async def _rehashed(services: Services, account: Account, matching: str, caller: Caller) -> Account:
    """Return the account. If the stored hash is outdated, replace it, now that the password is known."""
    password = normalised(matching)
    if matching == password and not services.passwords.is_outdated(account.password_hash):
        return account
    hashed = await hash_for(services, password, account.email, caller)
    outcome = await execute(services, RehashPassword(account.user_id, account.password_hash, hashed), caller)
    return outcome.folded(ACCOUNT, account.user_id).state or account


def _view(row: SessionRow, is_current: bool) -> SessionView:
    return SessionView(row.id, row.created_at, row.last_used_at, row.expires_at, row.address, row.agent, is_current)


def profile_of(account: Account, version: int) -> Profile:
    """Return the profile of an account as the record has it."""
    return Profile(
        account.user_id, account.email, account.username, account.avatar_url, account.is_active, account.is_verified,
        account.created_at, account.updated_at, version,
    )  # fmt: skip


ROUTES: list[BaseRouteHandler] = [login, refresh, logout, list_sessions, end_session, change_password]
