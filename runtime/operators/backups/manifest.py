"""The manifests of a backup: of which record it is and up to where, by what it was made, and the size and hash of each file.

A backup is two folders, because its keys are kept apart: the record's, and that of the keys. Each has a manifest, which is
written last and names every other file: a folder without one was broken off, and is no backup.
"""

import asyncio
import json
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from typing import Literal, TypeVar
from uuid import UUID

import msgspec
from msgspec import Struct

from adapters.notary.memory import write_whole
from adapters.postgres.record_topics import TopicCount
from domain.errors import ReadableError
from runtime.migrate import AppliedMigration

MANIFEST = "manifest.json"
CHUNK_BYTES = 1024 * 1024
FORMAT = 1  # of the folders and of this file; another one will have another number


class BackupRefusedError(ReadableError):
    """Nothing was backed up, or nothing restored; the sentence says why, and what to do."""


class File(Struct, frozen=True):
    """A file below the folder, by its path from there."""

    path: str
    size: int
    sha256: str


class Migrated(Struct, frozen=True):
    """A migration that the database had."""

    number: int
    sha256: str


class Stored(Struct, frozen=True):
    """Where the deployment's files are: `copied` into the backup, `listed` by name and size, or only named (`elsewhere`)."""

    how: Literal["copied", "listed", "elsewhere"]
    where: str
    count: int = 0
    size: int = 0


class Manifest(Struct, frozen=True, kw_only=True):
    """What the record's folder holds: the first `position` events of `record`, with the `root` of their tree (hexadecimal).

    `checkpoint` is the newest that the notary had signed of them, whatever it says. `table_bytes` is what the tables took in
    Postgres, with their indexes.
    """

    kind: Literal["record"] = "record"
    format: int = FORMAT
    backup: UUID
    record: UUID
    position: int
    root: str
    recorded_at: datetime
    checkpoint: str | None
    hansard: str
    postgres: str
    pg_dump: str
    migrations: tuple[Migrated, ...]
    topics: tuple[TopicCount, ...]
    table_bytes: int
    blobs: Stored
    began_at: datetime
    seconds: float
    files: tuple[File, ...]

    @property
    def applied(self) -> dict[int, str]:
        """The hashes of the database's migrations, by number."""
        return {each.number: each.sha256 for each in self.migrations}


class Sample(Struct, frozen=True):
    """Something that the master key wrapped (hexadecimal), to tell the right one by before anything is restored."""

    name: str
    wrapped: str


class KeysManifest(Struct, frozen=True, kw_only=True):
    """What the folder of the keys holds: the wrapped data keys of `record`, as they were at `position`."""

    kind: Literal["keys"] = "keys"
    format: int = FORMAT
    backup: UUID
    record: UUID
    position: int
    samples: tuple[Sample, ...]
    destroyed: int
    pg_dump: str
    began_at: datetime
    files: tuple[File, ...]


Any_co = TypeVar("Any_co", Manifest, KeysManifest)


def write(folder: Path, manifest: Manifest | KeysManifest) -> None:
    """Write a manifest, whole or not at all; it is on the disk when this returns."""
    write_whole(folder / MANIFEST, json.dumps(msgspec.to_builtins(manifest), indent=2) + "\n")


def read(folder: Path, kind: type[Any_co]) -> Any_co:
    """Read the manifest of a folder. Raise `BackupRefusedError` if it is no such backup, or none that this release knows."""
    try:
        text = (folder / MANIFEST).read_bytes()
    except FileNotFoundError:
        broken_off = folder.is_dir() and any(folder.iterdir())
        why = "it was broken off, or is something else" if broken_off else "there is nothing"
        raise BackupRefusedError(f"{folder} is no backup: {why}, as it has no {MANIFEST}.") from None
    try:
        if msgspec.json.decode(text, type=_Format).format != FORMAT:
            raise BackupRefusedError(f"{folder} was made by a later release: restore it with that one, or a newer one.")
        return msgspec.json.decode(text, type=kind)
    except msgspec.MsgspecError as error:
        raise BackupRefusedError(f"{folder / MANIFEST} is not what a backup wrote ({error}).") from None


def files_below(folder: Path) -> list[Path]:
    """Return all files of a folder but its manifest, in order."""
    return sorted(path for path in folder.rglob("*") if path.is_file() and path != folder / MANIFEST)


def sha256_of(path: Path) -> str:
    """Return the hash of a file, in hexadecimal."""
    digest = sha256()
    with path.open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


def hashed(folder: Path, paths: Sequence[Path], progress: Callable[[int, int], None]) -> tuple[File, ...]:
    """Hash files. `progress` is told how many bytes are done, of how many."""
    total, done = sum(path.stat().st_size for path in paths), 0
    found = []
    for path in paths:
        size = path.stat().st_size
        found.append(File(str(path.relative_to(folder)), size, sha256_of(path)))
        done += size
        progress(done, total)
    return tuple(found)


async def check_files(folder: Path, manifest: Manifest | KeysManifest, progress: Callable[[int, int], None]) -> None:
    """Hash every file of a backup again. Raise `BackupRefusedError`, which names the first that is not as it was."""
    if fault := next(_missing(folder, manifest), None):
        raise BackupRefusedError(fault)
    paths = [folder / file.path for file in manifest.files]
    found = await asyncio.to_thread(hashed, folder, paths, progress)
    for file, now in zip(manifest.files, found, strict=True):
        if file != now:
            raise BackupRefusedError(
                f"{folder / file.path} is not what was backed up: its hash (SHA-256) is another. Take another backup."
            )


def _missing(folder: Path, manifest: Manifest | KeysManifest) -> Iterator[str]:
    """Give a sentence for each file that is missing, has another size, or lies outside."""
    for file in manifest.files:
        path = folder / file.path
        if not path.resolve().is_relative_to(folder.resolve()):
            yield f"{folder / MANIFEST} names a file outside of its folder ({file.path}): this is no backup of ours."
        elif not path.is_file():
            yield f"{path} is missing: this backup is not whole. Take another one."
        elif path.stat().st_size != file.size:
            yield f"{path} has {path.stat().st_size:,} bytes, and {file.size:,} were backed up. Take another backup."


class _Format(Struct):
    format: int


def migrated(applied: Sequence[AppliedMigration]) -> tuple[Migrated, ...]:
    return tuple(Migrated(each.number, each.sha256) for each in applied)
