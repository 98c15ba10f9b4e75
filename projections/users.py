"""Users: everybody's profile. Owns the table `read.users`.

The table has `hashed_password` because its shape is given; no query that answers a client selects it.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import NamedTuple

from msgspec import Struct

from domain.account import (
    AccountActivated,
    AccountDeactivated,
    AccountErased,
    AccountRegistered,
    EmailVerified,
    NameClaimed,
    PasswordChanged,
    PasswordRehashed,
    ProfileChanged,
    RoleGranted,
    RoleRevoked,
)
from domain.events import Recorded
from domain.ids import UserId
from domain.ports.database import Db
from domain.text import fold
from projections.tables import Change, Projection, Table

SELECT_ME = """
    SELECT id, email, username, avatar_url, is_active, is_verified, created_at, updated_at, version
    FROM read.users WHERE id = $1
"""
SELECT_PUBLIC = "SELECT id, username, avatar_url, created_at FROM read.users WHERE id = $1 AND username <> ''"
SELECT_NAMED = "SELECT id, username, avatar_url, created_at FROM read.users WHERE username_folded = $1"
SELECT_LISTED = """
    SELECT id, username, avatar_url, created_at FROM read.users WHERE id = ANY ($1::uuid[]) AND username <> '' ORDER BY id
"""
SELECT_NAMES = "SELECT id AS user_id, username FROM read.names($1, $2)"
SELECT_INACTIVE = "SELECT id FROM read.users WHERE NOT is_active"

USERS = Table(
    "read.users",
    key={"id": "uuid"},
    columns={
        "email": "text",
        "hashed_password": "text",
        "username": "text",
        "username_folded": "text",
        "avatar_url": "text",
        "is_active": "bool",
        "is_verified": "bool",
        "created_at": "timestamptz",
        "updated_at": "timestamptz",
        "version": "int",
    },
)


class Profile(Struct, frozen=True):
    """What a person sees of themselves."""

    id: UserId
    email: str
    username: str
    avatar_url: str | None
    is_active: bool
    is_verified: bool
    created_at: datetime
    updated_at: datetime
    version: int


class Username(NamedTuple):
    user_id: UserId
    username: str


class PublicUser(Struct, frozen=True):
    """What everybody sees of a person."""

    id: UserId
    username: str
    avatar_url: str | None
    created_at: datetime


async def me(db: Db, user_id: UserId) -> Profile | None:
    return await db.one(Profile, SELECT_ME, user_id)


async def public(db: Db, user_id: UserId) -> PublicUser | None:
    return await db.one(PublicUser, SELECT_PUBLIC, user_id)


async def named(db: Db, username: str) -> list[PublicUser]:
    """Return who has this name, compared as names are: one person or nobody."""
    return await db.all(PublicUser, SELECT_NAMED, fold(username).strip())


async def listed(db: Db, ids: Sequence[UserId]) -> list[PublicUser]:
    """Return these people; unknown ids are left out."""
    return await db.all(PublicUser, SELECT_LISTED, list(ids))


async def names(db: Db, *, after: UserId, limit: int) -> list[Username]:
    """Return everybody's username, in the order of their ids."""
    return await db.all(Username, SELECT_NAMES, after, limit)


async def inactive(db: Db) -> set[UserId]:
    """Return all deactivated accounts."""
    return set(await db.all(UserId, SELECT_INACTIVE))


def profile_of(recorded: Recorded[AccountRegistered]) -> Profile:
    """Return the profile that registering made."""
    e = recorded.event
    return Profile(
        e.user_id, e.email, e.username, None, True, e.is_verified, recorded.at, recorded.at, recorded.version
    )


def registered(recorded: Recorded[AccountRegistered]) -> Iterable[Change]:
    e = recorded.event
    yield USERS.new(
        e.user_id, email=e.email, hashed_password=e.password_hash, username=e.username, username_folded=fold(e.username),
        avatar_url=None, is_active=True, is_verified=e.is_verified, created_at=recorded.at, updated_at=recorded.at,
        version=recorded.version,
    )  # fmt: skip


def changed(recorded: Recorded[ProfileChanged]) -> Iterable[Change]:
    e = recorded.event
    yield USERS.set(
        e.user_id, username=e.username, username_folded=fold(e.username), avatar_url=e.avatar_url or None,
        updated_at=recorded.at, version=recorded.version,
    )  # fmt: skip


def password_changed(recorded: Recorded[PasswordChanged]) -> Iterable[Change]:
    e = recorded.event
    yield USERS.set(e.user_id, hashed_password=e.password_hash, updated_at=recorded.at, version=recorded.version)
    if e.by_reset:
        yield USERS.set(e.user_id, is_verified=True)


def email_verified(recorded: Recorded[EmailVerified]) -> Iterable[Change]:
    yield USERS.set(recorded.event.user_id, is_verified=True, updated_at=recorded.at, version=recorded.version)


def password_rehashed(recorded: Recorded[PasswordRehashed]) -> Iterable[Change]:
    yield USERS.set(recorded.event.user_id, hashed_password=recorded.event.password_hash, version=recorded.version)


def deactivated(recorded: Recorded[AccountDeactivated]) -> Iterable[Change]:
    yield USERS.set(recorded.event.user_id, is_active=False, updated_at=recorded.at, version=recorded.version)


def activated(recorded: Recorded[AccountActivated]) -> Iterable[Change]:
    yield USERS.set(recorded.event.user_id, is_active=True, updated_at=recorded.at, version=recorded.version)


def erased(recorded: Recorded[AccountErased]) -> Iterable[Change]:
    yield USERS.set(
        recorded.event.user_id, email="", hashed_password="", username="", username_folded="", avatar_url=None, is_active=False,
        updated_at=recorded.at, version=recorded.version,
    )  # fmt: skip


def version_changed(recorded: Recorded[RoleGranted | RoleRevoked | NameClaimed]) -> Iterable[Change]:
    yield USERS.set(recorded.event.user_id, version=recorded.version)


PROJECTION = Projection(
    tables=(USERS,),
    handlers={
        AccountRegistered: registered,
        ProfileChanged: changed,
        EmailVerified: email_verified,
        PasswordChanged: password_changed,
        PasswordRehashed: password_rehashed,
        AccountDeactivated: deactivated,
        AccountActivated: activated,
        AccountErased: erased,
        RoleGranted: version_changed,
        RoleRevoked: version_changed,
        NameClaimed: version_changed,
    },
)
