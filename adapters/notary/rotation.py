"""Rotating the notary's key: what both keys sign, how it is verified, and checkpoints held against the key in force."""

from collections.abc import Iterable

from adapters.notary.key import NotaryKey, NoteForgedError, require_signed, verified
from domain.key_rotation import KeyChain, Rotated, Rotation, chained, read_rotated
from domain.tree_head import NoteUnreadableError, TreeHead, VerifierKey, read_note, read_tree_head, signed_note


class KeyRetiredError(NoteForgedError):
    """A checkpoint was signed by a key of this record that was not in force any more, or not yet."""


def rotation_note(before: NotaryKey, after: NotaryKey) -> str:
    """Return the statement that one key takes the place of another, signed by both."""
    text = Rotated(before.verifier.name, before.verifier, after.verifier).text()
    return signed_note(text, [before.signature(text), after.signature(text)])


def rotated_by(note: str) -> Rotated:
    """Return what a statement says, if both its keys have signed it. Raise `NoteUnreadableError`."""
    text, _ = read_note(note)
    found = read_rotated(text)
    for key in (found.before, found.after):
        require_signed(note, key)
    return found


def chain_of(trusted: VerifierKey, rotations: Iterable[Rotation]) -> KeyChain:
    """Return the keys of a record; statements that are forged, or of a former record, bind nothing."""
    known = []
    for rotation in rotations:
        try:
            rotated = rotated_by(rotation.note)
        except NoteUnreadableError:
            continue
        if rotated.origin == trusted.name:
            known.append((rotation.position, rotated))
    return chained(trusted, known)


def verified_in(note: str, chain: KeyChain) -> TreeHead:
    """Return the tree head that the key in force at its size has signed.

    Raise `KeyRetiredError` where another key of the record has, else what `verified` raises.
    """
    text, signatures = read_note(note)
    size = read_tree_head(text).size
    key = chain.at(size)
    if all(line.key_id != key.key_id for line in signatures):
        for line in signatures:
            other = next((each for _, each in chain.keys if each.key_id == line.key_id), None)
            if other is not None and verified(note, other):
                raise KeyRetiredError(f"A tree of {size:,} events is signed by {other}, which was not in force there.")
    return verified(note, key)
