"""Where a restore goes to: an empty database of one's own, or an embedded one that is made for it and removed again if the restore
fails."""

import asyncio
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from msgspec import Struct

from adapters.postgres.database import connect
from runtime.embedded.logins import forget_secret
from runtime.embedded.servers import Embedded
from runtime.migrate import create_database
from runtime.operators.backups.folders import require_room
from runtime.operators.backups.manifest import BackupRefusedError, Manifest
from runtime.settings import Settings

LARGER = 2  # the record and its read tables, with indexes, beside the record's tables alone
# What extensions made is theirs. Who else is here could write before the restore is done.
SELECT_TABLES = """
    SELECT c.oid::regclass::text FROM pg_catalog.pg_class c
    WHERE c.relkind IN ('r', 'p', 'v', 'm', 'S') AND c.relnamespace <> 'pg_catalog'::regnamespace
        AND c.relnamespace::regnamespace::text NOT LIKE 'pg\\_%'
        AND c.relnamespace::regnamespace::text <> 'information_schema'
        AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d WHERE d.objid = c.oid AND d.deptype = 'e')
    ORDER BY 1 LIMIT 3
"""
SELECT_OTHERS = """
    SELECT count(*) FROM pg_catalog.pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'
"""


class Target(Struct, frozen=True):
    """The owner's URL of the database, and the passwords of the log-ins that are made in it."""

    url: str
    logins: dict[str, str]


@asynccontextmanager
async def opened_target(settings: Settings, manifest: Manifest) -> AsyncIterator[Target]:
    """Give an empty database. Raise `BackupRefusedError` if there is none."""
    if settings.database_url or settings.migration_url:
        url = settings.migration_url or settings.database_url
        await _require_empty(url)
        yield Target(url, settings.login_passwords)
        return
    data = settings.home / "postgres"
    if data.exists():
        raise BackupRefusedError(
            f"There is a database in {data} already, and a restore makes a new one: move that folder away, or name another home "
            "in HANSARD_HOME."
        )
    files = manifest.blobs.size if manifest.blobs.how == "copied" and not settings.blobs_url else 0
    require_room(settings.home, manifest.table_bytes * LARGER + files, "The restored record")
    embedded = Embedded(settings.home, redis=False)
    embedded.hold()
    try:
        await asyncio.to_thread(embedded.start)
        try:
            await create_database(embedded.servers.database_url)
            yield Target(embedded.servers.database_url, embedded.servers.logins())
        finally:
            await asyncio.to_thread(embedded.stop)
    except BaseException:
        shutil.rmtree(data, ignore_errors=True)
        forget_secret(settings.home)
        raise


async def require_alone(connection: Any) -> None:
    """Raise `BackupRefusedError` if somebody else is connected to the database."""
    if others := await connection.fetchval(SELECT_OTHERS):
        raise BackupRefusedError(
            f"{others} other sessions are connected to this database: stop all processes of Hansard, and begin again."
        )


async def _require_empty(url: str) -> None:
    connection = await connect(url)
    try:
        if found := [str(*row) for row in await connection.fetch(SELECT_TABLES)]:
            raise BackupRefusedError(
                f"The database is not empty ({', '.join(found)}): a restore goes into a new one. Make one with createdb, and "
                "name it in HANSARD_MIGRATION_URL (the owner's log-in) and HANSARD_DATABASE_URL."
            )
        await require_alone(connection)
    finally:
        await connection.close()
