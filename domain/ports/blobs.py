"""Blob stores: bytes, named by their own hash."""

from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from pathlib import Path
from typing import Protocol

from msgspec import Struct

from domain.errors import ReadableError


class StoredBlob(Struct, frozen=True):
    blob: str
    size_bytes: int
    stored_at: datetime


class Blobs(Protocol):
    """Blobs are named by their SHA-256, in hex. Every method raises `BlobsUnavailableError` if the store does not answer."""

    def staging(self) -> Path:
        """Return the folder of this machine in which bytes are gathered before they are put. It exists."""

    async def put(self, blob: str, file: Path) -> None:
        """Store a file of the staging folder, durably when this returns. Storing a blob again is fine.

        The file is gone afterwards, also if this fails.
        """

    def read(self, blob: str, *, start: int = 0, length: int | None = None) -> AsyncIterator[bytes]:
        """Return the bytes from `start` on (at most `length`), piece by piece. Raise `BlobMissingError`."""

    def local(self, blob: str) -> AbstractAsyncContextManager[Path]:
        """Yield a file of this machine with these bytes, to be read within the block. Raise `BlobMissingError`."""

    async def delete(self, blob: str) -> None:
        """Remove a blob. It is no error if there is none."""

    def every(self) -> AsyncIterator[Sequence[StoredBlob]]:
        """Yield everything that is stored, a page at a time."""

    async def clear(self, before: datetime) -> int:
        """Remove what was begun before a moment and never finished. Return how many."""

    async def address(self, blob: str, *, disposition: str, mime_type: str) -> str | None:
        """Return an address at which whoever has it can read the bytes for a short while, or None if the store has none."""

    async def ping(self) -> None: ...

    async def close(self) -> None: ...


class BlobMissingError(Exception):
    """There are no such bytes in the store."""


class BlobsUnavailableError(ReadableError):
    """The blob store does not answer, or refuses. Whether something was stored is unknown: put it again."""
