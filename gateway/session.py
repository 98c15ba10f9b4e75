"""Logging in, refreshing, logging out."""

from datetime import timedelta
from typing import Annotated, Any, Literal

from litestar import Request, Response, post
from litestar.handlers import BaseRouteHandler
from msgspec import Meta, Struct

from commands.desk import Outcome
from commands.session import EndSession, OpenSession, RefreshSession
from domain.account import ACCOUNT, Account
from domain.facts import Caller
from domain.ids import SessionId
from domain.limits import EMAIL_CHARS_MAX, PASSWORD_BYTES_MAX, REFRESH_SECONDS
from domain.ports import Refreshing
from domain.quotas import of_email
from domain.refusals import AccountDeactivated, BadCredentials, SessionRevoked
from domain.session import SESSION, SessionEnded
from domain.text import fold
from gateway import throttling
from gateway.answers import written
from gateway.house import House
from gateway.requests import idempotency_key
from projections.users import Profile


class LoginBody(Struct, frozen=True, forbid_unknown_fields=True):
    email: Annotated[str, Meta(max_length=EMAIL_CHARS_MAX)]
    password: Annotated[str, Meta(max_length=PASSWORD_BYTES_MAX)]


class RefreshBody(Struct, frozen=True, forbid_unknown_fields=True):
    refresh_token: Annotated[str, Meta(max_length=512)]


class TokensView(Struct, frozen=True):
    """`expires_in` in seconds is the access token's; the refresh token lives seven days and is good for one use."""

    access_token: str
    refresh_token: str
    token_type: Literal["bearer"]
    expires_in: int
    user: Profile


@post("/auth/login", status_code=200)
async def login(request: Request[Any, Any, Any], data: LoginBody, house: House, caller: Caller) -> Response[TokensView]:
    """Open a session. A wrong e-mail and a wrong password get the same answer, after the same time.

    Every try takes one of the account's wrong passwords, and a right one gives it back: so tries side by side are no
    more than tries one after the other. Live sessions know nothing of it.
    """
    whose, guesses = of_email(fold(data.email)), house.terms.quotas.wrong_passwords
    await throttling.take(house.limits, request.scope, whose, guesses)
    account = await account_of(house, data.email)
    right = await house.passwords.verify(data.password, account.password_hash if account else None)
    if account is None or not right or not account.is_active:
        raise BadCredentials
    await house.limits.give_back(whose, guesses)
    session_id = SessionId(house.desk.new_id())
    token = house.tokens.refresh(session_id)
    expires_at = house.now() + timedelta(seconds=REFRESH_SECONDS)
    try:
        outcome = await house.desk.do(OpenSession(session_id, account.user_id, token.hash, expires_at), caller)
    except AccountDeactivated:
        raise BadCredentials from None
    return written(house, caller, outcome, await _tokens(house, outcome, token))


@post("/auth/refresh", status_code=200)
async def refresh(
    request: Request[Any, Any, Any], data: RefreshBody, house: House, caller: Caller
) -> Response[TokensView]:
    """Spend a refresh token for new tokens. A spent one, come again, ends the whole session.

    Who sends an Idempotency-Key and loses the answer gets it again for ten seconds with the same key.
    """
    presented = house.tokens.read_refresh(data.refresh_token)
    key = idempotency_key(request)
    fresh = house.tokens.refresh(presented.session_id, after=presented.token, key=key)
    outcome = await house.desk.do(RefreshSession(presented.session_id, presented.hash, fresh.hash), caller)
    if outcome.fact(SessionEnded) is not None:
        house.sessions.end(presented.session_id)
        raise SessionRevoked("This refresh token was used before: the session has ended. Log in again.")
    return written(house, caller, outcome, await _tokens(house, outcome, fresh))


@post("/auth/logout", status_code=204)
async def logout(house: House, caller: Caller) -> Response[None]:
    """End the session of the token that asks; its sockets close, its tokens are refused."""
    assert caller.session_id, "the door lets no stranger here"
    outcome = await house.desk.do(EndSession(caller.session_id, "logout"), caller)
    house.sessions.end(caller.session_id)
    return written(house, caller, outcome, None, status=204)


async def account_of(house: House, email: str) -> Account | None:
    """Return who registered with this e-mail; a stream is read where nobody did too, for the same time."""
    stream_id = await house.record.claimant("email", fold(email)) or ACCOUNT.id(house.desk.new_id())
    return (await house.desk.read({stream_id: ACCOUNT}))[stream_id].state


async def _tokens(house: House, outcome: Outcome, token: Refreshing) -> TokensView:
    """Return the tokens of a session as it is after a command; an access token does not outlive its session."""
    session = outcome.folded(SESSION, token.session_id).state
    assert session is not None, "it was opened or refreshed"
    access, seconds = house.tokens.access(
        user_id=session.user_id, session_id=token.session_id, now=house.now(), until=session.expires_at
    )
    seen = await house.desk.see(ACCOUNT, session.user_id)
    assert seen.state is not None, "a session belongs to an account"
    return TokensView(access, token.token, "bearer", seconds, profile_of(seen.state, seen.version))


def profile_of(account: Account, version: int) -> Profile:
    """Return the profile of an account as the record has it."""
    return Profile(
        account.user_id, account.email, account.username, account.avatar_url, account.is_active, account.is_verified,
        account.created_at, account.updated_at, version,
    )  # fmt: skip


ROUTES: list[BaseRouteHandler] = [login, refresh, logout]
