"""Files of a deployment, in a backup and out of it: blobs, which are named by their own hash and never change.

Where store and backup lie on one disk, a blob is in the backup by a hard link, which takes no room; else it is copied, and its
name is held against its bytes on the way.
"""

import asyncio
import os
import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from tempfile import mkstemp

from adapters.syncing import sync
from domain.file_name import storage_path
from domain.ports.blobs import BlobMissingError, Blobs
from runtime.operators.backups.folders import require_room
from runtime.operators.backups.manifest import BackupRefusedError, Stored, sha256_of

LIST = "blobs.list"  # a line a blob: its name, which is its SHA-256, and its size
Told = Callable[[int, int], None]


class BlobsCopied:
    """Blobs in the folder of a backup. `copy` may be called again: what is there already is passed over."""

    def __init__(self, folder: Path, *, copies: bool) -> None:
        self._folder = folder
        self._copies = copies
        self._sizes: dict[str, int] = {}

    async def copy(self, blobs: Blobs, told: Told) -> None:
        """Take every blob of a store that was not taken yet. One that is swept meanwhile is nobody's any more."""
        async for page in blobs.every():
            for stored in page:
                if stored.blob not in self._sizes:
                    with suppress(BlobMissingError, FileNotFoundError):
                        if self._copies:
                            async with blobs.local(stored.blob) as source:
                                await asyncio.to_thread(_place, stored.blob, source, self._folder)
                        self._sizes[stored.blob] = stored.size_bytes
                        told(len(self._sizes), 0)

    def finish(self, where: str) -> Stored:
        """Write the list of what was taken."""
        lines = (f"{blob} {size}\n" for blob, size in sorted(self._sizes.items()))
        with (self._folder / LIST).open("w") as file:
            file.writelines(lines)
            file.flush()
            os.fsync(file.fileno())
        return Stored("copied" if self._copies else "listed", where, len(self._sizes), sum(self._sizes.values()))


async def require_room_for_blobs(blobs: Blobs, folder: Path) -> None:
    """Raise `BackupRefusedError` if the blobs of a store must be copied, as it lies on another disk, and there is no room for them."""
    places = [await asyncio.to_thread(os.stat, place) for place in (blobs.staging(), folder)]
    if places[0].st_dev != places[1].st_dev:
        total = 0
        async for page in blobs.every():
            total += sum(stored.size_bytes for stored in page)
        require_room(folder, total, "Copying the files")


def _place(blob: str, source: Path, folder: Path) -> None:
    """Link a blob into the backup, or copy it. Raise `BackupRefusedError` if a copy is not what its name says."""
    target = folder / storage_path(blob)
    target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    try:
        os.link(source, target)
    except FileNotFoundError:
        raise
    except OSError:  # another disk, or one that knows no links
        shutil.copyfile(source, target)
        _check(blob, target)
        sync(target)
    sync(target.parent)


def listed(folder: Path) -> list[tuple[str, int]]:
    """Return the names and sizes of the blobs of a backup."""
    lines = ((folder / LIST).read_text().splitlines()) if (folder / LIST).exists() else []
    return [(blob, int(size)) for blob, _, size in (line.partition(" ") for line in lines)]


async def check_blobs(folder: Path, told: Told) -> None:
    """Hash every blob of a backup. Raise `BackupRefusedError`, which names the first that is missing or altered."""
    blobs = listed(folder)
    for number, (blob, _) in enumerate(blobs, 1):
        await asyncio.to_thread(_check, blob, folder / storage_path(blob))
        told(number, len(blobs))


async def put_back(folder: Path, blobs: Blobs, told: Told) -> None:
    """Put every blob of a backup into a store."""
    found = listed(folder)
    for number, (blob, _) in enumerate(found, 1):
        handle, name = mkstemp(dir=blobs.staging())
        os.close(handle)
        await asyncio.to_thread(shutil.copyfile, folder / storage_path(blob), name)
        await blobs.put(blob, Path(name))
        told(number, len(found))


def _check(blob: str, path: Path) -> None:
    try:
        found = sha256_of(path)
    except FileNotFoundError:
        raise BackupRefusedError(f"{path} is missing: this backup is not whole. Take another one.") from None
    if found != blob:
        raise BackupRefusedError(f"{path} is not what its name says (SHA-256): it was altered, or the disk failed.")
