"""E-mail tokens: issuing one, and what somebody who got it by mail may do with it, once.

On the record a token is called a letter, as in its first release; the names of topics and fields are for ever.
"""

from datetime import datetime

from msgspec import Struct

from commands.own_webhook import remove_webhook
from commands.session import end_all
from commands.unit_of_work import Handler, UnitOfWork
from domain import account as accounts
from domain import email_token as decide
from domain.account import ACCOUNT
from domain.email_token import EMAIL_TOKEN, EmailTokenIssued, Purpose
from domain.errors import BadEmailTokenError
from domain.ids import EmailTokenId, UserId


class IssueEmailToken(Struct, frozen=True):
    letter_id: EmailTokenId
    user_id: UserId
    purpose: Purpose
    secret_hash: str
    expires_at: datetime


class VerifyEmail(Struct, frozen=True):
    letter_id: EmailTokenId
    secret_hash: str


class ResetPassword(Struct, frozen=True):
    """The new password is hashed already. All sessions of the account end."""

    letter_id: EmailTokenId
    secret_hash: str
    password_hash: str


async def issue(command: IssueEmailToken, unit: UnitOfWork) -> None:
    account = accounts.require_active(await unit.load(ACCOUNT, command.user_id))
    existing = await unit.load_new(EMAIL_TOKEN, command.letter_id)
    assert existing is None, "every token gets a new id"
    issued = EmailTokenIssued(
        command.letter_id, command.user_id, command.purpose, account.email, command.secret_hash, command.expires_at
    )
    unit.write(EMAIL_TOKEN, command.letter_id, events=[issued])


async def verify(command: VerifyEmail, unit: UnitOfWork) -> None:
    email_token, used = decide.use(
        await unit.load(EMAIL_TOKEN, command.letter_id),
        purpose="verify_email",
        secret_hash=command.secret_hash,
        now=unit.now,
    )
    unit.act_as(email_token.user_id)
    account = accounts.require_active(await unit.load(ACCOUNT, email_token.user_id))
    if account.email != email_token.email:
        raise BadEmailTokenError
    unit.write(EMAIL_TOKEN, command.letter_id, events=used)
    unit.write(ACCOUNT, email_token.user_id, events=accounts.verify_email(account))


async def reset(command: ResetPassword, unit: UnitOfWork) -> None:
    email_token, used = decide.use(
        await unit.load(EMAIL_TOKEN, command.letter_id), purpose="reset_password", secret_hash=command.secret_hash,
        now=unit.now,
    )  # fmt: skip
    unit.act_as(email_token.user_id)
    account = accounts.require_active(await unit.load(ACCOUNT, email_token.user_id))
    if account.email != email_token.email or account.password_position > email_token.position:
        raise BadEmailTokenError
    unit.write(EMAIL_TOKEN, command.letter_id, events=used)
    events = accounts.reset_password(account, password_hash=command.password_hash, address=unit.caller.address)
    unit.write(ACCOUNT, email_token.user_id, events=events)
    await end_all(unit, email_token.user_id, reason="password_reset")
    await remove_webhook(unit, email_token.user_id)  # whoever knew the password may have set it


HANDLERS: dict[type[Struct], Handler] = {IssueEmailToken: issue, VerifyEmail: verify, ResetPassword: reset}
