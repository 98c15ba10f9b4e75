"""The steps of a backup: files, then the record and its keys as they are at one moment, then the manifests."""

import asyncio
import sys
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from uuid import UUID

from msgspec import Struct

from adapters.postgres.record_moment import Moment, TableSize, one_moment
from runtime.composition.resources import opened_blobs
from runtime.locations import database_url
from runtime.migrate import SELECT_APPLIED, AppliedMigration
from runtime.operators.backups import manifest as manifests
from runtime.operators.backups.blobs import BlobsCopied, require_room_for_blobs
from runtime.operators.backups.contents import DESTROYED, KEY_SCHEMAS, KEYS, LEFT_OUT, RECORD, RECORD_SCHEMAS
from runtime.operators.backups.ending import together
from runtime.operators.backups.folders import require_room
from runtime.operators.backups.looking import Seen, look
from runtime.operators.backups.manifest import BackupRefusedError, KeysManifest, Manifest, Sample, Stored
from runtime.operators.backups.tools import Tool, dump
from runtime.operators.progress import CountShown
from runtime.settings import Settings

DUMPED_SHARE = 0.9  # of what the rows take in Postgres; 0.69 was measured


class Begun(Struct, frozen=True):
    """A backup as it is begun: its id, where it goes, by what it is made, and when."""

    id: UUID
    folder: Path
    keys: Path
    pg_dump: Tool
    postgres: str
    jobs: int
    copies: bool
    began_at: datetime


class Dumped(Struct, frozen=True):
    """What was seen of the record, how large its tables are, and what tells the right master key."""

    seen: Seen
    tables: list[TableSize]
    applied: list[AppliedMigration]
    samples: tuple[Sample, ...]
    destroyed: int


async def make(settings: Settings, begun: Begun) -> Seen:
    """Write everything, the manifests last."""
    began = time.monotonic()
    async with AsyncExitStack() as stack:
        files, is_elsewhere = BlobsCopied(begun.folder, copies=begun.copies), settings.blobs_url.startswith("s3:")
        if not is_elsewhere:
            blobs, shown = await opened_blobs(settings, stack), CountShown(sys.stderr, "files")
            if begun.copies:
                await require_room_for_blobs(blobs, begun.folder)
            await files.copy(blobs, shown)
        moment = await stack.enter_async_context(one_moment(database_url(settings)))
        if not is_elsewhere:
            # What was put since, before it can be swept: all that the record refers to at this moment is in the backup.
            await files.copy(blobs, shown)
        dumped = await _dump(moment, begun)
    where = settings.blobs_url or str(settings.home.resolve() / "files")
    stored = Stored("elsewhere", where) if is_elsewhere else files.finish(where)
    await asyncio.to_thread(_write_manifests, begun, dumped, stored, began)
    return dumped.seen


async def _dump(moment: Moment, begun: Begun) -> Dumped:
    """Dump the record and its keys; every event of it is hashed beside that."""
    tables, keys = await _wanted(moment, RECORD_SCHEMAS), await _wanted(moment, KEY_SCHEMAS)
    require_room(begun.folder, int(sum(table.row_bytes for table in tables) * DUMPED_SHARE), "The record")
    samples = tuple(Sample(each.name, each.wrapped.hex()) for each in await moment.wrapped())
    if not samples and (await moment.head()).position:
        raise BackupRefusedError(
            "The database holds no data keys (schema vault): nobody could read what is restored. Restore the keys first."
        )
    seen: list[Seen] = []

    async def see() -> None:
        seen.append(await look(moment))

    await together(_dumped(moment, begun, tables, begun.folder / RECORD), see())
    await _dumped(moment, begun, keys, begun.keys / KEYS)
    destroyed = await moment.destroyed()
    (begun.keys / DESTROYED).write_text("".join(f"{key_id}\n" for key_id in destroyed))
    return Dumped(seen[0], tables, await moment.all(AppliedMigration, SELECT_APPLIED), samples, len(destroyed))


async def _dumped(moment: Moment, begun: Begun, tables: Sequence[TableSize], into: Path) -> None:
    names = [table.name for table in tables]
    await dump(begun.pg_dump, moment.url, snapshot=moment.snapshot, tables=names, into=into, jobs=begun.jobs)


def _write_manifests(begun: Begun, dumped: Dumped, blobs: Stored, began: float) -> None:
    """Hash what was written, and say so; that of the record's folder comes last."""
    head = dumped.seen.head
    keys = KeysManifest(
        backup=begun.id, record=head.record, position=head.position, samples=dumped.samples,
        destroyed=dumped.destroyed, pg_dump=begun.pg_dump.version, began_at=begun.began_at,
        files=_hashed(begun.keys, manifests.files_below(begun.keys)),
    )  # fmt: skip
    record = Manifest(
        backup=begun.id, record=head.record, position=head.position, root=dumped.seen.root.hex(),
        recorded_at=head.recorded_at, checkpoint=dumped.seen.checkpoint, hansard=version("hansard"),
        postgres=begun.postgres, pg_dump=begun.pg_dump.version, migrations=manifests.migrated(dumped.applied),
        topics=dumped.seen.topics.topics, table_bytes=sum(table.all_bytes for table in dumped.tables), blobs=blobs,
        began_at=begun.began_at, seconds=round(time.monotonic() - began, 1),
        files=_hashed(begun.folder, _without_blobs(begun.folder)),
    )  # fmt: skip
    manifests.write(begun.keys, keys)
    manifests.write(begun.folder, record)


def _without_blobs(folder: Path) -> list[Path]:
    """Return what a manifest names: blobs are named in their list, by their own hash."""
    return [path for path in manifests.files_below(folder) if path.relative_to(folder).parts[0] != "blobs"]


def _hashed(folder: Path, paths: Sequence[Path]) -> tuple[manifests.File, ...]:
    return manifests.hashed(folder, paths, CountShown(sys.stderr, "hashed", "bytes"))


async def _wanted(moment: Moment, schemas: list[str]) -> list[TableSize]:
    return [table for table in await moment.tables(schemas) if table.name not in LEFT_OUT]
