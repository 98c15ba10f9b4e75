"""Migrations: plain SQL, numbered, forward only, each in one transaction of its own.

What was applied stands in `public.hansard_migrations` with the hash of its text: a file that was changed after it was
applied, and a database that is newer than the code, are refused.
"""

from collections.abc import Callable, Collection, Mapping
from hashlib import sha256
from importlib.resources import files
from typing import Any, NamedTuple
from urllib.parse import urlsplit, urlunsplit

import asyncpg

from adapters.postgres.database import connect
from adapters.postgres.rows import decode
from domain.errors import SetupError
from runtime.roles import SELECT_ME, make_groups, make_logins

SELECT_HAS_TABLE = "SELECT to_regclass('public.hansard_migrations') IS NOT NULL"
CREATE_TABLE = """
    CREATE TABLE IF NOT EXISTS public.hansard_migrations (
        number int PRIMARY KEY, name text NOT NULL, sha256 text NOT NULL,
        applied_at timestamptz NOT NULL DEFAULT clock_timestamp()
    );
    GRANT SELECT ON public.hansard_migrations TO PUBLIC
"""
SELECT_APPLIED = "SELECT number, sha256 FROM public.hansard_migrations ORDER BY number"
INSERT_APPLIED = "INSERT INTO public.hansard_migrations (number, name, sha256) VALUES ($1, $2, $3)"
LOCK = "SELECT pg_advisory_lock(hashtext('hansard migrations'))"
SELECT_HAS_DATABASE = "SELECT EXISTS (SELECT FROM pg_catalog.pg_database WHERE datname = $1)"
SELECT_CREATE_DATABASE = "SELECT format('CREATE DATABASE %I', $1::text)"
SELECT_VERSION = "SELECT current_setting('server_version_num')::int"
STATEMENT_SECONDS = 600.0
POSTGRES_MIN = 150_000
NO_LOGINS: Mapping[str, str] = {}


class MigrationRefusedError(SetupError):
    """The database cannot be brought to this version; the sentence says why."""


class Migration(NamedTuple):
    number: int
    name: str
    sql: str

    @property
    def digest(self) -> str:
        return sha256(self.sql.encode()).hexdigest()


class AppliedMigration(NamedTuple):
    number: int
    sha256: str


def migrations() -> list[Migration]:
    """Return all migrations of this version, in order."""
    found = []
    for file in files("migrations").iterdir():
        if file.name.endswith(".sql"):
            number, _, name = file.name.removesuffix(".sql").partition("_")
            found.append(Migration(int(number), name, file.read_text(encoding="utf-8")))
    return sorted(found)


async def migrate(
    url: str,
    *,
    say: Callable[[str], None],
    logins: Mapping[str, str] = NO_LOGINS,
    only: Collection[int] | None = None,
) -> int:
    """Bring a database to this version; return how many migrations were applied. Several processes may try at once.

    `logins` are passwords by kind of process (`runtime/groups.py`), whose log-ins are made. Without them, a log-in that
    may not migrate is refused only if something is to be migrated. `only`: no migrations but those of these numbers.
    """
    connection = await connect(url, statement_seconds=STATEMENT_SECONDS)
    try:
        require_version(await connection.fetchval(SELECT_VERSION))
        await connection.execute("SET lock_timeout = 0")
        await connection.fetchval(LOCK)
        has_table = await connection.fetchval(SELECT_HAS_TABLE)
        applied = dict(decode(AppliedMigration, await connection.fetch(SELECT_APPLIED))) if has_table else {}
        due = [each for each in pending(migrations(), applied) if only is None or each.number in only]
        if due or logins:
            await _prepare(connection, len(due))
        for migration in due:
            say(f"Migrating: {migration.number:04d} {migration.name}")
            await _apply(connection, migration)
        if logins:
            await make_logins(connection, logins)
        return len(due)
    finally:
        await connection.close()


def require_version(number: int) -> None:
    """Raise `MigrationRefusedError` if Postgres is too old; `number` as in `server_version_num`."""
    if number < POSTGRES_MIN:
        raise MigrationRefusedError(
            f"Postgres {number // 10_000} is too old; {POSTGRES_MIN // 10_000} or newer is needed: upgrade it, or name another "
            "in HANSARD_DATABASE_URL."
        )


def pending(known: list[Migration], applied: dict[int, str]) -> list[Migration]:
    """Return what is to be applied. Raise `MigrationRefusedError` if the database and the code do not fit."""
    by_number = {migration.number: migration for migration in known}
    for number, digest in applied.items():
        if number not in by_number:
            raise MigrationRefusedError(
                f"A newer release brought the database to migration {number}, and this one knows {max(by_number)} of them: "
                "run that release, or a newer one."
            )
        if by_number[number].digest != digest:
            raise MigrationRefusedError(
                f"Migration {number} ({by_number[number].name}) was changed after it was applied: put back the file of the "
                "release that applied it."
            )
    return [migration for migration in known if migration.number not in applied]


async def create_database(url: str) -> None:
    """Create the database that the URL names, if its server does not have it."""
    parts = urlsplit(url)
    name = parts.path.removeprefix("/")
    connection = await connect(urlunsplit(parts._replace(path="/postgres")))
    try:
        if not await connection.fetchval(SELECT_HAS_DATABASE, name):
            await connection.execute(await connection.fetchval(SELECT_CREATE_DATABASE, name))
    finally:
        await connection.close()


async def _prepare(connection: Any, due: int) -> None:
    """Make the roles that migrations grant to, and the table that remembers them."""
    try:
        await connection.execute(CREATE_TABLE)
    except asyncpg.InsufficientPrivilegeError as error:
        me = await connection.fetchval(SELECT_ME)
        raise MigrationRefusedError(
            f"{due} migrations are due, and {me} may not make them ({error}): "
            "give 'hansard migrate' the owner's log-in in HANSARD_MIGRATION_URL."
        ) from error
    await make_groups(connection)


async def _apply(connection: Any, migration: Migration) -> None:
    try:
        async with connection.transaction():
            await connection.execute(migration.sql)
            await connection.execute(INSERT_APPLIED, migration.number, migration.name, migration.digest)
    except asyncpg.PostgresError as error:
        raise MigrationRefusedError(f"Migration {migration.number:04d} {migration.name} failed: {error}") from error
