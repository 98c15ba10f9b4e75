"""Staged file: the bytes of one upload as they are gathered on the disk, hashed on the way.

Nothing is kept in memory but the chunk at hand.
"""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from hashlib import sha256
from pathlib import Path
from tempfile import mkstemp
from typing import BinaryIO

from adapters.media.content_types import HEAD_BYTES
from domain.ports.blobs import BlobsUnavailableError
from gateway.http.problems import Problem

UPLOAD_CHUNK_BYTES = 512 * 1024


class StagedFile:
    """The file at `path`, which gets `add`ed bytes and is complete after `flush`."""

    def __init__(self, file: BinaryIO, path: Path, bytes_max: int) -> None:
        self.path = path
        self.size_bytes = 0
        self.head = b""
        self.digest = sha256()
        self._file = file
        self._bytes_max = bytes_max
        self._chunk = bytearray()

    async def add(self, piece: bytes) -> None:
        """Take a piece. Raise `Problem` (413) if the file gets too large."""
        self.size_bytes += len(piece)
        if self.size_bytes > self._bytes_max:
            raise too_large(self._bytes_max)
        self._chunk += piece
        if len(self._chunk) >= UPLOAD_CHUNK_BYTES:
            await self.flush()

    async def flush(self) -> None:
        """Write what was gathered. Raise `BlobsUnavailableError` if the disk does not take it."""
        chunk, self._chunk = bytes(self._chunk), bytearray()
        if len(self.head) < HEAD_BYTES:
            self.head += chunk[: HEAD_BYTES - len(self.head)]
        try:
            await asyncio.to_thread(self._write, chunk)
        except OSError as error:
            raise BlobsUnavailableError(f"An upload cannot be gathered: {error.strerror}") from error

    def close(self) -> None:
        self._file.close()

    def _write(self, chunk: bytes) -> None:
        self._file.write(chunk)
        self.digest.update(chunk)


@asynccontextmanager
async def staged(folder: Path, bytes_max: int) -> AsyncIterator[StagedFile]:
    """Make an empty file in a folder, for a block; it is gone afterwards, unless the block has moved it."""
    try:
        handle, name = await asyncio.to_thread(mkstemp, dir=folder)
    except OSError as error:
        raise BlobsUnavailableError(f"An upload cannot be gathered: {error.strerror}") from error
    try:
        with os.fdopen(handle, "wb") as file:
            yield StagedFile(file, Path(name), bytes_max)
    finally:
        with suppress(FileNotFoundError):
            os.unlink(name)


def too_large(bytes_max: int) -> Problem:
    """Return the answer to a file that is larger than may be uploaded here."""
    detail = f"A file has at most {bytes_max:,} bytes here."
    return Problem(413, "file.too_large", detail, headers={"Connection": "close"})
