"""Passwords: whose they are, and which ones are good enough to be new."""

import asyncio
from datetime import timedelta

from domain.account import ACCOUNT, Account
from domain.errors import IdempotencyMismatchError, PasswordTooCommonError
from domain.events import Caller
from domain.ids import UserId
from domain.quotas import NOWHERE, of_address, of_email
from domain.text import check_password, fold_email, is_about, normalised
from gateway.services import Services
from projections import sessions

LOOK_UP_SECONDS = 0.02  # of a log-in: longer than finding an account takes
KNOWN_DAYS = 30  # where an account logged in since is an address that it knows
KNOWN_ADDRESSES_MAX = 8  # the newest; each is worth as many wrong passwords as all strangers together
KNOWN_SESSIONS_READ_MAX = 200


async def account_of(services: Services, email: str) -> Account | None:
    """Return who registered with this e-mail; a stream is read where nobody did too, for the same time."""
    stream_id = await services.record.claimant("email", fold_email(email)) or ACCOUNT.id(services.command_bus.new_id())
    return (await services.command_bus.read({stream_id: ACCOUNT}))[stream_id].state


async def account_in_time(services: Services, email: str, caller: Caller) -> tuple[Account | None, bool]:
    """Return the same, and whether the account knows the caller's address.

    Whether there is somebody, and how much of them must be read, takes no less or more.
    """
    found, _ = await asyncio.gather(_account_at(services, email, caller), asyncio.sleep(LOOK_UP_SECONDS))
    return found


async def _account_at(services: Services, email: str, caller: Caller) -> tuple[Account | None, bool]:
    """Return who registered with this e-mail, and whether they logged in here of late, or reset their password here."""
    account = await account_of(services, email)
    user_id = account.user_id if account else UserId(services.command_bus.new_id())
    since = services.now() - timedelta(days=KNOWN_DAYS)
    found = await sessions.addresses(services.db, user_id, since, sessions_max=KNOWN_SESSIONS_READ_MAX)
    newest = list(dict.fromkeys(of_address(address) for address in found))[:KNOWN_ADDRESSES_MAX]
    here = of_address(caller.address)
    is_known = here in newest or (account is not None and here == of_address(account.reset_address))
    return account, is_known and here != NOWHERE


async def matching_form(
    services: Services, password: str, hashed: str | None, email: str, caller: Caller
) -> str | None:
    """Return the form of a password that a hash is of: normalised, or, of a hash of long ago, as it was typed; None: no.

    That a second hash is made depends on what was typed alone, not on whether or how the account keeps a password. It is
    made in the turn of who asks and of the account that they name. Raises `BusyError`.
    """
    whose = {"address": of_address(caller.address), "account": of_email(fold_email(email))}
    for form in dict.fromkeys((normalised(password), password)):
        if await services.passwords.verify(form, hashed, **whose):
            return form
    return None


def require_good(services: Services, password: str, *names: str, field: str = "password") -> str:
    """Return a new password normalised; refuse one that is too short, too long, common, or about its owner."""
    password = normalised(password)
    check_password(password, chars_min=services.policy.password_chars_min, field=field)
    if services.passwords.is_common(password) or is_about(password, *names):
        raise PasswordTooCommonError(pointer=f"/{field}")
    return password


async def require_same(services: Services, password: str, hashed: str, email: str, caller: Caller) -> None:
    """Refuse to repeat an answer to who says another password than then: receipts keep nothing of it. Raises `BusyError`."""
    if await matching_form(services, password, hashed, email, caller) is None:
        raise IdempotencyMismatchError


async def hash_for(services: Services, password: str, email: str, caller: Caller) -> str:
    """Hash a password, in the turn of who asks and of the account that it is for. Raises `BusyError`."""
    return await services.passwords.hash(
        password, address=of_address(caller.address), account=of_email(fold_email(email))
    )
