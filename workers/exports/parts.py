"""Parts of a package: what is finished is put into the blob store, so that whoever goes on after a crash begins behind it.

A part is five sections in one blob: a stretch of the package, a stretch of the Slack archive that goes into it, the directories
of both, and the rooms that began in it. Where parts are cut changes nothing of the package: it is all stretches in order.
"""

import os
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryFile
from typing import BinaryIO, NamedTuple
from uuid import UUID, uuid4

import msgspec
from msgspec import Struct

from adapters.postgres.blob_leases import BlobLeases
from domain.file_name import storage_path
from domain.ports.blobs import Blobs
from domain.ports.database import Db
from projections import exports
from projections.exports import PartRow
from workers.exports.archive import PIECE_BYTES, Fragment, Member, pieces
from workers.exports.conversation import Room
from workers.exports.gathering import Place

PART_BYTES = 32 * 1024**2
BLOB_CHARS = 64
# A row refers to the bytes as soon as they are there, and the sweeper passes over what came in the last ten minutes (`SWEEP_AGE_SECONDS`).
HOLD_SECONDS = 600.0


class TakenOverError(Exception):
    """Another worker makes this export: this one was taken for dead."""


class Counts(Struct, frozen=True):
    """What is in a package, or a part of it."""

    messages: int = 0
    versions: int = 0
    deleted: int = 0
    reactions: int = 0
    happenings: int = 0
    attachments: int = 0
    missing: int = 0
    erased: int = 0
    proofs: int = 0
    rooms: int = 0

    def plus(self, other: "Counts") -> "Counts":
        return Counts(*(getattr(self, each) + getattr(other, each) for each in self.__struct_fields__))


class Lengths(NamedTuple):
    """How many bytes each section of a part has."""

    package: int
    slack: int
    members: int
    slack_members: int
    rooms: int


class Growing:
    """A part that is being written, in files without names."""

    def __init__(self) -> None:
        self.package, self.slack = Fragment(_file()), Fragment(_file())
        self.rooms: list[Room] = []
        self.counts = Counts()

    @property
    def size(self) -> int:
        return self.package.size + self.slack.size

    def sections(self) -> Iterator[Iterator[bytes]]:
        """Yield the pieces of each section."""
        for fragment in (self.package, self.slack):
            fragment.file.seek(0)
            yield pieces(fragment.file)
        for lines in (self.package.members, self.slack.members, self.rooms):
            yield (msgspec.json.encode(line) + b"\n" for line in lines)

    def close(self) -> None:
        self.package.file.close()
        self.slack.file.close()


class Part(NamedTuple):
    """A finished part whose bytes are on this machine."""

    path: Path
    lengths: Lengths

    def stretch(self, *, slack: bool) -> Iterator[bytes]:
        """Yield the bytes of its stretch of the package, or of the Slack archive."""
        with self.path.open("rb") as file:
            file.seek(self.lengths.package if slack else 0)
            yield from pieces(file, self.lengths.slack if slack else self.lengths.package)

    def members(self, *, slack: bool) -> Iterator[Member]:
        """Yield the directory of that stretch."""
        start = sum(self.lengths[: 3 if slack else 2])
        for line in self._lines(start, self.lengths[3 if slack else 2]):
            yield msgspec.json.decode(line, type=Member)

    def rooms(self) -> Iterator[Room]:
        for line in self._lines(sum(self.lengths[:4]), self.lengths.rooms):
            yield msgspec.json.decode(line, type=Room)

    def _lines(self, start: int, size: int) -> Iterator[bytes]:
        with self.path.open("rb") as file:
            file.seek(start)
            while file.tell() < start + size:
                yield file.readline()


class Store:
    """The parts of one export, and its package, in the blob store."""

    def __init__(self, export_id: UUID, db: Db, blobs: Blobs, leases: BlobLeases) -> None:
        self._export_id = export_id
        self._db = db
        self._blobs = blobs
        self._leases = leases
        self._staged: list[Path] = []

    async def rows(self) -> list[PartRow]:
        return await exports.parts(self._db, self._export_id)

    def write(self, growing: Growing) -> tuple[Path, str, Lengths]:
        """Write a part into the staging folder; return its file, its hash, and its sections. Blocks."""
        path, digest, lengths = self.staged(), sha256(), []
        with path.open("wb") as file:
            for section in growing.sections():
                before = file.tell()
                for piece in section:
                    digest.update(piece)
                    file.write(piece)
                lengths.append(file.tell() - before)
        growing.close()
        return path, digest.hexdigest(), Lengths(*lengths)

    async def finish(self, number: int, path: Path, blob: str, lengths: Lengths, place: Place, counts: Counts) -> None:
        """Put a part into the store, and note it. Raise `TakenOverError`."""
        await self.put(blob, path)
        encoded = [msgspec.json.encode(each).decode() for each in (place, counts, lengths)]
        if not await exports.add_part(self._db, PartRow(self._export_id, number, storage_path(blob), *encoded)):
            raise TakenOverError

    async def put(self, blob: str, path: Path) -> None:
        """Put a staged file into the store, held until what refers to it is written."""
        await self._leases.hold([blob], seconds=HOLD_SECONDS)
        await self._blobs.put(blob, path)

    @asynccontextmanager
    async def part(self, row: PartRow) -> AsyncIterator[Part]:
        """Have the bytes of a part on this machine within the block."""
        lengths = msgspec.json.decode(row.lengths, type=Lengths)
        async with self._blobs.local(row.storage_path[-BLOB_CHARS:]) as path:
            yield Part(path, lengths)

    def staged(self) -> Path:
        """Return the name of a new file in the staging folder."""
        self._staged.append(self._blobs.staging() / f"export-{os.getpid()}-{uuid4().hex}")
        return self._staged[-1]

    def clear(self) -> None:
        """Remove what was staged and not put: it is not encrypted, and may hold words that are erased."""
        for path in self._staged:
            path.unlink(missing_ok=True)


def place_of(row: PartRow) -> Place:
    return msgspec.json.decode(row.place, type=Place)


def counts_of(row: PartRow) -> Counts:
    return msgspec.json.decode(row.counts, type=Counts)


def hashed(path: Path) -> str:
    """Return the SHA-256 of a file. Blocks."""
    digest = sha256()
    with path.open("rb") as file:
        while piece := file.read(PIECE_BYTES):
            digest.update(piece)
    return digest.hexdigest()


def _file() -> BinaryIO:
    return TemporaryFile()
