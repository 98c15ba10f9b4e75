"""Blobs in a folder: the embedded default. A file stands under its hash, whole, or not at all.

Bytes are gathered in `incoming/`, synced, and renamed into place; the folders are synced too, so that a power cut takes
nothing back. Only 64 hex digits become a path.
"""

import asyncio
import os
import re
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO, TypeVar

from adapters.syncing import sync
from domain.bounds import BLOB_CHUNK_BYTES, BLOB_PAGE_MAX
from domain.file_name import storage_path
from domain.ports.blobs import BlobMissingError, BlobsUnavailableError, StoredBlob

Done = TypeVar("Done")
NAME = re.compile(r"[0-9a-f]{64}")


class FolderBlobs:
    """The port `domain.ports.Blobs`. Several processes may share the folder."""

    def __init__(self, root: Path) -> None:
        """Make the folders if they do not exist. Raise `BlobsUnavailableError` if they cannot be made."""
        self._root = root
        self._incoming = root / "incoming"
        try:
            self._incoming.mkdir(parents=True, exist_ok=True, mode=0o700)
            (root / "blobs").mkdir(exist_ok=True, mode=0o700)
        except OSError as error:
            raise BlobsUnavailableError(f"The folder {root} cannot hold files: {error.strerror}.") from error

    def staging(self) -> Path:
        return self._incoming

    async def put(self, blob: str, file: Path) -> None:
        try:
            await _asked(_put, file, self._path(blob))
        finally:
            with suppress(FileNotFoundError):
                os.unlink(file)

    async def read(self, blob: str, *, start: int = 0, length: int | None = None) -> AsyncIterator[bytes]:
        file = await _asked(_open, self._path(blob))
        try:
            await _asked(file.seek, start)
            left = length
            while left is None or left > 0:
                wanted = BLOB_CHUNK_BYTES if left is None else min(left, BLOB_CHUNK_BYTES)
                chunk = await _asked(file.read, wanted)
                if not chunk:
                    return
                left = None if left is None else left - len(chunk)
                yield chunk
        finally:
            file.close()

    @asynccontextmanager
    async def local(self, blob: str) -> AsyncIterator[Path]:
        path = self._path(blob)
        if not await _asked(path.exists):
            raise BlobMissingError(blob)
        yield path

    async def delete(self, blob: str) -> None:
        with suppress(BlobMissingError):
            await _asked(os.unlink, self._path(blob))

    async def every(self) -> AsyncIterator[Sequence[StoredBlob]]:
        for folder in sorted(await _asked(os.listdir, self._root / "blobs")):
            found = await _asked(_listed, self._root / "blobs" / folder)
            for i in range(0, len(found), BLOB_PAGE_MAX):
                yield found[i : i + BLOB_PAGE_MAX]

    async def clear(self, before: datetime) -> int:
        return await _asked(_clear, self._incoming, before.timestamp())

    async def address(self, blob: str, *, disposition: str, mime_type: str) -> str | None:
        return None

    async def ping(self) -> None:
        await _asked(os.listdir, self._incoming)

    async def close(self) -> None:
        """Nothing is held."""

    def _path(self, blob: str) -> Path:
        if not NAME.fullmatch(blob):
            raise BlobMissingError(blob)
        return self._root / storage_path(blob)


async def _asked(call: Callable[..., Done], *args: object) -> Done:
    """Do blocking work in a thread, and raise what the disk refuses as an error of the port."""
    try:
        return await asyncio.to_thread(call, *args)
    except FileNotFoundError as error:
        raise BlobMissingError(str(error.filename)) from error
    except OSError as error:
        raise BlobsUnavailableError(f"The blob folder refuses: {error.strerror or error}") from error


def _open(path: Path) -> BinaryIO:
    return path.open("rb")


def _put(file: Path, path: Path) -> None:
    sync(file)
    try:
        path.parent.mkdir(mode=0o700)
        sync(path.parent.parent)
    except FileExistsError:
        pass
    os.replace(file, path)
    sync(path.parent)


def _listed(folder: Path) -> list[StoredBlob]:
    found = []
    for entry in os.scandir(folder):
        with suppress(FileNotFoundError):  # removed while we look
            if NAME.fullmatch(entry.name):
                state = entry.stat()
                found.append(StoredBlob(entry.name, state.st_size, datetime.fromtimestamp(state.st_mtime, UTC)))
    return found


def _clear(folder: Path, before: float) -> int:
    removed = 0
    for entry in os.scandir(folder):
        with suppress(FileNotFoundError):
            if entry.stat().st_mtime < before:
                os.unlink(entry.path)
                removed += 1
    return removed
