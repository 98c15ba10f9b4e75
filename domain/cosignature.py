"""Cosignatures and how they are asked for: C2SP tlog-cosignature (v1, Ed25519) and the request of C2SP tlog-witness.

A cosignature says: this witness has seen this tree at this time, and it extends every one of this log that it saw before. It
stands in the note beside the log's own signature. Here is text alone; who signs is an adapter.
"""

import re
from base64 import b64encode
from collections.abc import Sequence
from typing import NamedTuple

from domain.merkle import EMPTY_ROOT, HASH_BYTES, extends
from domain.tree_head import NoteUnreadableError, Signature, TreeHead, VerifierKey, read_base64, read_note, signed_note

HASHES_MAX = 63
TIME_BYTES, SIGNATURE_BYTES = 8, 64
SUBMISSION_BYTES_MAX = 128 * 1024
_OLD = re.compile(r"old (0|[1-9]\d{0,18})")


class Cosignature(NamedTuple):
    """When a witness signed (seconds since 1970), and the signature itself."""

    at: int
    signature: bytes


class Submission(NamedTuple):
    """What a witness is asked: to cosign this note, given that it saw a tree of `old` leaves last."""

    old: int
    hashes: list[bytes]
    note: str


class SubmissionRefusedError(Exception):
    """A witness does not cosign this; the status is that of C2SP tlog-witness."""

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status


class AnotherSizeError(SubmissionRefusedError):
    """The witness knows another tree than the one that the proof begins at."""

    def __init__(self, size: int) -> None:
        super().__init__(409, f"the tree that was seen last has {size} leaves")
        self.size = size


def message_of(text: str, at: int) -> bytes:
    """Return what a witness signs: a header, the time, and the text of the note."""
    return f"cosignature/v1\ntime {at}\n{text}".encode()


def line_of(key: VerifierKey, found: Cosignature) -> Signature:
    """Return a cosignature as a note has it."""
    return Signature(key.name, key.key_id, found.at.to_bytes(TIME_BYTES, "big") + found.signature)


def read_line(line: Signature) -> Cosignature:
    """Read a cosignature out of a note's line. Raise `NoteUnreadableError`."""
    if len(line.signature) != TIME_BYTES + SIGNATURE_BYTES:
        raise NoteUnreadableError("This is no Ed25519 cosignature.")
    return Cosignature(int.from_bytes(line.signature[:TIME_BYTES], "big"), line.signature[TIME_BYTES:])


def submission(asked: Submission) -> str:
    """Return the body of a request to add a checkpoint."""
    return "".join([f"old {asked.old}\n", *(f"{b64encode(h).decode()}\n" for h in asked.hashes), "\n", asked.note])


def read_submission(body: str) -> Submission:
    """Read the body of a request to add a checkpoint. Raise `SubmissionRefusedError`."""
    head, blank, note = body.partition("\n\n")
    old, *lines = head.split("\n")
    found = _OLD.fullmatch(old)
    if not blank or found is None or len(lines) > HASHES_MAX:
        raise SubmissionRefusedError(400, "this is no request to add a checkpoint")
    try:
        hashes = [read_base64(line) for line in lines]
    except NoteUnreadableError:
        hashes = [b""]
    if any(len(each) != HASH_BYTES for each in hashes):
        raise SubmissionRefusedError(400, "a line of the proof is no hash in Base64")
    return Submission(int(found[1]), hashes, note)


def require_extension(seen: TreeHead | None, asked: Submission, head: TreeHead) -> None:
    """Decide whether a witness that saw one tree last cosigns another. Raise `SubmissionRefusedError` if it does not."""
    if asked.old > head.size:
        raise SubmissionRefusedError(400, "the old size is beyond the checkpoint's")
    size, root = (0, EMPTY_ROOT) if seen is None else (seen.size, seen.root)
    if asked.old != size:
        raise AnotherSizeError(size)
    if head.size == size:
        if head.root != root:
            raise AnotherSizeError(size)
        if asked.hashes:
            raise SubmissionRefusedError(422, "a tree of the same size needs no proof")
    elif size == 0:
        if asked.hashes:
            raise SubmissionRefusedError(422, "from nothing there is nothing to prove")
    elif not extends(size, root, head.size, head.root, asked.hashes):
        raise SubmissionRefusedError(422, "the proof does not show that this tree extends the one that was seen last")


def with_lines(note: str, lines: Sequence[Signature]) -> str:
    """Return a note with further signatures; those of a key that has one there already take its place."""
    text, before = read_note(note)
    added = {(line.name, line.key_id) for line in lines}
    return signed_note(text, [*(line for line in before if (line.name, line.key_id) not in added), *lines])
