"""Loading a backup into an empty database: the migrations that it had, its rows, and then the migrations since.

The rows of the keys come first, so that no event is ever there without its key. Keys that are known to be destroyed, by a list or by
the record itself, are destroyed before anything else is done with the record.
"""

import asyncio
import sys
import time
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path
from uuid import UUID

from adapters.postgres.database import Database, connect
from domain.ports.record import RecordUnavailableError
from runtime.migrate import SELECT_VERSION, migrate
from runtime.operators.backups.contents import KEYS, RECORD
from runtime.operators.backups.manifest import Manifest
from runtime.operators.backups.target import Target, require_alone
from runtime.operators.backups.tools import Tool, find, restore
from runtime.operators.progress import ProgressShown
from runtime.restoring import BEGIN_RESTORING, NOTE_BACKUP
from workers.rebuild_reports import Progress

STATEMENT_SECONDS = 24 * 3600.0
LOOK_SECONDS = 1.0
SELECT_LOADED = """
    SELECT tuples_processed FROM pg_catalog.pg_stat_progress_copy WHERE relid = 'record.events'::regclass
"""
# Keys of a later backup than the record's were made, too.
INSERT_MADE_KEYS = "INSERT INTO record.made_keys (key_id) SELECT key_id FROM vault.data_keys ON CONFLICT DO NOTHING"
DESTROY = "UPDATE vault.data_keys SET wrapped = NULL WHERE key_id = ANY ($1::uuid[]) AND wrapped IS NOT NULL"
# What the record says is destroyed, whatever the keys are that came back.
DESTROY_CONDEMNED = """
    UPDATE vault.data_keys k SET wrapped = NULL
    FROM record.events e CROSS JOIN jsonb_array_elements_text(convert_from(e.data, 'UTF8')::jsonb -> 'key_ids') condemned (key_id)
    WHERE e.topic IN ('erasure.keys_condemned', 'retention.applied') AND k.key_id = condemned.key_id::uuid AND k.wrapped IS NOT NULL
"""
REWRITE = "VACUUM (FULL, ANALYZE) vault.data_keys"  # nothing of a destroyed key is left in its table
# What was said before the backup is told to nobody: a place of 0 would be that of a deployment which has told nothing yet.
BEGIN_NOTICES = "UPDATE notify.place SET position = h.position FROM record.head h"
ANALYZE = "ANALYZE"


async def pg_restore_for(target: Target, manifest: Manifest) -> Tool:
    """Return a pg_restore that reads this backup, of the server's own version where there is one. Raise `BackupRefusedError`."""
    connection = await connect(target.url)
    try:
        server = int(await connection.fetchval(SELECT_VERSION))
    finally:
        await connection.close()
    return await find("pg_restore", int(manifest.pg_dump.partition(".")[0]), prefer=server // 10_000)


async def load(
    target: Target, manifest: Manifest, folder: Path, keys: Path, *, tool: Tool, jobs: int, destroyed: Collection[UUID]
) -> int:
    """Load everything; return how many keys were destroyed that the backup still had."""
    connection = await connect(target.url, statement_seconds=STATEMENT_SECONDS)
    try:
        await connection.execute(BEGIN_RESTORING)
        await connection.execute(NOTE_BACKUP)
        await require_alone(connection)
        await migrate(target.url, say=_silent, logins=target.logins, only=manifest.applied)
        await restore(tool, target.url, folder=keys / KEYS, jobs=1)
        gone = _count(await connection.execute(DESTROY, list(destroyed)))
        await _load_record(target, tool, folder / RECORD, manifest.position, jobs)
        gone += _count(await connection.execute(DESTROY_CONDEMNED))
        await connection.execute(REWRITE)
        await connection.execute(INSERT_MADE_KEYS)
        await migrate(target.url, say=print)
        await connection.execute(BEGIN_NOTICES)
        await connection.execute(ANALYZE)
    finally:
        await connection.close()
    return gone


def _count(said: str) -> int:
    """Return how many rows a statement changed, by what Postgres says of it."""
    return int(said.rpartition(" ")[2])


async def _load_record(target: Target, tool: Tool, folder: Path, events: int, jobs: int) -> None:
    watching = asyncio.create_task(_watch(target.url, events))
    try:
        await restore(tool, target.url, folder=folder, jobs=jobs)
    finally:
        watching.cancel()
        with suppress(asyncio.CancelledError):
            await watching


async def _watch(url: str, events: int) -> None:
    """Show how many events are loaded, as far as Postgres says so."""
    shown, began = ProgressShown(sys.stderr), time.perf_counter()
    db = await Database.open(url, size=1)
    try:
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            with suppress(RecordUnavailableError):
                loaded = await db.value(SELECT_LOADED)
                if loaded:
                    shown(Progress("record", loaded, events, time.perf_counter() - began))
    finally:
        await db.close()


def _silent(sentence: str) -> None:
    """Say nothing of the migrations that the backup had."""
