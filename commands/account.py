"""Accounts: registering, the profile, and what operators do to an account."""

from msgspec import UNSET, Struct, UnsetType

from commands.session import end_all
from commands.unit_of_work import Handler, UnitOfWork
from domain import account as decide
from domain.account import ACCOUNT, AccountRole, NameClaimed
from domain.ids import UserId
from domain.lookalikes import skeletons
from domain.message import Versions, require_version
from domain.text import check_avatar_url, check_email, check_username, fold, fold_email


class RegisterAccount(Struct, frozen=True):
    """The password is hashed already. With an empty e-mail nobody can ever log in: the account only keeps its name taken."""

    user_id: UserId
    email: str
    username: str
    password_hash: str


class ChangeProfile(Struct, frozen=True):
    """Change the caller's own profile: UNSET leaves a field as it is, `avatar_url` None clears it, `version` None fits any."""

    username: str | UnsetType = UNSET
    avatar_url: str | None | UnsetType = UNSET
    version: Versions = None


class ClaimName(Struct, frozen=True):
    """For an account that was registered before look-alike names were refused."""

    user_id: UserId


class ChangePassword(Struct, frozen=True):
    """Change the caller's own password. `seen_hash` is the stored hash that the present password matched. All other sessions end."""

    seen_hash: str
    password_hash: str


class RehashPassword(Struct, frozen=True):
    """Store the same password, hashed with today's parameters. Nothing happens if the password has changed meanwhile."""

    user_id: UserId
    seen_hash: str
    password_hash: str


class Deactivate(Struct, frozen=True):
    user_id: UserId


class Activate(Struct, frozen=True):
    user_id: UserId


class GrantRole(Struct, frozen=True):
    user_id: UserId
    role: AccountRole


class RevokeRole(Struct, frozen=True):
    user_id: UserId
    role: AccountRole


async def register(command: RegisterAccount, unit: UnitOfWork) -> None:
    if command.email:
        check_email(command.email)
    check_username(command.username)
    existing = await unit.load_new(ACCOUNT, command.user_id)
    assert existing is None, "an account's id is minted for it"
    unit.act_as(command.user_id)
    unit.write(
        ACCOUNT,
        command.user_id,
        events=decide.register(
            user_id=command.user_id,
            email=command.email,
            username=command.username,
            password_hash=command.password_hash,
        ),
    )
    if command.email:
        unit.claim("email", fold_email(command.email), stream=ACCOUNT.id(command.user_id))
    unit.claim("username", fold(command.username), stream=ACCOUNT.id(command.user_id))
    _claim_lookalikes(command.username, unit, command.user_id)


async def claim_name(command: ClaimName, unit: UnitOfWork) -> None:
    """Claim the look-alikes of a name that was registered long ago. If two such names look alike, the first one gets them."""
    account = decide.require_known(await unit.load(ACCOUNT, command.user_id))
    if account.username:
        unit.write(ACCOUNT, command.user_id, events=(NameClaimed(command.user_id),))
        _claim_lookalikes(account.username, unit, command.user_id)


async def change_profile(command: ChangeProfile, unit: UnitOfWork) -> None:
    assert unit.caller.user_id, "authentication lets no stranger here"
    user_id = unit.caller.user_id
    account = decide.require_active(await unit.load(ACCOUNT, user_id))
    require_version(unit.version(ACCOUNT, user_id), command.version)
    if isinstance(command.username, str) and command.username != account.username:
        check_username(command.username)
        if fold(command.username) != fold(account.username):
            unit.release("username", fold(account.username))
            unit.claim("username", fold(command.username), stream=ACCOUNT.id(user_id))
        for left in skeletons(account.username) - skeletons(command.username):
            if await unit.owns_claim("username_skeleton", left, stream=ACCOUNT.id(user_id)):
                unit.release("username_skeleton", left)
        _claim_lookalikes(command.username, unit, user_id)
    if isinstance(command.avatar_url, str):
        check_avatar_url(command.avatar_url)
    events = decide.change_profile(account, username=command.username, avatar_url=command.avatar_url)
    unit.write(ACCOUNT, user_id, events=events)


async def change_password(command: ChangePassword, unit: UnitOfWork) -> None:
    user_id, session_id = unit.caller.user_id, unit.caller.session_id
    assert user_id and session_id, "authentication lets no stranger here"
    account = await unit.load(ACCOUNT, user_id)
    events = decide.change_password(account, seen_hash=command.seen_hash, password_hash=command.password_hash)
    unit.write(ACCOUNT, user_id, events=events)
    await end_all(unit, user_id, reason="password_changed", keep=session_id)


async def rehash_password(command: RehashPassword, unit: UnitOfWork) -> None:
    unit.act_as(command.user_id)
    account = await unit.load(ACCOUNT, command.user_id)
    events = decide.rehash_password(account, seen_hash=command.seen_hash, password_hash=command.password_hash)
    unit.write(ACCOUNT, command.user_id, events=events)


async def deactivate(command: Deactivate, unit: UnitOfWork) -> None:
    """Deactivate an account and end all its sessions. They stay ended when it is activated again."""
    account = await unit.load(ACCOUNT, command.user_id)
    unit.write(ACCOUNT, command.user_id, events=decide.deactivate(account))
    await end_all(unit, command.user_id, reason="deactivated")


async def activate(command: Activate, unit: UnitOfWork) -> None:
    account = await unit.load(ACCOUNT, command.user_id)
    unit.write(ACCOUNT, command.user_id, events=decide.activate(account))


async def grant(command: GrantRole, unit: UnitOfWork) -> None:
    account = await unit.load(ACCOUNT, command.user_id)
    unit.write(ACCOUNT, command.user_id, events=decide.grant(account, role=command.role))


async def revoke(command: RevokeRole, unit: UnitOfWork) -> None:
    account = await unit.load(ACCOUNT, command.user_id)
    unit.write(ACCOUNT, command.user_id, events=decide.revoke(account, role=command.role))


def _claim_lookalikes(username: str, unit: UnitOfWork, user_id: UserId) -> None:
    for skeleton in sorted(skeletons(username)):
        unit.claim("username_skeleton", skeleton, stream=ACCOUNT.id(user_id))


HANDLERS: dict[type[Struct], Handler] = {
    RegisterAccount: register,
    ClaimName: claim_name,
    ChangeProfile: change_profile,
    ChangePassword: change_password,
    RehashPassword: rehash_password,
    Deactivate: deactivate,
    Activate: activate,
    GrantRole: grant,
    RevokeRole: revoke,
}
