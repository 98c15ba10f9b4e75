"""`hansard verify EXPORT`: holds an export against its own manifest and the tree that was signed. 0 whole, 1 altered, 2 it cannot be
judged. It needs no server and no database; whoever has not even this program takes `clients/verify/hansard_verify.py`, which says the
same.
"""

import zipfile
from base64 import b64decode
from collections.abc import Iterator
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple
from uuid import UUID

import msgspec
from msgspec import Struct

from adapters.notary.key import NoteForgedError, verified
from domain.leaf import EventRow, entry_of
from domain.merkle import includes, leaf_hash
from domain.tree_head import NoteUnreadableError, TreeHead, VerifierKey, read_key

PIECE_BYTES = 1 << 20
FORMAT = "hansard export v1"


class AlteredError(Exception):
    """Something contradicts what was signed, or the manifest."""


class NotJudgedError(Exception):
    """There is not enough, or nothing readable, to judge by."""


class Member(Struct):
    path: str
    bytes: int
    sha256: str


class Form(Struct):
    format: str


class Manifest(Struct):
    format: str
    origin: str
    counts: dict[str, int]
    members: list[Member]


class Row(Struct):
    """A line of `proofs/`."""

    position: int
    stream: UUID
    version: int
    topic: str
    data: str
    meta: str
    room_id: UUID | None
    recorded_at: datetime
    hashes: list[str]


class Proved(NamedTuple):
    at: datetime
    message_id: str | None


def is_export(path: Path) -> bool:
    """Return whether a file is an export, and not a record in a file. Blocks."""
    try:
        with zipfile.ZipFile(path) as package:
            return msgspec.json.decode(package.read("manifest.json"), type=Form).format == FORMAT
    except (OSError, KeyError, zipfile.BadZipFile, msgspec.DecodeError):
        return False


def judge(path: Path, key_text: str) -> tuple[int, str]:
    """Return the exit code and what to say. Blocks."""
    try:
        with zipfile.ZipFile(path) as package:
            return 0, _verify(package, read_key(key_text))
    except (AlteredError, NoteForgedError) as error:
        return 1, str(error)
    except (NotJudgedError, NoteUnreadableError, OSError, KeyError, ValueError, zipfile.BadZipFile) as error:
        return 2, f"{path} cannot be judged: {error}"


def _verify(package: zipfile.ZipFile, key: VerifierKey) -> str:
    manifest = msgspec.json.decode(package.read("manifest.json"), type=Manifest)
    if manifest.format != FORMAT or "checkpoint.txt" not in package.namelist():
        raise NotJudgedError("it is no export, or nothing of its record was signed when it was made")
    note = package.read("checkpoint.txt").decode()
    if key.name != manifest.origin:
        raise NotJudgedError(f"it is of {manifest.origin}, and the key is that of {key.name}")
    if f" {key.name} " not in note or not _is_signed_by(note, key):
        raise NotJudgedError("its checkpoint bears no signature of this key")
    head = verified(note, key)
    _verify_members(package, manifest)
    proved = _proved(package, head)
    shown = _shown(package, proved)
    expected = manifest.counts["versions"] + manifest.counts["happenings"]
    if len(proved) != manifest.counts["proofs"] or shown not in (None, expected):
        raise AlteredError("There are more or fewer events in the package than its manifest counts.")
    messages = manifest.counts["messages"]
    return f"{messages:,} messages of {manifest.origin}, whose {len(proved):,} events are as they were signed, by {key}"


def _is_signed_by(note: str, key: VerifierKey) -> bool:
    lines = note.rpartition("\n\n")[2].splitlines()
    return any(b64decode(line.rpartition(" ")[2])[:4] == key.key_id for line in lines)


def _verify_members(package: zipfile.ZipFile, manifest: Manifest) -> None:
    if sorted(package.namelist()) != sorted([*(member.path for member in manifest.members), "manifest.json"]):
        raise AlteredError("The package has other members than its manifest names.")
    for member in manifest.members:
        digest = sha256()
        with package.open(member.path) as content:
            while piece := content.read(PIECE_BYTES):
                digest.update(piece)
        if digest.hexdigest() != member.sha256:
            raise AlteredError(f"{member.path} is not what the manifest names: its SHA-256 is {digest.hexdigest()}.")


def _proved(package: zipfile.ZipFile, head: TreeHead) -> dict[int, Proved]:
    found: dict[int, Proved] = {}
    for _, line in _lines(package, "proofs/"):
        row = msgspec.json.decode(line, type=Row)
        data, meta = b64decode(row.data), b64decode(row.meta)
        stored = EventRow(row.position, row.stream, row.version, row.topic, data, meta, row.room_id, row.recorded_at)
        hashes = [b64decode(each) for each in row.hashes]
        if not includes(leaf_hash(entry_of(stored)), row.position - 1, head.size, hashes, head.root):
            raise AlteredError(f"The event at position {row.position} is not the one that was signed.")
        found[row.position] = Proved(row.recorded_at, msgspec.json.decode(data).get("message_id"))
    return found


def _shown(package: zipfile.ZipFile, proved: dict[int, Proved]) -> int | None:
    """Return how many events the JSON Lines show, each of them proved; None if the package has none."""
    count, is_there = 0, False
    for name, line in _lines(package, "jsonl/"):
        is_there, item = True, msgspec.json.decode(line)
        versions: list[dict[str, Any]] = item.get("versions", [item])
        for version in versions:
            told = Proved(datetime.fromisoformat(version["at"]), item.get("message_id"))
            if proved.get(version["position"]) != told:
                raise AlteredError(f"{name} has something at position {version['position']} that is not proved.")
        count += len(versions)
    return count if is_there else None


def _lines(package: zipfile.ZipFile, folder: str) -> Iterator[tuple[str, bytes]]:
    for name in package.namelist():
        if name.startswith(folder):
            with package.open(name) as lines:
                for line in lines:
                    yield name, line
