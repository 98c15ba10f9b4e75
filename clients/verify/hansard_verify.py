"""Verifies what a Hansard record proves, with the standard library alone. Written from docs/record-format.md.

Exit codes: 0 everything holds, 1 something was altered, 2 it cannot be judged.
"""

import argparse
import json
import os
import re
import sys
import urllib.error
import urllib.request
import zipfile
from base64 import b64decode, b64encode
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta, timezone
from hashlib import sha256, sha512
from pathlib import Path
from typing import Any, NamedTuple
from uuid import UUID
from zipfile import BadZipFile, ZipFile

WHOLE, ALTERED, NOT_JUDGED = 0, 1, 2
PREFIX = b"hansard event v1\n"
EPOCH = datetime(2000, 1, 1, tzinfo=timezone.utc)  # noqa: UP017 – as a page of any Python says it
BUNDLE = 256
ANSWER_BYTES_MAX = 1 << 20


class AlteredError(Exception):
    """Something contradicts what was signed."""


class NotJudgedError(Exception):
    """There is not enough, or nothing readable, to judge by."""


# Events


def entry_of(row: dict[str, Any]) -> bytes:
    """Return the entry of an event: of its eight fields, data and meta as bytes."""
    ago = datetime.fromisoformat(row["recorded_at"]) - EPOCH
    fields = [
        int(row["position"]).to_bytes(8, "big", signed=True),
        UUID(row["stream"]).bytes,
        int(row["version"]).to_bytes(4, "big", signed=True),
        str(row["topic"]).encode(),
        bytes(row["data"]),
        bytes(row["meta"]),
        UUID(row["room_id"]).bytes if row["room_id"] else None,
        (ago // timedelta(microseconds=1)).to_bytes(8, "big", signed=True),
    ]
    row_bytes = b"\x00\x08"
    for field in fields:
        row_bytes += b"\xff\xff\xff\xff" if field is None else len(field).to_bytes(4, "big") + field
    return sha256(PREFIX + row_bytes).digest()


# The tree


def leaf_of(entry: bytes) -> bytes:
    return sha256(b"\x00" + entry).digest()


def node_of(left: bytes, right: bytes) -> bytes:
    return sha256(b"\x01" + left + right).digest()


class Tree:
    """A tree that grows: it keeps one root for each power of two in its size."""

    def __init__(self) -> None:
        self.size = 0
        self._roots: list[tuple[int, bytes]] = []  # how many leaves, and their root; the larger first

    def append(self, entry: bytes) -> None:
        self._roots.append((1, leaf_of(entry)))
        self.size += 1
        while len(self._roots) > 1 and self._roots[-1][0] == self._roots[-2][0]:
            (count, right), (_, left) = self._roots.pop(), self._roots.pop()
            self._roots.append((2 * count, node_of(left, right)))

    def root(self) -> bytes:
        if not self._roots:
            return sha256(b"").digest()
        *others, (_, root) = self._roots
        for _, left in reversed(others):
            root = node_of(left, root)
        return root


def root_by_proof(entry: bytes, index: int, size: int, hashes: Sequence[bytes]) -> bytes | None:
    """Return the root to which an inclusion proof leads; None where it has too few or too many hashes."""
    if not 0 <= index < size:
        return None
    found, rest = leaf_of(entry), list(hashes)

    def above(index: int, size: int) -> bytes:
        if size == 1:
            return found
        half = 1 << (size - 1).bit_length() - 1
        mine = above(index, half) if index < half else above(index - half, size - half)
        other = rest.pop(0)
        return node_of(mine, other) if index < half else node_of(other, mine)

    try:
        root = above(index, size)
    except IndexError:
        return None
    return None if rest else root


# Signed notes


class Key(NamedTuple):
    name: str
    number: bytes
    public: bytes


class Checkpoint(NamedTuple):
    origin: str
    size: int
    root: bytes


def read_key(text: str) -> Key:
    name, _, rest = text.strip().partition("+")
    number, _, encoded = rest.partition("+")
    key = unarmoured(encoded)
    if not name or len(key) != 33 or key[0] != 1 or sha256(name.encode() + b"\n" + key).hexdigest()[:8] != number:
        raise NotJudgedError("This is no Ed25519 key as C2SP signed notes write them, or it was not copied whole.")
    return Key(name, bytes.fromhex(number), key[1:])


def read_checkpoint(note: str, key: "Key | Keys") -> Checkpoint:
    """Return what a note says that this key has signed. Raise `AlteredError` where the signature is none of its own.

    Of the keys of a record it is the one in force at the checkpoint's size.
    """
    parts = note.rpartition("\n\n")[0].split("\n")
    if "\n\n" not in note or len(parts) < 3 or not re.fullmatch(r"0|[1-9]\d{0,18}", parts[1]):
        raise NotJudgedError("This is no signed checkpoint.")
    found = Checkpoint(parts[0], int(parts[1]), unarmoured(parts[2]))
    keys = key if isinstance(key, Keys) else Keys([(0, key)])
    if found.origin != keys.of[0][1].name:
        raise NotJudgedError(f"This checkpoint is of {found.origin}; the key is that of {keys.of[0][1].name}.")
    due = keys.at(found.size)
    others = [other for _, other in keys.of if other != due]
    if not signed_by(note, due):
        if any(signed_by(note, other) for other in others):
            raise AlteredError(f"A tree of {found.size} events is signed by a key that was not in force there.")
        raise NotJudgedError("This checkpoint bears no signature of this key.")
    return found


def signed_by(note: str, key: Key) -> bool:
    """Return whether a note bears this key's signature. Raise `AlteredError` where it is not of the note's text."""
    text, _, lines = note.rpartition("\n\n")
    signatures = [line.split(" ") for line in lines.splitlines()]
    ours = [unarmoured(parts[2]) for parts in signatures if len(parts) == 3 and parts[:2] == ["—", key.name]]
    ours = [signed for signed in ours if signed[:4] == key.number]
    if not all(verifies(key.public, (text + "\n").encode(), signed[4:]) for signed in ours):
        raise AlteredError("The signature under the checkpoint is not of its text.")
    return bool(ours)


class Keys:
    """The keys of a record, each with the position from which on it is in force; the first from 0."""

    def __init__(self, of: list[tuple[int, Key]]) -> None:
        self.of = of

    def at(self, size: int) -> Key:
        return next(key for since, key in reversed(self.of) if since <= size)


def keys_of(trusted: Key, rotations: Sequence[tuple[int, str]]) -> Keys:
    """Return the keys that are bound to one that is trusted, by statements that two of them have signed."""
    known = []
    for position, note in rotations:
        lines = note.rpartition("\n\n")[0].split("\n")
        try:
            if len(lines) == 4 and lines[:2] == ["hansard key rotation v1", trusted.name]:
                before, after = read_key(lines[2]), read_key(lines[3])
                if before.name == after.name == trusted.name and signed_by(note, before) and signed_by(note, after):
                    known.append((position, before, after))
        except (AlteredError, NotJudgedError):
            continue
    key, later = trusted, list[tuple[int, Key]]()
    for position, before, after in reversed(known):
        if after == key:
            later.insert(0, (position, key))
            key = before
    found = [(0, key), *later]
    for position, before, after in known:
        if before == found[-1][1] and position > found[-1][0]:
            found.append((position, after))
    return Keys(found)


def told_keys(trusted: Key, path: Path | None) -> "Key | Keys":
    """Return what a file from /.well-known/hansard-keys adds to the key that is trusted."""
    if path is None:
        return trusted
    try:
        told = json.loads(path.read_text())["rotations"]
        return keys_of(trusted, [(int(each["position"]), str(each["note"])) for each in told])
    except (ValueError, KeyError, TypeError):
        raise NotJudgedError(f"{path} is not what /.well-known/hansard-keys answers.") from None


def cosigned_at(note: str, witness: str) -> int:
    """Return when a witness cosigned a note (C2SP tlog-cosignature v1). Raise `NotJudgedError` where it has not."""
    name, _, rest = witness.strip().partition("+")
    number, _, encoded = rest.partition("+")
    key = unarmoured(encoded)
    if len(key) != 33 or key[0] != 4 or sha256(name.encode() + b"\n" + key).hexdigest()[:8] != number:
        raise NotJudgedError("This is no key of a witness as C2SP tlog-cosignature writes them.")
    text, _, lines = note.rpartition("\n\n")
    for parts in (line.split(" ") for line in lines.splitlines()):
        if len(parts) == 3 and parts[:2] == ["—", name] and unarmoured(parts[2])[:4].hex() == number:
            signed = unarmoured(parts[2])[4:]
            at = int.from_bytes(signed[:8], "big")
            if not verifies(key[1:], f"cosignature/v1\ntime {at}\n{text}\n".encode(), signed[8:]):
                raise AlteredError(f"The cosignature of {name} is not of this checkpoint.")
            return at
    raise NotJudgedError(f"{name} has not cosigned this checkpoint.")


def unarmoured(text: str) -> bytes:
    """Return the bytes of Base64 as it is written: the same bytes in other characters (RFC 4648, 3.5) are refused."""
    try:
        found = b64decode(text, validate=True)
    except ValueError:
        found = b""
    if b64encode(found).decode() != text:
        raise NotJudgedError("Something that should be Base64 is none.")
    return found


# Ed25519 (RFC 8032, 5.1). Slow, and nothing secret goes through it: it verifies.

P = 2**255 - 19
ORDER = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, -1, P) % P
ROOT_OF_MINUS_1 = pow(2, (P - 1) // 4, P)
Point = tuple[int, int, int, int]


def add(a: Point, b: Point) -> Point:
    e, f = (a[1] - a[0]) * (b[1] - b[0]) % P, (a[1] + a[0]) * (b[1] + b[0]) % P
    g, h = 2 * a[3] * b[3] * D % P, 2 * a[2] * b[2] % P
    x, y, z, t = f - e, h - g, h + g, f + e
    return x * y % P, z * t % P, y * z % P, x * t % P


def times(number: int, point: Point) -> Point:
    found: Point = (0, 1, 1, 0)
    while number:
        if number & 1:
            found = add(found, point)
        point, number = add(point, point), number >> 1
    return found


def point_of(encoded: bytes) -> Point | None:
    y, sign = int.from_bytes(encoded, "little") & (1 << 255) - 1, encoded[31] >> 7
    if y >= P:
        return None
    square = (y * y - 1) * pow(D * y * y + 1, -1, P) % P
    x = pow(square, (P + 3) // 8, P)
    if (x * x - square) % P:
        x = x * ROOT_OF_MINUS_1 % P
    if (x * x - square) % P or (x == 0 and sign):
        return None
    x = P - x if x & 1 != sign else x
    return x, y, 1, x * y % P


BASE = point_of((4 * pow(5, -1, P) % P).to_bytes(32, "little"))


def verifies(public: bytes, message: bytes, signature: bytes) -> bool:
    """Return whether an Ed25519 signature is this key's over this message."""
    if len(public) != 32 or len(signature) != 64:
        return False
    a, r, s = point_of(public), point_of(signature[:32]), int.from_bytes(signature[32:], "little")
    if a is None or r is None or s >= ORDER:
        return False
    challenge = int.from_bytes(sha512(signature[:32] + public + message).digest(), "little") % ORDER
    assert BASE is not None
    left, right = times(s, BASE), add(r, times(challenge, a))
    return not ((left[0] * right[2] - right[0] * left[2]) % P or (left[1] * right[2] - right[1] * left[2]) % P)


# What is verified


def verify_proof(text: str, key: "Key | Keys", witnesses: Sequence[str] = ()) -> str:
    """Verify a `.tlog-proof`; return what it shows. All of the witnesses must have cosigned it."""
    head, blank, note = text.partition("\n\n")
    found = re.fullmatch(r"c2sp\.org/tlog-proof@v1\nextra (\S+)\nindex (0|[1-9]\d{0,18})((?:\n\S+)*)", head)
    if not blank or found is None:
        raise NotJudgedError("This is no tlog-proof of a Hansard record.")
    entry, index, hashes = unarmoured(found[1]), int(found[2]), [unarmoured(line) for line in found[3].split()]
    checkpoint = read_checkpoint(note, key)
    if root_by_proof(entry, index, checkpoint.size, hashes) != checkpoint.root:
        raise AlteredError("The proof does not lead to the root that was signed.")
    return (
        f"Position {index + 1} of {checkpoint.origin} is an event whose entry is {entry.hex()},\n"
        f"in the tree of {checkpoint.size} events that the notary has signed." + cosigners_of(note, witnesses)
    )


def cosigners_of(note: str, witnesses: Sequence[str]) -> str:
    """Say when each witness cosigned a note. Raise unless all of them have."""
    lines = []
    for witness in witnesses:
        at = datetime.fromtimestamp(cosigned_at(note, witness), timezone.utc)  # noqa: UP017
        lines.append(f"\n{witness.partition('+')[0]} cosigned it at {at.isoformat()}.")
    return "".join(lines)


def verify_package(path: Path, key: Key, known: Sequence[Path], witnesses: Sequence[str]) -> str:
    """Verify a package of a record, whole or a part; `known` are checkpoints of before. Return what it shows."""
    try:
        with ZipFile(path) as package:
            about = json.loads(package.read("hansard.json"))
            told = json.loads(package.read("rotations.json"))
            note = package.read("checkpoint").decode()
            cosigned = [package.read(name).decode() for name in package.namelist() if name.startswith("checkpoints/")]
            entries = package.read("entries") if "entries" in package.namelist() else b""
            if about["format"] != "hansard package v1":
                raise NotJudgedError("This package is of another format.")
            with package.open("events.jsonl") as lines:
                if about["whole"]:
                    return _whole(
                        lines, entries, key, [note, *cosigned, *(each.read_text() for each in known)], witnesses
                    )
                keys = keys_of(key, [(int(each["position"]), str(each["note"])) for each in told])
                return _part(lines, read_checkpoint(note, keys))
    except (BadZipFile, KeyError, TypeError, ValueError) as error:
        raise NotJudgedError(f"{path} is no package of a Hansard record ({error}).") from None


def row_of(line: bytes) -> dict[str, Any]:
    """Return an event of a package, with data and meta as bytes."""
    told: dict[str, Any] = json.loads(line)
    return {**told, "data": b64decode(told["data"], validate=True), "meta": b64decode(told["meta"], validate=True)}


def _part(lines: Iterable[bytes], checkpoint: Checkpoint) -> str:
    count = 0
    for line in lines:
        row, count = row_of(line), count + 1
        hashes = [unarmoured(each) for each in row.get("proof", ())]
        if root_by_proof(entry_of(row), int(row["position"]) - 1, checkpoint.size, hashes) != checkpoint.root:
            raise AlteredError(f"The event at position {row['position']} is not the one that was signed.")
    return f"All {count} events of the package stand in {checkpoint.origin} as its notary has signed them."


def _whole(lines: Iterable[bytes], entries: bytes, key: Key, notes: Sequence[str], witnesses: Sequence[str]) -> str:
    tree, roots, rotations, first = Tree(), dict[int, bytes](), list[tuple[int, str]](), None
    sizes = {int(note.split("\n")[1]) for note in notes}
    for line in lines:
        row = row_of(line)
        entry, place = entry_of(row), tree.size + 1
        if row["topic"].partition("@")[0] == "notary.key_rotated":
            rotations.append((place, json.loads(row["data"])["note"]))
        if first is None and (row["position"] != place or (entries and entries[32 * tree.size : 32 * place] != entry)):
            first = place
        tree.append(entry)
        if tree.size in sizes:
            roots[tree.size] = tree.root()
    keys = keys_of(key, rotations)
    signed = sorted((read_checkpoint(note, keys) for note in notes), key=lambda each: each.size)
    good = 0
    for checkpoint in signed:
        root = roots.get(checkpoint.size)
        if root is None:
            raise AlteredError(
                f"From position {tree.size + 1 if first is None else first} on: the package has {tree.size} events, and {checkpoint.size} were signed."
            )
        if root != checkpoint.root:
            at = f"From position {good + 1} to {checkpoint.size}" if first is None else f"From position {first} on"
            raise AlteredError(f"{at}: the events are not those that were signed.")
        good = checkpoint.size
    return f"All {good} events that were signed are in the package as they were signed." + cosigners_of(
        notes[1] if len(notes) > 1 else notes[0], witnesses
    )


def verify_log(address: str, key: "Key | Keys", seen: Path | None) -> str:
    """Verify a record that is served as tlog-tiles; return what it shows."""
    note = fetched(f"{address}/checkpoint").decode()
    checkpoint = read_checkpoint(note, key)
    before = read_checkpoint(seen.read_text(), key) if seen is not None and seen.exists() else None
    if before is not None and before.size > checkpoint.size:
        raise AlteredError(f"The record had {before.size} events when it was seen last, and has {checkpoint.size} now.")
    tree = Tree()
    for entry in entries(address, checkpoint.size):
        tree.append(entry)
        if before is not None and before.size == tree.size and before.root != tree.root():
            raise AlteredError(f"Something among the first {before.size} events is not what it was when seen last.")
    if tree.root() != checkpoint.root:
        raise AlteredError("The entries that are served are not those that were signed.")
    if seen is not None:
        remember(seen, note)
    return f"All {checkpoint.size} events of {checkpoint.origin} are as the notary has signed them." + (
        f"\nThe first {before.size} are those that were seen here before." if before else ""
    )


def verify_export(path: Path, key: Key) -> str:
    """Verify an export: its members against its manifest, and each event against the tree that was signed."""
    with zipfile.ZipFile(path) as package:
        names = package.namelist()
        manifest = json.loads(package.read("manifest.json"))
        told = {member["path"]: member for member in manifest["members"]}
        if manifest.get("format") != "hansard export v1" or not manifest.get("checkpoint"):
            raise NotJudgedError("This is no export, or nothing of its record was signed when it was made.")
        if sorted(names) != sorted([*told, "manifest.json"]):
            raise AlteredError("The package has other members than its manifest names.")
        for name, member in told.items():
            if (hashed := member_hash(package, name)) != member["sha256"]:
                raise AlteredError(f"{name} is not what the manifest names: its SHA-256 is {hashed}.")
        checkpoint = read_checkpoint(package.read("checkpoint.txt").decode(), key)
        if checkpoint.origin != manifest["origin"]:
            raise AlteredError("The checkpoint is that of another record than the manifest names.")
        proved = verify_rows(package, checkpoint, [name for name in names if name.startswith("proofs/")])
        shown = verify_versions(package, proved, [name for name in names if name.startswith("jsonl/")])
    counts = manifest["counts"]
    if len(proved) != counts["proofs"] or shown not in (None, counts["versions"] + counts["happenings"]):
        raise AlteredError("There are more or fewer events in the package than its manifest counts.")
    return (
        f"All {len(told)} members are as the manifest names them; {counts['messages']} messages of {manifest['origin']},\n"
        f"whose {len(proved)} events are in the tree of {checkpoint.size} events that the notary has signed."
    )


def member_hash(package: zipfile.ZipFile, name: str) -> str:
    digest = sha256()
    with package.open(name) as member:
        while piece := member.read(ANSWER_BYTES_MAX):
            digest.update(piece)
    return digest.hexdigest()


def verify_rows(package: zipfile.ZipFile, checkpoint: Checkpoint, names: Sequence[str]) -> dict[int, tuple[str, str]]:
    """Verify the proof of each event; return when each was recorded, and which message it is of, by position."""
    proved = {}
    for name in names:
        with package.open(name) as lines:
            for line in lines:
                row = json.loads(line)
                row |= {"data": unarmoured(row["data"]), "meta": unarmoured(row["meta"])}
                hashes = [unarmoured(each) for each in row["hashes"]]
                index = int(row["position"]) - 1
                if root_by_proof(entry_of(row), index, checkpoint.size, hashes) != checkpoint.root:
                    raise AlteredError(f"The event at position {row['position']} is not the one that was signed.")
                proved[index + 1] = row["recorded_at"], json.loads(row["data"]).get("message_id", "")
    return proved


def verify_versions(package: zipfile.ZipFile, proved: dict[int, tuple[str, str]], names: Sequence[str]) -> int | None:
    """Hold what is said to what is proved: that each version was recorded then, of that message. None: it is in other formats."""
    count = 0
    for name in names:
        with package.open(name) as lines:
            for line in lines:
                item = json.loads(line)
                for version in item.get("versions", [item]):
                    if proved.get(version["position"]) != (version["at"], item.get("message_id", "")):
                        raise AlteredError(
                            f"{name} has something at position {version['position']} that is not proved."
                        )
                    count += 1
    return count if names else None


def entries(address: str, size: int) -> Iterator[bytes]:
    """Yield the entries of a record of this size, in order."""
    for first in range(0, size, BUNDLE):
        width = min(BUNDLE, size - first)
        digits = f"{first // BUNDLE:03d}"
        digits = digits.zfill(-(-len(digits) // 3) * 3)
        parts = re.findall("...", digits)
        name = "/".join([*("x" + part for part in parts[:-1]), parts[-1]])
        bundle = fetched(f"{address}/tile/entries/{name}" + ("" if width == BUNDLE else f".p/{width}"))
        if len(bundle) != 34 * width or any(bundle[at : at + 2] != b"\x00\x20" for at in range(0, len(bundle), 34)):
            raise AlteredError(f"The bundle of entries from position {first + 1} on is not {width} entries.")
        yield from (bundle[at + 2 : at + 34] for at in range(0, len(bundle), 34))


def fetched(address: str) -> bytes:
    if not address.startswith(("https://", "http://")):
        raise NotJudgedError(f"{address} is no web address.")
    try:
        with urllib.request.urlopen(address, timeout=30) as answer:  # noqa: S310 – http(s), see above
            body: bytes = answer.read(ANSWER_BYTES_MAX)
    except (urllib.error.URLError, OSError) as error:
        raise NotJudgedError(f"{address} does not answer: {error}") from None
    return body


def remember(path: Path, note: str) -> None:
    draft = path.with_name(path.name + ".draft")
    draft.write_text(note)
    os.replace(draft, path)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="hansard-verify", description="Verify what a Hansard record proves.")
    parser.add_argument(
        "what",
        choices=("proof", "log", "package", "export"),
        help="a receipt, a record that is served, a record in a file, an export",
    )
    parser.add_argument("where", help="the file, or the address under which checkpoint and tiles are")
    parser.add_argument("--key", required=True, help="the record's key, from somebody whom you trust")
    parser.add_argument("--seen", type=Path, help="with log: a file that remembers the checkpoint that was seen last")
    parser.add_argument(
        "--keys", type=Path, help="what /.well-known/hansard-keys answered: keys that followed, or went before"
    )
    parser.add_argument(
        "--checkpoint", type=Path, action="append", default=[], help="with package: one of before; may be repeated"
    )
    parser.add_argument(
        "--witness", action="append", default=[], help="a witness's key that must have cosigned; may be repeated"
    )
    parser.add_argument("--json", action="store_true", help="print the answer as JSON")
    asked = parser.parse_args(arguments)
    code, said = judged(asked)
    verdict = ("whole", "altered", "not judged")[code]
    print(json.dumps({"verdict": verdict, "detail": said}) if asked.json else f"{verdict}: {said}")  # noqa: T201
    sys.exit(code)


def judged(asked: argparse.Namespace) -> tuple[int, str]:
    """Return the exit code and what to say."""
    try:
        key = read_key(asked.key)
        if asked.what == "package":
            return WHOLE, verify_package(Path(asked.where), key, asked.checkpoint, asked.witness)
        keys = told_keys(key, asked.keys)
        if asked.what == "proof":
            return WHOLE, verify_proof(Path(asked.where).read_text(), keys, asked.witness)
        if asked.what == "export":
            return WHOLE, verify_export(Path(asked.where), key)
        return WHOLE, verify_log(asked.where.rstrip("/"), keys, asked.seen)
    except AlteredError as error:
        return ALTERED, str(error)
    except (NotJudgedError, OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        return NOT_JUDGED, str(error)


if __name__ == "__main__":
    main()
