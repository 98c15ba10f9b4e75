"""Checks that a log-in is strong enough for its process, and no stronger, before anything else is done with it.

A power that a log-in could give itself counts as one that it has: by any kind of membership, through SET ROLE or a
grant. Whoever owns a table can switch its triggers off, and whoever may create roles, run programs or write files of
the server can become its owner.
"""

import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import structlog

from adapters.postgres.database import Database, DatabaseRefusedError
from domain.errors import ReadableError, SetupError
from domain.ports.record import RecordUnavailableError
from runtime.groups import GROUP_OF
from runtime.settings import Settings

SELECT_ME = "SELECT session_user::text"
SELECT_TOO_WEAK = """
    SELECT session_user::text WHERE to_regrole($1) IS NOT NULL AND NOT pg_has_role(session_user, to_regrole($1)::oid, 'USAGE')
"""
SELECT_TOO_STRONG = """
    WITH reached AS (
        SELECT * FROM pg_catalog.pg_roles WHERE pg_has_role($1::text::name, oid, 'MEMBER')
    ), powers AS (
        SELECT 1 AS rank, 'is a superuser' AS power, rolname FROM reached WHERE rolsuper
        UNION ALL SELECT 2, 'may create roles', rolname FROM reached WHERE rolcreaterole
        UNION ALL SELECT 3, 'may create databases', rolname FROM reached WHERE rolcreatedb
        UNION ALL SELECT 4, 'may replicate', rolname FROM reached WHERE rolreplication
        UNION ALL SELECT 5, 'passes by row security', rolname FROM reached WHERE rolbypassrls
        UNION ALL SELECT 6, 'is a member of ' || rolname, NULL FROM reached WHERE oid < 16384 AND rolname LIKE 'pg\\_%'
            AND rolname NOT IN ('pg_database_owner', 'pg_monitor', 'pg_read_all_settings', 'pg_read_all_stats',
                'pg_stat_scan_tables', 'pg_use_reserved_connections')
        UNION ALL SELECT 7, 'owns the database', r.rolname FROM reached r JOIN pg_catalog.pg_database d ON d.datdba = r.oid
            WHERE d.datname = current_database()
        UNION ALL SELECT 8, 'owns the schema ' || n.nspname, r.rolname
            FROM reached r JOIN pg_catalog.pg_namespace n ON n.nspowner = r.oid
            WHERE n.nspname IN ('record', 'vault', 'files', 'notary', 'notify', 'read')
        UNION ALL SELECT 9, 'owns ' || n.nspname || '.' || c.relname, r.rolname
            FROM reached r JOIN pg_catalog.pg_class c ON c.relowner = r.oid
            JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
            WHERE n.nspname IN ('record', 'vault', 'files', 'notary', 'notify') AND c.relkind IN ('r', 'p', 'v', 'm', 'S')
        UNION ALL SELECT 9, 'owns ' || n.nspname || '.' || p.proname, r.rolname
            FROM reached r JOIN pg_catalog.pg_proc p ON p.proowner = r.oid
            JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace WHERE n.nspname IN ('record', 'vault', 'files', 'notary', 'notify')
        UNION ALL SELECT 10, 'may write ' || n.nspname || '.' || c.relname, r.rolname
            FROM reached r CROSS JOIN pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
            WHERE n.nspname = 'record' AND c.relname IN ('events', 'head', 'claims', 'receipts') AND (
                has_table_privilege(r.oid, c.oid, 'INSERT, UPDATE, DELETE, TRUNCATE, TRIGGER')
                OR has_any_column_privilege(r.oid, c.oid, 'INSERT, UPDATE'))
        UNION ALL SELECT 11, 'may create things in the schema ' || n.nspname, r.rolname
            FROM reached r CROSS JOIN pg_catalog.pg_namespace n
            WHERE n.nspname IN ('record', 'vault', 'files', 'notary', 'notify') AND has_schema_privilege(r.oid, n.oid, 'CREATE')
        UNION ALL SELECT 12, 'may create schemas', r.rolname FROM reached r
            WHERE has_database_privilege(r.oid, current_database(), 'CREATE')
    )
    SELECT power || CASE WHEN rolname <> $1 THEN ' (as ' || rolname || ')' ELSE '' END FROM powers
    ORDER BY rank, power, rolname LIMIT 3
"""
# Locks of this kind are seen within one database of one running server, and nowhere else: not in a copy, not on a replica.
LOCK = "SELECT pg_advisory_xact_lock($1)"
TRY_LOCK = "SELECT pg_try_advisory_xact_lock($1)"
log = structlog.get_logger()


class LoginRefusedError(SetupError):
    """A process may do more or less than it should; the sentence says what to do."""


class LoginUnavailableError(ReadableError):
    """Postgres does not answer under the URL of a second log-in; the sentence says which."""


async def guard_login(settings: Settings, db: Database, kind: str) -> None:
    """Check the log-in of a process of this kind. Raise `LoginRefusedError`; outside production, too much power is only
    logged."""
    if settings.env == "production" and settings.migration_url and kind != "operator":
        raise LoginRefusedError(
            f"HANSARD_MIGRATION_URL is set for the {kind}; HANSARD_ENV is production. "
            "The owner's log-in is for 'hansard migrate' alone: take it out of this process' environment."
        )
    if (me := await db.value(SELECT_TOO_WEAK, GROUP_OF[kind])) is not None:
        raise LoginRefusedError(
            f"{me} may not do what the {kind} does: have the owner say GRANT {GROUP_OF[kind]} TO {me} "
            "(docs/operating.md, Log-ins)."
        )
    me = await db.value(SELECT_ME)
    if powers := await powers_of(db, me):
        if settings.env == "production":
            raise LoginRefusedError(f"{too_strong(me, powers, _setting_of(settings, kind))} HANSARD_ENV is production.")
        log.warning("this log-in may do more than its process needs", login=me, because=", ".join(powers))


async def require_same_database(db: Database, projectors: Database) -> None:
    """Raise `LoginRefusedError` unless a gateway's log-in and the projector's lead to one database."""
    key = secrets.randbits(63)
    async with db.transaction() as transaction:
        await transaction.value(LOCK, key)
        is_another = await projectors.value(TRY_LOCK, key)
    if is_another:
        raise LoginRefusedError(
            "HANSARD_PROJECTOR_URL leads to another database than HANSARD_DATABASE_URL: let both name the same server and "
            "database, with a log-in each; or leave HANSARD_PROJECTOR_URL empty, and start a projector."
        )


@contextmanager
def naming(setting: str) -> Iterator[None]:
    """Have an error of connecting say which setting it is about, where that is not `HANSARD_DATABASE_URL`."""
    try:
        yield
    except DatabaseRefusedError as error:
        raise LoginRefusedError(f"{error} It stands in {setting}.") from error
    except RecordUnavailableError as error:
        raise LoginUnavailableError(f"{error} Does it run, and is {setting} right?") from error


async def powers_of(db: Database, name: str) -> list[str]:
    """Return what a log-in may do that no process should, at most three of them; [] if all is well."""
    return await db.all(str, SELECT_TOO_STRONG, name)


def too_strong(name: str, powers: Sequence[str], setting: str = "HANSARD_DATABASE_URL") -> str:
    groups = f"{', '.join(list(GROUP_OF.values())[:-1])} or {list(GROUP_OF.values())[-1]}"
    return (
        f"{name}, as which {setting} logs in, {', '.join(powers)}. Give each process a log-in that is a member of "
        f"{groups} and of nothing else (docs/operating.md, Log-ins), and the owner's to 'hansard migrate' alone, "
        "as HANSARD_MIGRATION_URL."
    )


def _setting_of(settings: Settings, kind: str) -> str:
    """Return the setting with a log-in. A projector within a gateway has that of the second one as its own."""
    is_second = kind == "projector" and settings.database_url and settings.database_url == settings.projector_url
    return "HANSARD_PROJECTOR_URL" if is_second else "HANSARD_DATABASE_URL"
