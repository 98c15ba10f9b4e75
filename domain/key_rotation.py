"""The notary's keys: one takes the place of another by an event that both of them signed, from its position on.

A tree of `size` events is signed by the key that is in force at its last event. So a signature by a key over a tree that holds
the event of its own retirement is none, whoever makes it. Who knows one key of the chain knows all: each rotation binds two.
"""

from collections.abc import Sequence
from typing import ClassVar, NamedTuple

from msgspec import Struct

from domain.events import Event, Recorded, Stream
from domain.tree_head import NoteUnreadableError, VerifierKey, read_key

HEADER = "hansard key rotation v1"


class KeyRotated(Event, frozen=True):
    """`note` is the statement, signed by the key before and the key after. `origin` is that of the record that they sign."""

    topic: ClassVar = "notary.key_rotated"

    origin: str
    note: str


class NotaryKeys(Struct, frozen=True):
    """What was recorded last."""

    note: str


class Rotation(NamedTuple):
    """A statement of two keys, and where it stands on the record."""

    position: int
    note: str


class Rotated(NamedTuple):
    """What a statement says: of which record, and which key follows which."""

    origin: str
    before: VerifierKey
    after: VerifierKey

    def text(self) -> str:
        """Return what both keys sign."""
        return f"{HEADER}\n{self.origin}\n{self.before}\n{self.after}\n"


def read_rotated(text: str) -> Rotated:
    """Read the text of a statement. Raise `NoteUnreadableError`."""
    lines = text.split("\n")
    if len(lines) != 5 or lines[0] != HEADER or lines[4]:
        raise NoteUnreadableError("This is no rotation of a key.")
    found = Rotated(lines[1], read_key(lines[2]), read_key(lines[3]))
    if not found.before.name == found.after.name == found.origin or found.text() != text:
        raise NoteUnreadableError("A rotation is between two keys of one record.")
    return found


def is_of(note: str, origin: str) -> bool:
    """Return whether a statement is of this record, whoever signed it."""
    return note.startswith(f"{HEADER}\n{origin}\n")


class KeyChain(NamedTuple):
    """The keys of a record and from which position on each is in force; the first from 0."""

    keys: tuple[tuple[int, VerifierKey], ...]

    def at(self, size: int) -> VerifierKey:
        """Return the key that signs a tree of this size."""
        return next(key for since, key in reversed(self.keys) if since <= size)


def chained(trusted: VerifierKey, rotations: Sequence[tuple[int, Rotated]]) -> KeyChain:
    """Return the chain in which a key that is trusted stands; `rotations` are verified, of this record, in their order.

    What does not join it is passed over: somebody else's.
    """
    key, later = trusted, list[tuple[int, VerifierKey]]()
    for position, rotated in reversed(rotations):
        if rotated.after == key:
            later.insert(0, (position, key))
            key = rotated.before
    keys = [(0, key), *later]
    for position, rotated in rotations:
        if rotated.before == keys[-1][1] and position > keys[-1][0]:
            keys.append((position, rotated.after))
    return KeyChain(tuple(keys))


def rotate(keys: NotaryKeys | None, *, origin: str, note: str) -> tuple[KeyRotated, ...]:
    """Put a statement on the record; the same again changes nothing."""
    return () if keys is not None and keys.note == note else (KeyRotated(origin, note),)


def evolve(keys: NotaryKeys | None, recorded: Recorded[KeyRotated]) -> NotaryKeys:
    return NotaryKeys(recorded.event.note)


NOTARY_KEYS: Stream[NotaryKeys] = Stream("notary_keys", evolve, NotaryKeys)
EVENTS: tuple[type[Event], ...] = (KeyRotated,)
