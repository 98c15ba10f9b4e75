"""Accounts: registering, one's own profile, finding others."""

from functools import partial
from typing import Annotated, Any
from uuid import UUID

from litestar import Response, get, post, put
from litestar.handlers import BaseRouteHandler
from msgspec import UNSET, Meta, Struct, UnsetType
from msgspec.structs import replace

from commands.account import ChangeProfile, RegisterAccount
from commands.unit_of_work import Outcome
from domain.account import ACCOUNT, AccountRegistered, AccountRole, require_active
from domain.bounds import AVATAR_URL_CHARS_MAX, PAGE_ITEMS_MAX, USERNAME_CHARS_MAX, USERNAME_CHARS_MIN
from domain.errors import AccountNotFoundError, EmailTakenError, RegistrationClosedError
from domain.events import Caller
from domain.ids import UserId
from domain.ports.record import Receipt
from domain.text import check_avatar_url, check_email, check_username, fold_email
from gateway.http.declarations import Described, declare
from gateway.http.fields import Email, NewPassword
from gateway.http.pagination import Page
from gateway.http.problems import Problem
from gateway.http.query_parameters import uuid_of
from gateway.http.responses import shown, written
from gateway.operations.execution import execute, me
from gateway.operations.passwords import hash_for, require_good, require_same
from gateway.protocol.faults import CHECK, FieldError
from gateway.routes.email_token import issue_email_token, notify_owner
from gateway.routes.session import profile_of
from gateway.services import Services
from projections import users
from projections.users import Profile, PublicUser

USERS_BY_IDS_MAX = PAGE_ITEMS_MAX  # the senders of a whole page

Username = Annotated[
    str,
    Meta(
        min_length=USERNAME_CHARS_MIN,
        max_length=USERNAME_CHARS_MAX,
        description="Letters and digits of any script, `_`, `.` and `-`, all visible.",
        extra_json_schema={"format": "username"},
        extra={CHECK: lambda value, _: check_username(value)},
    ),
]
AvatarUrl = Annotated[
    str,
    Meta(
        max_length=AVATAR_URL_CHARS_MAX,
        extra_json_schema={"format": "uri"},
        extra={CHECK: lambda value, _: check_avatar_url(value)},
    ),
]


class RolesView(Struct, frozen=True):
    """Roles that an operator gave. What each may do, docs/rights.md says; that one has none is no fault."""

    roles: list[AccountRole]


class RegisterBody(Struct, frozen=True, forbid_unknown_fields=True):
    email: Email
    username: Username
    password: NewPassword


class ProfileBody(Struct, frozen=True, forbid_unknown_fields=True):
    """Absent means unchanged; null clears the avatar."""

    username: Username | UnsetType = UNSET
    avatar_url: AvatarUrl | None | UnsetType = UNSET


async def admit_registration(services: Services, caller: Caller, path: dict[str, Any]) -> None:
    """Raise `RegistrationClosedError` where nobody can register."""
    if not services.policy.registration_open:
        raise RegistrationClosedError


@post(
    "/auth/register",
    opt=declare(
        "account.register",
        quotas=("registrations",),
        hashes_password=True,
        idempotency="receipt",
        admit=admit_registration,
        secrets=("password",),
        described=Described(makes="user_id", refused_with=frozenset({403, 404})),
    ),
)
async def register(
    data: RegisterBody, services: Services, caller: Caller, receipt: Receipt | None
) -> Response[Profile]:
    """Make an account. E-mail and username are compared case-folded."""
    await admit_registration(services, caller, {})
    check_email(data.email)
    check_username(data.username)
    password = require_good(services, data.password, data.email, data.username)
    user_id = UserId(services.command_bus.new_id())
    hashed = await hash_for(services, password, data.email, caller)
    command = RegisterAccount(user_id, data.email, data.username, hashed)
    if not services.policy.verify_email:
        outcome = await execute(services, command, caller, receipt)
    else:
        outcome = await _register_quietly(services, command, caller, receipt)
    recorded = outcome.recorded(AccountRegistered)
    assert recorded is not None, "an accepted registration has its event"
    if outcome.replayed:
        await require_same(services, data.password, recorded.event.password_hash, data.email, caller)
    body = replace(users.profile_of(recorded), email=data.email)
    return written(outcome, body, status=201, version=recorded.version)


async def _register_quietly(
    services: Services, command: RegisterAccount, caller: Caller, receipt: Receipt | None
) -> Outcome:
    """Register without revealing whether the address has an account already: only its owner learns that, by mail.

    If it has one, an account without an e-mail is made: nobody can log in to it, but its name is taken, as it would be
    otherwise. So neither the answer, nor its time, nor what can be found afterwards differs.
    """
    nameless = replace(command, email="")
    is_taken = await services.record.claimant("email", fold_email(command.email)) is not None
    try:
        outcome = await execute(services, nameless if is_taken else command, caller, receipt)
    except EmailTakenError:
        is_taken, outcome = True, await execute(services, nameless, caller, receipt)
    if outcome.replayed:
        return outcome
    if is_taken:
        services.jobs.put(partial(notify_owner, services, command.email))
    else:
        services.jobs.put(partial(issue_email_token, services, command.user_id, command.email, "verify_email", caller))
    return outcome


@get("/users/me", opt=declare("profile.read", described=Described(has_version=True)))
async def read_me(services: Services, caller: Caller) -> Response[Profile]:
    """Return one's own profile, as the record has it."""
    assert caller.user_id, "authentication lets no stranger here"
    seen = await services.command_bus.see(ACCOUNT, caller.user_id)
    return shown(profile_of(require_active(seen.state), seen.version), version=seen.version)


@get("/users/me/roles", opt=declare("profile.read"))
async def read_roles(services: Services, caller: Caller) -> Response[RolesView]:
    """Return one's roles beside being a person, as the record has them: which views a page need not offer."""
    seen = await services.command_bus.see(ACCOUNT, me(caller))
    return shown(RolesView(sorted(require_active(seen.state).roles)))


@put("/users/me", opt=declare("profile.change"))
async def change_me(
    data: ProfileBody, services: Services, caller: Caller, if_match: frozenset[int] | None
) -> Response[Profile]:
    """Change username or avatar."""
    assert caller.user_id, "authentication lets no stranger here"
    outcome = await execute(services, ChangeProfile(data.username, data.avatar_url, if_match), caller)
    seen = outcome.folded(ACCOUNT, caller.user_id)
    assert seen.state is not None, "the caller has an account"
    return written(outcome, profile_of(seen.state, seen.version), version=seen.version)


@get("/users/{user_id:uuid}", opt=declare("user.read"))
async def read_user(user_id: UUID, services: Services) -> Response[PublicUser]:
    """Return the public part of a person's profile."""
    user = await users.public(services.db, UserId(user_id))
    if user is None:
        raise AccountNotFoundError
    return shown(user)


@get("/users", opt=declare("user.find"))
async def find_users(
    services: Services, username: str | None = None, ids: str | None = None
) -> Response[Page[PublicUser]]:
    """Find people: by `username`, compared as names are, or by `ids`, up to 200 of them with commas between."""
    if (username is None) == (ids is None):
        raise Problem(422, "query.invalid", "Ask for either ?username= or ?ids=.", errors=[
            FieldError("?username", "query.missing", "Either username or ids is needed.")])  # fmt: skip
    if username is not None:
        return shown(Page(await users.named(services.db, username), None))
    wanted = [UserId(uuid_of(part.strip(), "ids")) for part in (ids or "").split(",")]
    if len(wanted) > USERS_BY_IDS_MAX:
        raise Problem(422, "query.invalid", f"At most {USERS_BY_IDS_MAX} ids at once.", errors=[
            FieldError("?ids", "query.invalid", f"{len(wanted)} ids are given.")])  # fmt: skip
    return shown(Page(await users.listed(services.db, wanted), None))


ROUTES: list[BaseRouteHandler] = [register, read_me, read_roles, change_me, read_user, find_users]
