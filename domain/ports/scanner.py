"""Scanners: whether the bytes of a file are harmless."""

from collections.abc import AsyncIterator
from datetime import datetime
from typing import Protocol

from msgspec import Struct

from domain.file_snapshot import Scan


class Verdict(Struct, frozen=True):
    """What a scanner says; `signature` None: clean."""

    scan: Scan
    signature: str | None = None


class AboutScanner(Struct, frozen=True):
    """`name` with its version; `signatures_at`: how new what it knows is, None where it does not say."""

    name: str
    signatures_at: datetime | None = None


class Scanner(Protocol):
    """Judges bytes. Whatever goes wrong raises `ScannerUnavailableError`, and nothing that was not judged is clean."""

    async def scan(self, pieces: AsyncIterator[bytes]) -> Verdict:
        """Raises `UnscannableError` where no further try will help: the file is too large for the scanner."""

    async def ping(self) -> None: ...
    async def about(self) -> AboutScanner: ...


class ScannerUnavailableError(Exception):
    """The scanner does not answer, or not in a way that could be believed."""


class UnscannableError(Exception):
    """The scanner will never judge this file."""
