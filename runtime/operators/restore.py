"""`hansard restore`: a backup into an empty database, or a home without one; checked before, and hashed again before it serves.

The restored record has a new id: it may lack what was acknowledged after the backup, and will use those positions for something
else. Exit codes: 0 done, 1 refused or failed (one sentence says why; nothing serves), 130 interrupted.
"""

import argparse
from pathlib import Path

from adapters.notary.key import verified
from adapters.notary.memory import VERIFIER
from adapters.postgres.master_key import load_master
from domain.ids import RecordId
from domain.topics import kind_of
from domain.tree_head import NoteUnreadableError, VerifierKey, origin_of, read_key
from runtime.command import Command, MisusedError
from runtime.operators.backup import JOBS, keys_folder
from runtime.operators.backups.contents import DESTROYED
from runtime.operators.backups.ending import told_to_end
from runtime.operators.backups.finishing import check_events, open_life, put_files_back, serve, told_of
from runtime.operators.backups.in_place import take_as_restored
from runtime.operators.backups.judging import judged, read_destroyed, require_master
from runtime.operators.backups.loading import load, pg_restore_for
from runtime.operators.backups.looking import tree_head
from runtime.operators.backups.manifest import BackupRefusedError, Manifest
from runtime.operators.backups.target import opened_target
from runtime.settings import Settings


async def run(settings: Settings, asked: argparse.Namespace) -> int:
    """Restore a backup. Return the exit code."""
    if settings.migration_url and not settings.database_url:
        raise MisusedError(
            "HANSARD_MIGRATION_URL names the new database as its owner: name it in HANSARD_DATABASE_URL, too."
        )
    if (asked.folder is None) != asked.in_place:
        raise MisusedError(
            "Name the backup's folder, or say --in-place of a database that Postgres itself brought back."
        )
    async with told_to_end():
        if asked.in_place:
            await take_as_restored(settings, read_destroyed(asked.destroyed))
            return 0
        folder, keys = asked.folder.absolute(), keys_folder(asked)
        manifest, vault = await judged(folder, keys)
        require_master(load_master(settings.master_key, create=False), vault, settings.master_key)
        destroyed = read_destroyed([keys / DESTROYED, *asked.destroyed])
        key = _signer(settings, asked, manifest)
        async with opened_target(settings, manifest) as target:
            tool = await pg_restore_for(target, manifest)
            gone = await load(target, manifest, folder, keys, tool=tool, jobs=asked.jobs, destroyed=destroyed)
            is_as_signed = await check_events(target.url, manifest)
            await put_files_back(settings, manifest, folder)
            record = await open_life(settings, told_of(manifest))
            await serve(target.url)
    _report(manifest, record, gone)
    _report_signature(manifest, key, is_as_signed)
    return 0


def _signer(settings: Settings, asked: argparse.Namespace, manifest: Manifest) -> VerifierKey | None:
    """Return the key under which the checkpoint of the backup is signed: the one that is given, or that of the notary's folder.

    Raise `BackupRefusedError` if it is not signed by it.
    """
    path = settings.notary / VERIFIER
    text = asked.key or (path.read_text() if path.exists() else "")
    try:
        key = read_key(text) if text else None
        if key is None or (not asked.key and key.name != origin_of(RecordId(manifest.record))):
            return None
        if manifest.checkpoint is not None:
            verified(manifest.checkpoint, key)
    except NoteUnreadableError as error:
        raise BackupRefusedError(
            f"The checkpoint in this backup is not signed by the key that is given: {error}"
        ) from None
    return key


def _report(manifest: Manifest, record: RecordId, gone: int) -> None:
    print(
        f"Restored the first {manifest.position:,} events of the record {manifest.record}, as of {manifest.recorded_at:%Y-%m-%d %H:%M:%S} UTC."
    )
    print(f"The record is {record} now: clients of before get record_changed, and begin anew.")
    if gone:
        print(
            f"{gone:,} data keys that the backup still had were destroyed, as they had been: what they sealed stays erased."
        )
    if unknown := [each.topic for each in manifest.topics if kind_of(each.topic) is None]:
        print(f"This release does not know {', '.join(unknown)}: what they say shows once a newer one runs.")
    if manifest.blobs.how != "copied":
        print(f"Files were not in the backup: they are expected where they were ({manifest.blobs.where}).")


def _report_signature(manifest: Manifest, key: VerifierKey | None, is_as_signed: bool | None) -> None:
    if manifest.checkpoint is None:
        print("Nothing of it had been signed when it was backed up.")
        return
    size = tree_head(manifest.checkpoint).size
    judged_by = "whose signature is good" if key else "whose signature was not judged: name the key with --key"
    if is_as_signed:
        print(f"Its first {size:,} events are those of the checkpoint in the backup, {judged_by}.")
    else:
        print(
            f"Its first {size:,} events are NOT those of the checkpoint in the backup, {judged_by}: it was altered before."
        )
    print("A notary that signed it before asks for 'hansard notary --accept'; docs/backup.md says what that means.")


def _describe(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", type=Path, nargs="?", metavar="DIR", help="the backup of the record")
    parser.add_argument(
        "--in-place",
        action="store_true",
        help="instead: take the database as it is, which Postgres brought back to an earlier moment",
    )
    parser.add_argument(
        "--keys", type=Path, metavar="DIR", help="its keys, of the same backup or a later one; else DIR-keys"
    )
    parser.add_argument(
        "--destroyed",
        type=Path,
        action="append",
        default=[],
        metavar="FILE",
        help="a list of keys that were destroyed since ('hansard keys destroyed', or that of a later backup); may be repeated",
    )
    parser.add_argument(
        "--key", help="the public key under which the record was signed; else that of the notary's folder"
    )
    parser.add_argument("--jobs", type=int, default=JOBS, metavar="N", help=f"tables that are loaded at once ({JOBS})")


COMMAND = Command(run, _describe)
