"""Scanners: whether the bytes of a file are harmless."""

from collections.abc import AsyncIterator
from datetime import datetime
from typing import Protocol

from msgspec import Struct

from domain.file_snapshot import Scan


class Verdict(Struct, frozen=True):
    """What a scanner says. `signature` is what it found, None if the file is clean."""

    scan: Scan
    signature: str | None = None


class AboutScanner(Struct, frozen=True):
    """`name` includes the version. `signatures_at` is the date of its signatures, None if it does not say."""

    name: str
    signatures_at: datetime | None = None


class Scanner(Protocol):
    """Judges bytes. Whatever goes wrong raises `ScannerUnavailableError`: nothing is clean that was not judged."""

    async def scan(self, pieces: AsyncIterator[bytes]) -> Verdict:
        """Return the verdict. Raise `UnscannableError` if trying again cannot help: the file is too large for the scanner."""

    async def ping(self) -> None: ...
    async def about(self) -> AboutScanner: ...


class ScannerUnavailableError(Exception):
    """The scanner does not answer, or not in a way that could be believed."""


class UnscannableError(Exception):
    """The scanner will never judge this file."""
