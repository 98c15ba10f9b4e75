"""The end of a restore: the events are held against the manifest, the record says that it was restored, and the live read tables are
made. Only then does it serve; the slower groups, for which nothing waits, are made by the worker.
"""

import asyncio
import sys
import time
from contextlib import AsyncExitStack
from pathlib import Path

from adapters.postgres.database import Database, connect
from adapters.postgres.event_entries import EventEntries
from commands.restoration import TellRestoration
from domain.ids import RecordId
from projections import LIVE, checkpoints
from projections.tables import Group
from runtime.composition.process_context import ProcessContext, process_context, process_name
from runtime.composition.resources import opened_blobs
from runtime.loops import background
from runtime.operators.backups.blobs import put_back
from runtime.operators.backups.looking import tree_head
from runtime.operators.backups.manifest import BackupRefusedError, Manifest
from runtime.operators.progress import CountShown, ProgressShown
from runtime.operators.writing import OPERATOR
from runtime.restoring import END_RESTORING, SELECT_IS_RESTORING
from runtime.settings import Settings
from workers.projector import Follower
from workers.rebuild_reports import Progress
from workers.record_tree import EventMissingError, roots

STATEMENT_SECONDS = 600.0


async def check_events(url: str, manifest: Manifest) -> bool | None:
    """Hash all events that were restored. Return whether they are those of the checkpoint in the manifest; None: it has none.

    Raise `BackupRefusedError` if they are not those that were backed up.
    """
    signed = None if manifest.checkpoint is None else tree_head(manifest.checkpoint)
    sizes = {manifest.position, manifest.position if signed is None else signed.size}
    db = await Database.open(url, size=1, statement_seconds=STATEMENT_SECONDS)
    try:
        events = EventEntries(db)
        if (position := (await events.head()).position) != manifest.position:
            raise _differs(f"it ends at {position:,}, and {manifest.position:,} events were backed up")
        found = await roots(events, sizes, progress=ProgressShown(sys.stderr), name="hashed")
    except EventMissingError as error:
        raise _differs(f"there is no event at position {error.position}") from None
    finally:
        await db.close()
    if found[manifest.position].hex() != manifest.root:
        raise _differs("the root of its tree is another")
    return None if signed is None else found[signed.size] == signed.root


def _differs(how: str) -> BackupRefusedError:
    return BackupRefusedError(
        f"What was restored is not what was backed up: {how}. It does not serve; take another backup."
    )


async def open_life(settings: Settings, told: TellRestoration) -> RecordId:
    """Record the restoration, and make the live read tables. Return the record's new id."""
    async with (
        process_context(settings, statement_seconds=STATEMENT_SECONDS, restoring=True) as base,
        background(asyncio.create_task(base.record.run())),
    ):
        if not await base.db.value(SELECT_IS_RESTORING):
            raise BackupRefusedError(
                "HANSARD_DATABASE_URL names another database than HANSARD_MIGRATION_URL, into which the record was restored: nothing "
                "was written there. Drop the restored one, make it anew, name it in both, and begin again."
            )
        await base.command_bus.do(told, OPERATOR)
        await _fill(base, LIVE)
        return base.record_id


async def _fill(base: ProcessContext, group: Group) -> None:
    """Bring a group of read tables up to the record."""
    head, began, shown = (await base.record.head()).position, time.perf_counter(), ProgressShown(sys.stderr)
    follower = Follower(group, base.record, base.db, owner=process_name())
    while await follower.step() > 0:
        assert follower.lease is not None, "it has written a batch"
        shown(Progress(group.name, follower.lease.position, head, time.perf_counter() - began))
    if follower.lease is None or follower.lease.position < head:
        raise BackupRefusedError(
            f"Somebody else follows the read tables ({group.name}): stop all processes of Hansard."
        )
    await checkpoints.let_go(base.db, group.name, follower.lease.epoch)


def told_of(manifest: Manifest) -> TellRestoration:
    """Return what the record says of having been restored from this backup."""
    return TellRestoration(
        RecordId(manifest.record), manifest.position, manifest.root, manifest.backup, manifest.began_at
    )


async def put_files_back(settings: Settings, manifest: Manifest, folder: Path) -> None:
    """Put the files of a backup into the store that the settings name."""
    if manifest.blobs.how == "copied":
        async with AsyncExitStack() as stack:
            blobs = await opened_blobs(settings, stack)
            await put_back(folder, blobs, CountShown(sys.stderr, "files"))


async def serve(url: str) -> None:
    """Let processes begin."""
    connection = await connect(url)
    try:
        await connection.execute(END_RESTORING)
    finally:
        await connection.close()
