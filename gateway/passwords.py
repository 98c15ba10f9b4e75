"""Passwords at the door: whose they are, and which ones are good enough to be new."""

import asyncio
from typing import Annotated

from msgspec import Meta

from domain.account import ACCOUNT, Account
from domain.limits import EMAIL_CHARS_MAX, LOOK_UP_SECONDS, PASSWORD_BYTES_MAX
from domain.refusals import PasswordTooCommon
from domain.text import check_password, fold_email, is_about, normalised
from gateway.house import House

Email = Annotated[str, Meta(max_length=EMAIL_CHARS_MAX, extra_json_schema={"format": "email"})]
NewPassword = Annotated[
    str,
    Meta(
        max_length=PASSWORD_BYTES_MAX,
        description=f"8 or more characters, at most {PASSWORD_BYTES_MAX} bytes, none that is guessed first.",
        extra_json_schema={"format": "password"},
    ),
]


async def account_of(house: House, email: str) -> Account | None:
    """Return who registered with this e-mail; a stream is read where nobody did too, for the same time."""
    stream_id = await house.record.claimant("email", fold_email(email)) or ACCOUNT.id(house.desk.new_id())
    return (await house.desk.read({stream_id: ACCOUNT}))[stream_id].state


async def account_in_time(house: House, email: str) -> Account | None:
    """Return the same for a log-in: whether there is somebody, and how much of them must be read, takes no less or more."""
    account, _ = await asyncio.gather(account_of(house, email), asyncio.sleep(LOOK_UP_SECONDS))
    return account


async def matching_form(house: House, password: str, hashed: str | None) -> str | None:
    """Return the form of a password that a hash is of: normalised, or, of a hash of long ago, as it was typed; None: no.

    That a second hash is made depends on what was typed alone, not on whether or how the account keeps a password.
    """
    for form in dict.fromkeys((normalised(password), password)):
        if await house.passwords.verify(form, hashed):
            return form
    return None


def require_good(house: House, password: str, *names: str, field: str = "password") -> str:
    """Return a new password normalised; refuse one that is too short, too long, common, or about its owner."""
    password = normalised(password)
    check_password(password, chars_min=house.terms.password_chars_min, field=field)
    if house.passwords.is_common(password) or is_about(password, *names):
        raise PasswordTooCommon(pointer=f"/{field}")
    return password
