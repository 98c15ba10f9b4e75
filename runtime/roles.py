"""Roles: the groups whose rights the migrations grant, and the log-ins that are nothing but members of them.

Roles belong to a cluster, not to a database, so they are made here and not in a migration: before the first one, and
again in a database that was restored into another cluster. The groups cannot log in; `migrations/0050_roles.sql` says
what each may do. Log-ins are the operator's to name; `make_logins` makes those of the embedded servers and of compose.
"""

from collections.abc import Mapping
from contextlib import suppress
from typing import Any, NamedTuple

import asyncpg

from adapters.postgres.rows import decode
from domain.errors import SetupError
from runtime.groups import APP, GROUP_OF, GROUPS, login

# The worker runs a notifier, too.
MEMBERSHIPS = (
    *((APP, group) for group in GROUP_OF.values()),
    (GROUP_OF["gateway"], GROUP_OF["operator"]),
    (GROUP_OF["notifier"], GROUP_OF["worker"]),
)

SELECT_MISSING = """
    SELECT g FROM unnest($1::text[]) WITH ORDINALITY wanted (g, i)
    WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_roles r WHERE r.rolname = g) ORDER BY i
"""
SELECT_NOT_MEMBERS = """
    SELECT granted, member FROM unnest($1::text[], $2::text[]) WITH ORDINALITY wanted (granted, member, i)
    WHERE NOT EXISTS (
        SELECT FROM pg_catalog.pg_auth_members m
        WHERE m.roleid = (SELECT oid FROM pg_catalog.pg_roles WHERE rolname = granted)
            AND m.member = (SELECT oid FROM pg_catalog.pg_roles WHERE rolname = wanted.member)
    ) ORDER BY i
"""
# The owner hands read tables to hansard_operator, so it must be able to become it (Postgres 16 tells that from being a
# member), and may stand in for every process where nobody minds.
SELECT_NOT_OWNERS = """
    SELECT g AS granted, current_user::text AS member FROM unnest($1::text[]) wanted (g)
    WHERE NOT (SELECT rolsuper FROM pg_catalog.pg_roles WHERE rolname = current_user)
        AND NOT pg_has_role(current_user, g, CASE WHEN current_setting('server_version_num')::int >= 160000
            THEN 'SET' ELSE 'MEMBER' END)
"""
SELECT_CREATE_GROUP = "SELECT format('CREATE ROLE %I NOLOGIN', $1::text)"
SELECT_CREATE_LOGIN = "SELECT format('CREATE ROLE %I', $1::text)"
SELECT_SET_LOGIN = "SELECT format('ALTER ROLE %I LOGIN PASSWORD %L', $1::text, $2::text)"
SELECT_GRANT = "SELECT format('GRANT %I TO %I', $1::text, $2::text)"
# Whoever serves makes no tables, not even temporary ones.
SELECT_NO_TEMPORARY = "SELECT format('REVOKE TEMPORARY ON DATABASE %I FROM PUBLIC', current_database())"
NO_TABLES_IN_PUBLIC = "REVOKE CREATE ON SCHEMA public FROM PUBLIC"
SELECT_ME = "SELECT current_user::text"
SELECT_IS_SUPERUSER = "SELECT rolsuper FROM pg_catalog.pg_roles WHERE rolname = current_user"
KEEP_PASSWORDS_OUT_OF_THE_LOG = "SET log_min_error_statement = panic"
SETUP = """\
CREATE ROLE hansard_app NOLOGIN;
CREATE ROLE hansard_gateway NOLOGIN IN ROLE hansard_app; CREATE ROLE hansard_projector NOLOGIN IN ROLE hansard_app;
CREATE ROLE hansard_notifier NOLOGIN IN ROLE hansard_app; CREATE ROLE hansard_notary NOLOGIN IN ROLE hansard_app;
CREATE ROLE hansard_worker NOLOGIN IN ROLE hansard_app, hansard_notifier;
CREATE ROLE hansard_operator NOLOGIN IN ROLE hansard_app, hansard_gateway;
GRANT hansard_app, hansard_gateway, hansard_projector, hansard_worker TO {owner};
GRANT hansard_notifier, hansard_notary, hansard_operator TO {owner};"""


class RolesRefusedError(SetupError):
    """The roles cannot be made by this user; the sentence says who is to do what."""


class Membership(NamedTuple):
    granted: str
    member: str


async def make_groups(connection: Any) -> None:
    """Make sure that the groups exist and that this user can give tables to them. Raise `RolesRefusedError`."""
    try:
        for group in decode(str, await connection.fetch(SELECT_MISSING, list(GROUPS))):
            await _make(connection, SELECT_CREATE_GROUP, group)
        granted, members = zip(*MEMBERSHIPS, strict=True)
        for group, member in decode(Membership, await connection.fetch(SELECT_NOT_MEMBERS, granted, members)):
            await _run(connection, SELECT_GRANT, group, member)
        for group, owner in decode(Membership, await connection.fetch(SELECT_NOT_OWNERS, list(GROUPS))):
            await _run(connection, SELECT_GRANT, group, owner)
        await _run(connection, SELECT_NO_TEMPORARY)
        await connection.execute(NO_TABLES_IN_PUBLIC)
    except asyncpg.InsufficientPrivilegeError as error:
        owner = await connection.fetchval(SELECT_ME)
        raise RolesRefusedError(
            f"{owner} may not create roles ({error}). Give it CREATEROLE, or have a superuser do this once:\n"
            f"{SETUP.format(owner=owner)}"
        ) from error


async def make_logins(connection: Any, passwords: Mapping[str, str]) -> None:
    """Make the log-ins of these kinds, or set their passwords; they are members of their groups and of nothing else."""
    if await connection.fetchval(SELECT_IS_SUPERUSER):
        await connection.execute(KEEP_PASSWORDS_OUT_OF_THE_LOG)
    for kind, password in passwords.items():
        name, groups = login(kind)
        if await connection.fetch(SELECT_MISSING, [name]):
            await _make(connection, SELECT_CREATE_LOGIN, name)
        await _run(connection, SELECT_SET_LOGIN, name, password)
        missing = await connection.fetch(SELECT_NOT_MEMBERS, groups, [name] * len(groups))
        for group, member in decode(Membership, missing):
            await _run(connection, SELECT_GRANT, group, member)


async def _make(connection: Any, select: str, name: str) -> None:
    """Create a role, unless somebody who prepares another database of this cluster was first."""
    with suppress(asyncpg.DuplicateObjectError, asyncpg.UniqueViolationError):
        await _run(connection, select, name)


async def _run(connection: Any, select: str, *arguments: str) -> None:
    """Run a statement that takes no parameters, with names (and a password) quoted by Postgres."""
    await connection.execute(await connection.fetchval(select, *arguments))
