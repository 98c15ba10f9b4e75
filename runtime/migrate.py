"""Migrations: plain SQL, numbered, forward only, each in one transaction of its own.

What was applied stands in `public.hansard_migrations` with the hash of its text: a file that was changed after it was
applied, and a database that is newer than the code, are refused.
"""

from collections.abc import Callable
from hashlib import sha256
from importlib.resources import files
from typing import Any, NamedTuple
from urllib.parse import urlsplit, urlunsplit

import asyncpg

from adapters.database import connect

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
STATEMENT_SECONDS = 600.0


class MigrationRefused(Exception):
    """The database cannot be brought to this version; the sentence says why."""


class Migration(NamedTuple):
    number: int
    name: str
    sql: str

    @property
    def digest(self) -> str:
        return sha256(self.sql.encode()).hexdigest()


def migrations() -> list[Migration]:
    """Return all migrations of this version, in order."""
    found = []
    for file in files("migrations").iterdir():
        if file.name.endswith(".sql"):
            number, _, name = file.name.removesuffix(".sql").partition("_")
            found.append(Migration(int(number), name, file.read_text(encoding="utf-8")))
    return sorted(found)


async def migrate(url: str, *, say: Callable[[str], None]) -> int:
    """Bring a database to this version; answers how many migrations were applied. Several may try at once."""
    connection = await connect(url, role=None, statement_seconds=STATEMENT_SECONDS)
    try:
        await connection.execute("SET lock_timeout = 0")
        await connection.fetchval(LOCK)
        await connection.execute(CREATE_TABLE)
        applied = {row["number"]: row["sha256"] for row in await connection.fetch(SELECT_APPLIED)}
        due = pending(migrations(), applied)
        for migration in due:
            say(f"Migrating: {migration.number:04d} {migration.name}")
            await _apply(connection, migration)
        return len(due)
    finally:
        await connection.close()


def pending(known: list[Migration], applied: dict[int, str]) -> list[Migration]:
    """Return what is to be applied; raise `MigrationRefused` where the database and the code do not fit."""
    by_number = {migration.number: migration for migration in known}
    for number, digest in applied.items():
        if number not in by_number:
            raise MigrationRefused(
                f"The database has migration {number}, this version ends at {max(by_number)}: upgrade."
            )
        if by_number[number].digest != digest:
            raise MigrationRefused(f"Migration {number} ({by_number[number].name}) was changed after it was applied.")
    return [migration for migration in known if migration.number not in applied]


async def create_database(url: str) -> None:
    """Create the database that the URL names, where its server does not have it."""
    parts = urlsplit(url)
    name = parts.path.removeprefix("/")
    connection = await connect(urlunsplit(parts._replace(path="/postgres")), role=None)
    try:
        if not await connection.fetchval("SELECT 1 FROM pg_catalog.pg_database WHERE datname = $1", name):
            quoted = name.replace('"', '""')
            await connection.execute(f'CREATE DATABASE "{quoted}"')
    finally:
        await connection.close()


async def _apply(connection: Any, migration: Migration) -> None:
    try:
        async with connection.transaction():
            await connection.execute(migration.sql)
            await connection.execute(INSERT_APPLIED, migration.number, migration.name, migration.digest)
    except asyncpg.PostgresError as error:
        raise MigrationRefused(f"Migration {migration.number:04d} {migration.name} failed: {error}") from error
