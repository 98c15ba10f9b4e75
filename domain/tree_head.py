"""Tree heads and how they are written: C2SP tlog-checkpoint in a signed note, keys as signed-note writes them, and proofs as
C2SP tlog-proof does.

A signed checkpoint says: this notary saw this record grow to this size with this root. It is nothing of a projection's
checkpoint. Who signs and verifies is an adapter; here is text alone.
"""

import re
from base64 import b64decode, b64encode
from binascii import Error as NotBase64Error
from collections.abc import Sequence
from hashlib import sha256
from typing import NamedTuple

from domain.ids import RecordId
from domain.merkle import HASH_BYTES

ED25519, COSIGNATURE = 1, 4
ORIGIN = "hansard/{}"
PROOF = "c2sp.org/tlog-proof@v1"
NOTE_BYTES_MAX = 64 * 1024
_SIZE = re.compile(r"0|[1-9]\d{0,18}")
_NAME = re.compile(r"[^\s+]+")


class NoteUnreadableError(Exception):
    """This text is no signed checkpoint, or no key."""


class TreeHead(NamedTuple):
    """The size and root of a log's tree; the origin says of which log."""

    origin: str
    size: int
    root: bytes

    def text(self) -> str:
        """Return what is signed."""
        return f"{self.origin}\n{self.size}\n{b64encode(self.root).decode()}\n"


class Signature(NamedTuple):
    """A signature line of a note: the key's name, the key's number, and the signature itself."""

    name: str
    key_id: bytes
    signature: bytes


class VerifierKey(NamedTuple):
    """A public Ed25519 key, with the name of who signs; of a log, or (`COSIGNATURE`) of a witness."""

    name: str
    public: bytes
    kind: int = ED25519

    @property
    def key_id(self) -> bytes:
        """Four bytes that tell one key of this name from another."""
        return sha256(f"{self.name}\n".encode() + bytes([self.kind]) + self.public).digest()[:4]

    def __str__(self) -> str:
        return f"{self.name}+{self.key_id.hex()}+{b64encode(bytes([self.kind]) + self.public).decode()}"


def origin_of(record: RecordId) -> str:
    """Return the origin of a record's log: a record that is replaced is another log."""
    return ORIGIN.format(record)


def read_key(text: str, kind: int = ED25519) -> VerifierKey:
    """Read a key (`name+number+base64`) of this kind. Raise `NoteUnreadableError`."""
    name, _, rest = text.strip().partition("+")
    number, _, encoded = rest.partition("+")
    key = read_base64(encoded)
    if not _NAME.fullmatch(name) or len(key) != 33 or key[0] != kind:
        raise NoteUnreadableError("This is no Ed25519 key as signed notes write them.")
    found = VerifierKey(name, key[1:], kind)
    if found.key_id.hex() != number:
        raise NoteUnreadableError("This key's number is not that of the key: it was not copied whole.")
    return found


def signed_note(text: str, signatures: Sequence[Signature]) -> str:
    """Return a note with its signatures."""
    return f"{text}\n{signature_lines(signatures)}"


def signature_lines(signatures: Sequence[Signature]) -> str:
    """Return signatures as they stand below a note's text."""
    return "".join(f"— {each.name} {b64encode(each.key_id + each.signature).decode()}\n" for each in signatures)


def read_signature_lines(lines: str) -> list[Signature]:
    """Read signatures as they stand below a note's text. Raise `NoteUnreadableError`."""
    if not lines.endswith("\n"):
        raise NoteUnreadableError("These are no signature lines.")
    return [_signature(line) for line in lines[:-1].split("\n")]


def read_note(note: str) -> tuple[str, list[Signature]]:
    """Return the text of a note and its signatures, whoever's. Raise `NoteUnreadableError`."""
    text, blank, lines = note.rpartition("\n\n")
    if not blank or not lines.endswith("\n") or len(note) > NOTE_BYTES_MAX:
        raise NoteUnreadableError("This is no signed note.")
    return text + "\n", read_signature_lines(lines)


def read_tree_head(text: str) -> TreeHead:
    """Read the text of a checkpoint; lines of others' below the third are passed over. Raise `NoteUnreadableError`."""
    lines = text.split("\n")
    if len(lines) < 4 or lines[-1] or not all(lines[:-1]) or not _SIZE.fullmatch(lines[1]):
        raise NoteUnreadableError("This is no checkpoint.")
    root = read_base64(lines[2])
    if len(root) != HASH_BYTES:
        raise NoteUnreadableError("The root of this checkpoint is no SHA-256 hash.")
    return TreeHead(lines[0], int(lines[1]), root)


def tlog_proof(entry: bytes, index: int, hashes: Sequence[bytes], note: str) -> str:
    """Return a proof that stands alone; its extra data is the entry, so that its leaf can be hashed."""
    lines = [PROOF, f"extra {b64encode(entry).decode()}", f"index {index}", *(b64encode(h).decode() for h in hashes)]
    return "\n".join(lines) + f"\n\n{note}"


def _signature(line: str) -> Signature:
    dash, name, encoded = [*line.split(" "), "", ""][:3]
    signed = read_base64(encoded)
    if dash != "—" or line.count(" ") != 2 or not _NAME.fullmatch(name) or len(signed) < 5:
        raise NoteUnreadableError("A signature line of this note cannot be read.")
    return Signature(name, signed[:4], signed[4:])


def read_base64(text: str) -> bytes:
    """Return the bytes of Base64 as it is written: the same bytes in other characters (RFC 4648, 3.5) are refused."""
    try:
        found = b64decode(text, validate=True)
    except (NotBase64Error, ValueError):
        found = b""
    if b64encode(found).decode() != text:
        raise NoteUnreadableError("This is not Base64.")
    return found
