"""A database that Postgres itself brought back (to a point in time, by promoting a replica that was behind, from a copy of its disk):
the record in it becomes another one, as after any restore, before it serves again."""

import sys
from collections.abc import Collection
from typing import Any
from uuid import UUID

from adapters.postgres.database import Database, connect
from adapters.postgres.event_entries import EventEntries
from adapters.postgres.master_key import load_master
from adapters.postgres.master_key_check import require_right
from commands.restoration import TellRestoration
from runtime.command import MisusedError
from runtime.operators.backups.finishing import STATEMENT_SECONDS, open_life, serve
from runtime.operators.backups.loading import DESTROY, DESTROY_CONDEMNED, REWRITE
from runtime.operators.backups.manifest import BackupRefusedError
from runtime.operators.backups.target import require_alone
from runtime.operators.progress import ProgressShown
from runtime.restoring import BEGIN_RESTORING, SELECT_IS_OF_BACKUP, SELECT_IS_RESTORING
from runtime.settings import Settings
from workers.record_tree import EventMissingError, roots

RENEW = "UPDATE record.head SET record = gen_random_uuid()"


async def take_as_restored(settings: Settings, destroyed: Collection[UUID]) -> None:
    """Make another record of what the database holds. Raise `BackupRefusedError`, `MasterKeyWrongError`."""
    url = settings.migration_url or settings.database_url
    if not url:
        raise MisusedError(
            "--in-place is for a Postgres of your own, named in HANSARD_DATABASE_URL: the embedded one has no archive."
        )
    db = await Database.open(url, size=2, statement_seconds=STATEMENT_SECONDS)
    try:
        await require_right(db, load_master(settings.master_key, create=False), settings.master_key, keep=False)
        told = await _hashed(EventEntries(db))
    finally:
        await db.close()
    connection = await connect(url, statement_seconds=STATEMENT_SECONDS)
    try:
        await require_alone(connection)
        await _begin(connection)
        await connection.execute(DESTROY, list(destroyed))
        await connection.execute(DESTROY_CONDEMNED)
        await connection.execute(REWRITE)
        await connection.execute(RENEW)
    finally:
        await connection.close()
    record = await open_life(settings, told)
    await serve(url)
    print(f"The record {told.record_before}, brought back to position {told.position:,}, is the record {record} now:")
    print("clients of before get record_changed, and begin anew. Its notary asks for 'hansard notary --accept'.")


async def _hashed(events: EventEntries) -> TellRestoration:
    """Hash everything; return what the record will say of itself."""
    head = await events.head()
    try:
        found = await roots(events, {head.position}, progress=ProgressShown(sys.stderr), name="hashed")
    except EventMissingError as error:
        raise BackupRefusedError(
            f"There is no event at position {error.position}, and the record goes on: this is no whole record. Nothing was changed."
        ) from None
    return TellRestoration(head.record, head.position, found[head.position].hex(), None, None)


async def _begin(connection: Any) -> None:
    """Note that the database does not serve meanwhile. One that a broken off restore left is refused; an earlier try of this is
    none."""
    if not await connection.fetchval(SELECT_IS_RESTORING):
        await connection.execute(BEGIN_RESTORING)
    elif await connection.fetchval(SELECT_IS_OF_BACKUP):
        raise BackupRefusedError("A restore of a backup into this database was broken off: drop it, and restore again.")
