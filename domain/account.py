"""Account: somebody who may log in, their profile, and the roles that an operator gave them."""

from datetime import datetime
from typing import ClassVar, Literal, assert_never
from uuid import UUID

from msgspec import UNSET, Struct, UnsetType
from msgspec.structs import replace

from domain.authorization import as_whom
from domain.errors import AccountDeactivatedError, AccountErasedError, AccountNotFoundError, WrongPasswordError
from domain.events import Event, Recorded, Stream
from domain.ids import RoomId, UserId
from domain.rights import PersonalOperation

AccountRole = Literal["auditor", "records_manager", "admin"]
ACCOUNT_ROLES: tuple[AccountRole, ...] = ("auditor", "records_manager", "admin")


class _Personal(Event, frozen=True):
    user_id: UserId

    def encryption_subject(self) -> tuple[UUID, RoomId | None]:
        return self.user_id, None


class AccountRegistered(_Personal, frozen=True):
    topic: ClassVar = "account.registered"
    sealed: ClassVar = ("email", "username", "password_hash")

    email: str
    username: str
    password_hash: str
    is_verified: bool = False


class ProfileChanged(_Personal, frozen=True):
    """The whole profile after the change."""

    topic: ClassVar = "account.profile_changed"
    sealed: ClassVar = ("username", "avatar_url")

    username: str
    avatar_url: str | None


class NameClaimed(_Personal, frozen=True):
    """The account owns what looks like its name, too. For accounts from before look-alikes were refused."""

    topic: ClassVar = "account.name_claimed"


class EmailVerified(_Personal, frozen=True):
    topic: ClassVar = "account.email_verified"
    changes: ClassVar = ("is_verified",)


class PasswordChanged(_Personal, frozen=True):
    """`by_reset` is true if it was changed by somebody who could read the account's mail, false if by somebody who knew the
    password. `address` is where from."""

    topic: ClassVar = "account.password_changed"
    sealed: ClassVar = ("password_hash", "address")

    password_hash: str
    by_reset: bool = False
    address: str | None = None


class PasswordRehashed(_Personal, frozen=True):
    """The same password, hashed with newer parameters."""

    topic: ClassVar = "account.password_rehashed"
    sealed: ClassVar = ("password_hash",)

    password_hash: str


class AccountDeactivated(_Personal, frozen=True):
    topic: ClassVar = "account.deactivated"
    changes: ClassVar = ("is_active",)


class AccountActivated(_Personal, frozen=True):
    topic: ClassVar = "account.activated"
    changes: ClassVar = ("is_active",)


class AccountErased(_Personal, frozen=True):
    """Of the person nothing is left but the id. Nobody logs in to this account again."""

    topic: ClassVar = "account.erased"


class RoleGranted(_Personal, frozen=True):
    topic: ClassVar = "account.role_granted"
    changes: ClassVar = ("roles",)

    role: AccountRole


class RoleRevoked(_Personal, frozen=True):
    topic: ClassVar = "account.role_revoked"
    changes: ClassVar = ("roles",)

    role: AccountRole


AccountEvent = (
    AccountRegistered
    | ProfileChanged
    | NameClaimed
    | EmailVerified
    | PasswordChanged
    | PasswordRehashed
    | AccountDeactivated
    | AccountActivated
    | AccountErased
    | RoleGranted
    | RoleRevoked
)


class Account(Struct, frozen=True):
    """As much of an account as decisions and logging in need."""

    user_id: UserId
    email: str
    username: str
    password_hash: str
    avatar_url: str | None
    is_active: bool
    is_verified: bool
    roles: frozenset[AccountRole]
    created_at: datetime
    updated_at: datetime
    password_position: int
    reset_address: str | None = None  # from where the present password was set with a mailed code
    is_erased: bool = False


def register(*, user_id: UserId, email: str, username: str, password_hash: str) -> tuple[AccountEvent, ...]:
    """Register a new account; whether e-mail and username are free is decided by claims."""
    return (AccountRegistered(user_id, email, username, password_hash),)


def change_profile(
    account: Account | None, *, username: str | UnsetType, avatar_url: str | None | UnsetType
) -> tuple[AccountEvent, ...]:
    """Change the fields that are not UNSET. The same values again change nothing."""
    account = require_active(account)
    new_username = account.username if username is UNSET else username
    new_avatar_url = account.avatar_url if avatar_url is UNSET else avatar_url
    if (new_username, new_avatar_url) == (account.username, account.avatar_url):
        return ()
    return (ProfileChanged(account.user_id, new_username, new_avatar_url),)


def change_password(account: Account | None, *, seen_hash: str, password_hash: str) -> tuple[AccountEvent, ...]:
    """Change the password if its hash is still the one that was seen to match."""
    account = require_active(account)
    if account.password_hash != seen_hash:
        raise WrongPasswordError
    return (PasswordChanged(account.user_id, password_hash),)


def reset_password(
    account: Account | None, *, password_hash: str, address: str | None = None
) -> tuple[AccountEvent, ...]:
    """Set the password for somebody who can read the account's mail, which verifies the address too."""
    return (PasswordChanged(require_active(account).user_id, password_hash, by_reset=True, address=address),)


def verify_email(account: Account | None) -> tuple[AccountEvent, ...]:
    account = require_active(account)
    return () if account.is_verified else (EmailVerified(account.user_id),)


def rehash_password(account: Account | None, *, seen_hash: str, password_hash: str) -> tuple[AccountEvent, ...]:
    account = require_active(account)
    return () if account.password_hash != seen_hash else (PasswordRehashed(account.user_id, password_hash),)


def deactivate(account: Account | None) -> tuple[AccountEvent, ...]:
    account = require_known(account)
    return (AccountDeactivated(account.user_id),) if account.is_active else ()


def activate(account: Account | None) -> tuple[AccountEvent, ...]:
    account = require_known(account)
    if account.is_erased:
        raise AccountErasedError
    return () if account.is_active else (AccountActivated(account.user_id),)


def erase(account: Account | None) -> tuple[AccountEvent, ...]:
    """Have nothing left of an account but its id; it is deactivated before."""
    account = require_known(account)
    return () if account.is_erased else (*deactivate(account), AccountErased(account.user_id))


def grant(account: Account | None, *, role: AccountRole) -> tuple[AccountEvent, ...]:
    account = require_known(account)
    return () if role in account.roles else (RoleGranted(account.user_id, role),)


def revoke(account: Account | None, *, role: AccountRole) -> tuple[AccountEvent, ...]:
    account = require_known(account)
    return (RoleRevoked(account.user_id, role),) if role in account.roles else ()


def require_known(account: Account | None) -> Account:
    if account is None:
        raise AccountNotFoundError
    return account


def require_active(account: Account | None) -> Account:
    if not require_known(account).is_active:
        raise AccountDeactivatedError
    return require_known(account)


def require_right(account: Account | None, operation: PersonalOperation) -> Account:
    """Return the account. Raise the table's refusal if neither being a person nor any of its roles allows this."""
    account = require_active(account)
    refusal = as_whom(operation, "person")
    if refusal is not None and all(as_whom(operation, role) for role in account.roles):
        raise refusal
    return account


def evolve(account: Account | None, recorded: Recorded[AccountEvent]) -> Account:
    event = recorded.event
    if isinstance(event, AccountRegistered):
        return Account(
            event.user_id, event.email, event.username, event.password_hash, None, True, event.is_verified,
            frozenset(), recorded.at, recorded.at, recorded.position,
        )  # fmt: skip
    assert account is not None, "an account is registered before anything else happens to it"
    match event:
        case ProfileChanged():
            return replace(account, username=event.username, avatar_url=event.avatar_url, updated_at=recorded.at)
        case NameClaimed():
            return account
        case EmailVerified():
            return replace(account, is_verified=True, updated_at=recorded.at)
        case PasswordChanged():
            return replace(
                account,
                password_hash=event.password_hash,
                password_position=recorded.position,
                is_verified=account.is_verified or event.by_reset,
                reset_address=event.address,
                updated_at=recorded.at,
            )
        case PasswordRehashed():
            return replace(account, password_hash=event.password_hash)
        case AccountDeactivated():
            return replace(account, is_active=False, updated_at=recorded.at)
        case AccountActivated():
            return replace(account, is_active=True, updated_at=recorded.at)
        case AccountErased():
            return replace(
                account, email="", username="", password_hash="", avatar_url=None, roles=frozenset(), reset_address=None,
                is_erased=True, updated_at=recorded.at,
            )  # fmt: skip
        case RoleGranted():
            return replace(account, roles=account.roles | {event.role})
        case RoleRevoked():
            return replace(account, roles=account.roles - {event.role})
        case _:
            assert_never(event)


ACCOUNT: Stream[Account] = Stream("account", evolve, Account, fold=3, subject=lambda account: (account.user_id, None))
EVENTS: tuple[type[Event], ...] = (
    AccountRegistered, ProfileChanged, NameClaimed, EmailVerified, PasswordChanged, PasswordRehashed,
    AccountDeactivated, AccountActivated, AccountErased, RoleGranted, RoleRevoked,
)  # fmt: skip
