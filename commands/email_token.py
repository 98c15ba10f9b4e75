"""Letters: writing one, and what its reader may do with it once."""

from datetime import datetime

from msgspec import Struct

from commands.session import end_all
from commands.unit_of_work import Handler, Work
from domain import account as accounts
from domain import email_token as decide
from domain.account import ACCOUNT
from domain.email_token import LETTER, LetterWritten, Purpose
from domain.errors import BadLetter
from domain.ids import LetterId, UserId


class WriteLetter(Struct, frozen=True):
    letter_id: LetterId
    user_id: UserId
    purpose: Purpose
    secret_hash: str
    expires_at: datetime


class VerifyEmail(Struct, frozen=True):
    letter_id: LetterId
    secret_hash: str


class ResetPassword(Struct, frozen=True):
    """The new password comes hashed. Every session of the person ends."""

    letter_id: LetterId
    secret_hash: str
    password_hash: str


async def write(command: WriteLetter, work: Work) -> None:
    account = accounts.require_active(await work.load(ACCOUNT, command.user_id))
    existing = await work.load_new(LETTER, command.letter_id)
    assert existing is None, "a letter's id is minted for it"
    written = LetterWritten(
        command.letter_id, command.user_id, command.purpose, account.email, command.secret_hash, command.expires_at
    )
    work.write(LETTER, command.letter_id, events=[written])


async def verify(command: VerifyEmail, work: Work) -> None:
    letter, used = decide.use(
        await work.load(LETTER, command.letter_id),
        purpose="verify_email",
        secret_hash=command.secret_hash,
        now=work.now,
    )
    work.act_as(letter.user_id)
    account = accounts.require_active(await work.load(ACCOUNT, letter.user_id))
    if account.email != letter.email:
        raise BadLetter
    work.write(LETTER, command.letter_id, events=used)
    work.write(ACCOUNT, letter.user_id, events=accounts.verify_email(account))


async def reset(command: ResetPassword, work: Work) -> None:
    letter, used = decide.use(
        await work.load(LETTER, command.letter_id), purpose="reset_password", secret_hash=command.secret_hash,
        now=work.now,
    )  # fmt: skip
    work.act_as(letter.user_id)
    account = accounts.require_active(await work.load(ACCOUNT, letter.user_id))
    if account.email != letter.email or account.password_position > letter.position:
        raise BadLetter
    work.write(LETTER, command.letter_id, events=used)
    events = accounts.reset_password(account, password_hash=command.password_hash, address=work.caller.address)
    work.write(ACCOUNT, letter.user_id, events=events)
    await end_all(work, letter.user_id, reason="password_reset")


HANDLERS: dict[type[Struct], Handler] = {WriteLetter: write, VerifyEmail: verify, ResetPassword: reset}
