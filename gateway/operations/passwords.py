"""Passwords: finding their account, comparing them, and which are acceptable as new ones."""

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

LOOK_UP_SECONDS = 0.02  # longer than finding an account takes
KNOWN_DAYS = 30  # an account knows the addresses from which it was logged in since
KNOWN_ADDRESSES_MAX = 8  # the newest; each allows as many wrong passwords as all others together
KNOWN_SESSIONS_READ_MAX = 200


async def account_of(services: Services, email: str) -> Account | None:
    """Return the account with this e-mail, or None. Read a stream in either case, so that both take the same time."""
    stream_id = await services.record.claimant("email", fold_email(email)) or ACCOUNT.id(services.command_bus.new_id())
    return (await services.command_bus.read({stream_id: ACCOUNT}))[stream_id].state


async def account_in_time(services: Services, email: str, caller: Caller) -> tuple[Account | None, bool]:
    """Return the account with this e-mail, or None, and whether it knows the caller's address.

    That takes the same time whether or not there is an account, and however much must be read.
    """
    found, _ = await asyncio.gather(_account_at(services, email, caller), asyncio.sleep(LOOK_UP_SECONDS))
    return found


async def _account_at(services: Services, email: str, caller: Caller) -> tuple[Account | None, bool]:
    """Return the account, and whether somebody logged in to it, or reset its password, from the caller's address lately."""
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
    """Return the form of a password that matches a hash, or None: the normalised one, or what was typed, for old hashes.

    Whether a second hash is computed depends only on what was typed, not on the account. Hashes are computed in the queues
    of the caller's address and of the account that they name. Raise `BusyError` if too many wait.
    """
    whose = {"address": of_address(caller.address), "account": of_email(fold_email(email))}
    for form in dict.fromkeys((normalised(password), password)):
        if await services.passwords.verify(form, hashed, **whose):
            return form
    return None


def require_good(services: Services, password: str, *names: str, field: str = "password") -> str:
    """Return a new password, normalised. Raise `DomainError` if it is too short, too long, common, or about its owner."""
    password = normalised(password)
    check_password(password, chars_min=services.policy.password_chars_min, field=field)
    if services.passwords.is_common(password) or is_about(password, *names):
        raise PasswordTooCommonError(pointer=f"/{field}")
    return password


async def require_same(services: Services, password: str, hashed: str, email: str, caller: Caller) -> None:
    """Raise `IdempotencyMismatchError` if a repeated request has another password: its receipt keeps nothing of it."""
    if await matching_form(services, password, hashed, email, caller) is None:
        raise IdempotencyMismatchError


async def hash_for(services: Services, password: str, email: str, caller: Caller) -> str:
    """Hash a password, in the queues of the caller's address and of the account. Raise `BusyError` if too many wait."""
    return await services.passwords.hash(
        password, address=of_address(caller.address), account=of_email(fold_email(email))
    )
