"""What must be true of a backup before anything of it is restored: it is whole, its two folders belong together, this release
knows it, and the master key opens its keys."""

import sys
from collections.abc import Sequence
from pathlib import Path
from uuid import UUID

from adapters.postgres.master_key import Master, MasterKeyWrongError
from runtime.migrate import migrations, pending
from runtime.operators.backups import manifest as manifests
from runtime.operators.backups.blobs import check_blobs
from runtime.operators.backups.manifest import BackupRefusedError, KeysManifest, Manifest
from runtime.operators.progress import CountShown


async def judged(folder: Path, keys: Path) -> tuple[Manifest, KeysManifest]:
    """Return both manifests of a backup whose files are as they were. Raise `BackupRefusedError`, `MigrationRefusedError`."""
    record, vault = manifests.read(folder, Manifest), manifests.read(keys, KeysManifest)
    if record.record != vault.record:
        raise BackupRefusedError(
            f"{keys} holds the keys of the record {vault.record}, and {folder} is of {record.record}: name its keys with --keys."
        )
    if vault.position < record.position:
        raise BackupRefusedError(
            f"The keys in {keys} are of position {vault.position:,}, and the record in {folder} goes on to {record.position:,}: some "
            "of it could not be read. Take keys of the same backup, or of a later one (--keys)."
        )
    pending(migrations(), record.applied)
    await manifests.check_files(keys, vault, CountShown(sys.stderr, "checked", "bytes of keys"))
    await manifests.check_files(folder, record, CountShown(sys.stderr, "checked", "bytes"))
    if record.blobs.how == "copied":
        await check_blobs(folder, CountShown(sys.stderr, "checked", "files"))
    return record, vault


def require_master(master: Master, vault: KeysManifest, path: Path) -> None:
    """Raise `MasterKeyWrongError` if this master key does not open the keys of a backup."""
    try:
        for sample in vault.samples:
            master.unwrap(bytes.fromhex(sample.wrapped), name=sample.name.encode())
    except MasterKeyWrongError:
        raise MasterKeyWrongError(
            f"The master key at {path} is not the one of this backup: its keys were made under another, and nothing else opens "
            "them. Put back the copy that you kept, or name it in HANSARD_MASTER_KEY_FILE."
        ) from None


def read_destroyed(lists: Sequence[Path]) -> set[UUID]:
    """Return the ids of all keys that are known to be destroyed. Raise `BackupRefusedError` if a list is none."""
    found = set()
    for path in lists:
        for line in path.read_text().split():
            try:
                found.add(UUID(line))
            except ValueError:
                raise BackupRefusedError(
                    f"{path} is no list of destroyed keys: {line[:40]!r} is no id. 'hansard keys destroyed' writes one."
                ) from None
    return found
