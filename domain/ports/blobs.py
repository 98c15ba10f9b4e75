"""Blob stores: bytes under their own hash."""

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
    """Bytes, each under the SHA-256 of themselves in hex. Raises `BlobsUnavailableError` when the store does not answer."""

    def staging(self) -> Path:
        """Return the folder of this machine in which bytes are gathered before they are put; it exists."""

    async def put(self, blob: str, file: Path) -> None:
        """Take a file of the staging folder; durable when this returns. What is there already is put again, as before.
        The file is gone afterwards, also when this fails."""

    def read(self, blob: str, *, start: int = 0, length: int | None = None) -> AsyncIterator[bytes]:
        """Return the bytes from `start` on (at most `length`), piece by piece. Raises `BlobMissingError`."""

    def local(self, blob: str) -> AbstractAsyncContextManager[Path]:
        """A file of this machine with these bytes, to be read within the block. Raises `BlobMissingError`."""

    async def delete(self, blob: str) -> None:
        """Remove bytes; those that are not there are removed already."""

    def every(self) -> AsyncIterator[Sequence[StoredBlob]]:
        """Return everything that is stored, a page at a time."""

    async def clear(self, before: datetime) -> int:
        """Remove what was begun before a moment and never finished; answers how many."""

    async def address(self, blob: str, *, disposition: str, mime_type: str) -> str | None:
        """Return an address under which whoever has it may read the bytes for a short while; None: there is none."""

    async def ping(self) -> None: ...

    async def close(self) -> None: ...


class BlobMissingError(Exception):
    """There are no such bytes in the store."""


class BlobsUnavailableError(ReadableError):
    """The blob store does not answer, or refuses; whether something was stored is unknown: put it again."""
