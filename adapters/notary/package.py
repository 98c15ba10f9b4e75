"""Packages: a record, or a part of it, in a ZIP that verifies anywhere, with no database (docs/record-format.md).

`hansard.json` says what it is, `checkpoint` and `checkpoints/*` are signed notes, `rotations.json` what bound the keys to each
other, `events.jsonl` the events, one a line, with what they were hashed as; a part of a record has an inclusion proof an event.
"""

import json
from base64 import b64decode, b64encode
from binascii import Error as NotBase64Error
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple
from uuid import UUID
from zipfile import ZIP_DEFLATED, BadZipFile, ZipFile, ZipInfo

from domain.key_rotation import Rotation
from domain.leaf import EventRow

FORMAT = "hansard package v1"
ABOUT, CHECKPOINT, CHECKPOINTS, ROTATIONS, ENTRIES, EVENTS = (
    "hansard.json", "checkpoint", "checkpoints/", "rotations.json", "entries", "events.jsonl",
)  # fmt: skip
BEGINNING_OF_ZIP = (1980, 1, 1, 0, 0, 0)  # so that the same record makes the same bytes
LINE_BYTES_MAX = 64 * 1024 * 1024


class PackageUnreadableError(Exception):
    """This is no package, or a part of it cannot be read."""


class PackagedEvent(NamedTuple):
    """An event, and the hashes of its inclusion proof; none in a package of a whole record."""

    row: EventRow
    proof: list[bytes]


class Contents(NamedTuple):
    """What a package holds beside its events."""

    origin: str
    size: int
    is_whole: bool
    checkpoint: str
    witnessed: list[str]
    rotations: list[Rotation]


class PackageWriter:
    """A package that is written, event by event, in their order. Use it as a context."""

    def __init__(self, path: Path, contents: Contents, entries: bytes = b"") -> None:
        """`entries` are those that were signed, of a whole record. Raise `OSError`."""
        about = {"format": FORMAT, "origin": contents.origin, "size": contents.size, "whole": contents.is_whole}
        rotations = [each._asdict() for each in contents.rotations]
        self._file = ZipFile(path, "w", ZIP_DEFLATED)
        _put(self._file, ABOUT, json.dumps(about) + "\n")
        _put(self._file, CHECKPOINT, contents.checkpoint)
        for number, note in enumerate(contents.witnessed):
            _put(self._file, f"{CHECKPOINTS}{number:04d}", note)
        _put(self._file, ROTATIONS, json.dumps(rotations, ensure_ascii=False) + "\n")
        if entries:
            self._file.writestr(_entry(ENTRIES), entries)
        self._lines = self._file.open(_entry(EVENTS), "w", force_zip64=True)

    def __enter__(self) -> "PackageWriter":
        return self

    def __exit__(self, *_: object) -> None:
        self._lines.close()
        self._file.close()

    def add(self, event: PackagedEvent) -> None:
        self._lines.write((json.dumps(_told(event), ensure_ascii=False) + "\n").encode())


class Package:
    """A package that is read. Use it as a context."""

    def __init__(self, path: Path) -> None:
        """Raise `PackageUnreadableError` or `OSError`."""
        try:
            self._file = ZipFile(path)
            about = json.loads(self._text(ABOUT))
            if about["format"] != FORMAT:
                raise PackageUnreadableError(f"{path} is a package of another format: {about['format']}.")
            witnessed = sorted(name for name in self._file.namelist() if name.startswith(CHECKPOINTS))
            self.contents = Contents(
                str(about["origin"]),
                int(about["size"]),
                bool(about["whole"]),
                self._text(CHECKPOINT),
                [self._text(name) for name in witnessed],
                [Rotation(int(each["position"]), str(each["note"])) for each in json.loads(self._text(ROTATIONS))],
            )
        except (BadZipFile, KeyError, TypeError, ValueError) as error:
            raise PackageUnreadableError(f"{path} is no package of a Hansard record ({error}).") from None

    def __enter__(self) -> "Package":
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def events(self) -> Iterator[PackagedEvent]:
        """Yield the events in the order in which they are kept. Raise `PackageUnreadableError`."""
        with self._file.open(EVENTS) as lines:
            for number, line in enumerate(iter(lambda: lines.readline(LINE_BYTES_MAX), b""), 1):
                try:
                    yield _read(json.loads(line))
                except (KeyError, TypeError, ValueError, NotBase64Error) as error:
                    raise PackageUnreadableError(f"Line {number} of {EVENTS} cannot be read ({error!r}).") from None

    def entries(self) -> bytes:
        """Return the entries that were signed, 32 bytes each; b"" where there are none."""
        return self._file.read(ENTRIES) if ENTRIES in self._file.namelist() else b""

    def _text(self, name: str) -> str:
        return self._file.read(name).decode()


def _entry(name: str) -> ZipInfo:
    entry = ZipInfo(name, BEGINNING_OF_ZIP)
    entry.compress_type = ZIP_DEFLATED
    return entry


def _put(file: ZipFile, name: str, text: str) -> None:
    file.writestr(_entry(name), text)


def _told(event: PackagedEvent) -> dict[str, object]:
    row = event.row
    told: dict[str, object] = {
        "position": row.position,
        "stream": str(row.stream),
        "version": row.version,
        "topic": row.topic,
        "data": b64encode(row.data).decode(),
        "meta": b64encode(row.meta).decode(),
        "room_id": None if row.room_id is None else str(row.room_id),
        "recorded_at": row.recorded_at.astimezone(UTC).isoformat(),
    }
    return {**told, "proof": _hashes(event.proof)} if event.proof else told


def _hashes(proof: Sequence[bytes]) -> list[str]:
    return [b64encode(each).decode() for each in proof]


def _read(told: dict[str, object]) -> PackagedEvent:
    room, proof = told["room_id"], told.get("proof", [])
    row = EventRow(
        int(str(told["position"])),
        UUID(str(told["stream"])),
        int(str(told["version"])),
        str(told["topic"]),
        b64decode(str(told["data"]), validate=True),
        b64decode(str(told["meta"]), validate=True),
        None if room is None else UUID(str(room)),
        datetime.fromisoformat(str(told["recorded_at"])),
    )
    if not isinstance(proof, list):
        raise TypeError("a proof is a list")
    return PackagedEvent(row, [b64decode(str(each), validate=True) for each in proof])
