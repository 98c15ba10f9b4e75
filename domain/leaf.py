"""The entry of an event: the canonical bytes of its whole row, and the hash of them that is a leaf of the tree.

`docs/record-format.md` says the encoding byte by byte. It is the one in which Postgres sends a row in binary COPY, so whoever
follows the record hashes what comes as it comes (`adapters/postgres/event_entries.py`). Text that is sealed is hashed as it
is sealed: a key that is destroyed changes no hash.
"""

from datetime import UTC, datetime, timedelta
from hashlib import sha256
from struct import Struct
from typing import NamedTuple
from uuid import UUID

# Says what is hashed, and in which version of the encoding; nothing else that we hash begins so.
PREFIX = b"hansard event v1\n"
FIELDS = 8
EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)

_COUNT = Struct(">h")
_LENGTH = Struct(">i")
_BIGINT = Struct(">q")
_INT = Struct(">i")
_NULL = _LENGTH.pack(-1)


class EventRow(NamedTuple):
    """An event as the record holds it: all its columns."""

    position: int
    stream: UUID
    version: int
    topic: str
    data: bytes
    meta: bytes
    room_id: UUID | None
    recorded_at: datetime


def encoded(row: EventRow) -> bytes:
    """Return the canonical bytes of a row: the number of its fields, then each with its length before it."""
    fields = (
        _BIGINT.pack(row.position),
        row.stream.bytes,
        _INT.pack(row.version),
        row.topic.encode(),
        row.data,
        row.meta,
        None if row.room_id is None else row.room_id.bytes,
        _BIGINT.pack((row.recorded_at - EPOCH) // MICROSECOND),
    )
    parts = [_NULL if field is None else _LENGTH.pack(len(field)) + field for field in fields]
    return _COUNT.pack(FIELDS) + b"".join(parts)


def entry_of(row: EventRow) -> bytes:
    """Return an event's entry in the log: SHA-256 over the prefix and its canonical bytes."""
    return sha256(PREFIX + encoded(row)).digest()
