"""E-mail tokens: verifying an e-mail address, and setting a new password for a forgotten one.

Neither an answer nor its time reveals whether an address has an account: what depends on that is a background job, done
after the answer. Jobs that wait when the process dies are lost; whoever waits for a mail asks again.
"""

import secrets
from datetime import timedelta
from functools import partial
from hashlib import sha256
from typing import Annotated, Any
from uuid import UUID

from litestar import Request, Response, post
from litestar.handlers import BaseRouteHandler
from msgspec import Meta, Struct

from commands.email_token import IssueEmailToken, ResetPassword, VerifyEmail
from domain.account import ACCOUNT, PasswordChanged
from domain.email_token import EMAIL_TOKEN, Purpose
from domain.errors import BadEmailTokenError
from domain.events import Caller
from domain.ids import EmailTokenId, UserId
from domain.ports.mail import Mail
from domain.ports.record import Receipt
from domain.quotas import of_email
from domain.session import SessionEnded
from domain.text import check_email, fold_email
from gateway.edge import rate_limits
from gateway.http.declarations import declare
from gateway.http.fields import Email, NewPassword
from gateway.http.responses import written
from gateway.operations.execution import execute
from gateway.operations.passwords import account_in_time, account_of, hash_for, require_good, require_same
from gateway.services import Services

VERIFY_SECONDS = 24 * 3600
RESET_SECONDS = 3600

LIVES: dict[Purpose, int] = {"verify_email": VERIFY_SECONDS, "reset_password": RESET_SECONDS}
TEXTS: dict[Purpose, tuple[str, str]] = {
    "verify_email": (
        "Confirm your e-mail address",
        "Somebody, most likely you, registered with this e-mail address. To confirm it, use this code within a day:",
    ),
    "reset_password": (
        "A new password",
        "Somebody, most likely you, asked for a new password. To set one, use this code within an hour; it ends all your "
        "sessions. If it was not you, do nothing: your password stays as it is.",
    ),
}
REGISTERED_ALREADY = (
    "You have an account already",
    "Somebody, most likely you, tried to register with this e-mail address, which has an account. Log in, or ask for a new "
    "password. If it was not you, do nothing.",
)


class VerifyBody(Struct, frozen=True, forbid_unknown_fields=True):
    token: Annotated[str, Meta(max_length=200)]


class ForgotBody(Struct, frozen=True, forbid_unknown_fields=True):
    email: Email


class ResetBody(Struct, frozen=True, forbid_unknown_fields=True):
    token: Annotated[str, Meta(max_length=200)]
    password: NewPassword


class Accepted(Struct, frozen=True):
    detail: str


@post(
    "/auth/verify-email",
    status_code=204,
    opt=declare("account.verify_email", quotas=("logins",), idempotency="receipt"),
)
async def verify_email(data: VerifyBody, services: Services, caller: Caller, receipt: Receipt | None) -> Response[None]:
    """Confirm an e-mail address with the code that was mailed to it; it is good for one use."""
    outcome = await execute(services, VerifyEmail(*_parts(data.token)), caller, receipt)
    return written(outcome, None, status=204)


@post("/auth/password/forgot", status_code=202, opt=declare("password.forget", quotas=("logins",)))
async def forgot(
    request: Request[Any, Any, Any], data: ForgotBody, services: Services, caller: Caller
) -> Response[Accepted]:
    """Have a code for a new password mailed, if the address has an account; the answer does not say whether it has.

    When strangers have used up the mails for an address, more can be asked for from where its account was logged in lately.
    """
    check_email(data.email)
    folded, mails = fold_email(data.email), services.policy.quotas.mails
    allowance = await services.limits.take(of_email(folded, "reset"), mails)
    if not allowance.ok and (await account_in_time(services, data.email, caller))[1]:
        allowance = await services.limits.take(of_email(folded, "reset at home"), mails)
    rate_limits.note_allowance(request.scope, allowance)
    rate_limits.require(allowance)
    services.jobs.put(partial(_remind, services, data.email, caller))
    return Response(Accepted("If this address has an account, a mail is on its way to it."), status_code=202)


@post(
    "/auth/password/reset",
    status_code=204,
    opt=declare(
        "password.reset", quotas=("logins",), hashes_password=True, idempotency="receipt", secrets=("password",)
    ),
)
async def reset(data: ResetBody, services: Services, caller: Caller, receipt: Receipt | None) -> Response[None]:
    """Set a new password with the code that was mailed; every session of the account ends."""
    letter_id, secret_hash = _parts(data.token)
    email_token = (await services.command_bus.see(EMAIL_TOKEN, letter_id)).state
    account = None if email_token is None else (await services.command_bus.see(ACCOUNT, email_token.user_id)).state
    if email_token is None or account is None or email_token.secret_hash != secret_hash:
        raise BadEmailTokenError(pointer="/token")
    password = require_good(services, data.password, account.email, account.username)
    hashed = await hash_for(services, password, account.email, caller)
    outcome = await execute(services, ResetPassword(letter_id, secret_hash, hashed), caller, receipt)
    for recorded in outcome.events:
        if isinstance(recorded.event, SessionEnded):
            services.sessions.end(recorded.event.session_id)
    changed = outcome.recorded(PasswordChanged)
    if outcome.replayed and changed is not None:
        await require_same(services, data.password, changed.event.password_hash, account.email, caller)
    return written(outcome, None, status=204)


async def issue_email_token(services: Services, user_id: UserId, email: str, purpose: Purpose, caller: Caller) -> None:
    """Record a token and mail it; a background job."""
    letter_id, secret = EmailTokenId(services.command_bus.new_id()), secrets.token_urlsafe(32)
    expires_at = services.now() + timedelta(seconds=LIVES[purpose])
    await execute(services, IssueEmailToken(letter_id, user_id, purpose, _hash(secret), expires_at), caller)
    subject, text = TEXTS[purpose]
    code = f"{letter_id.hex}.{secret}"
    link = f"\n\n{services.policy.links_url}#{purpose}={code}" if services.policy.links_url else ""
    await services.jobs.send(Mail(email, subject, f"{text}\n\n{code}{link}\n"))


async def notify_owner(services: Services, email: str) -> None:
    """Tell an account's owner that somebody tried to register with its address; a background job."""
    if (await services.limits.take(of_email(fold_email(email), "registered"), services.policy.quotas.mails)).ok:
        await services.jobs.send(Mail(email, *REGISTERED_ALREADY))


async def verify_again(services: Services, user_id: UserId, email: str, caller: Caller) -> None:
    """Mail another token to somebody who logs in before confirming their address; a background job."""
    if (await services.limits.take(of_email(fold_email(email), "verify"), services.policy.quotas.mails)).ok:
        await issue_email_token(services, user_id, email, "verify_email", caller)


async def _remind(services: Services, email: str, caller: Caller) -> None:
    account = await account_of(services, email)
    if account is not None and account.is_active:
        await issue_email_token(services, account.user_id, account.email, "reset_password", caller)


def _parts(token: str) -> tuple[EmailTokenId, str]:
    """Return the token's id and the hash of its secret, of a code that was mailed."""
    name, _, secret = token.partition(".")
    try:
        return EmailTokenId(UUID(hex=name)), _hash(secret)
    except (ValueError, UnicodeEncodeError):
        raise BadEmailTokenError(pointer="/token") from None


def _hash(secret: str) -> str:
    return sha256(secret.encode()).hexdigest()


ROUTES: list[BaseRouteHandler] = [verify_email, forgot, reset]
