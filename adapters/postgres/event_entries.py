"""Reading events as what is hashed of them: the rows of a binary COPY are the canonical bytes (`domain/leaf.py`), so nothing is
decoded. A million rows cost a few seconds.
"""

from collections.abc import Collection
from hashlib import sha256
from struct import Struct
from struct import error as TooShortError
from typing import Any, NamedTuple

from adapters.postgres.database import Database, translated
from adapters.postgres.record_moment import Moment
from adapters.postgres.rotations import rotations
from domain.ids import RecordId
from domain.key_rotation import Rotation
from domain.leaf import PREFIX, EventRow
from domain.ports.database import Db

BATCH_EVENTS = 8192  # of the largest events there can be some 400 MB, which pass through within a statement's time

# Bounded by positions instead of LIMIT: no plan can sort all that is left, which it did where nobody had analysed the table.
SELECT_EVENTS = """
    SELECT position, stream, version, topic, data, meta, room_id, recorded_at FROM record.events
    WHERE position > $1::bigint AND position <= $2::bigint ORDER BY position
"""
SELECT_ROWS = """
    SELECT position, stream, version, topic, data, meta, room_id, recorded_at FROM record.events
    WHERE position = ANY ($1::bigint[]) ORDER BY position
"""
SELECT_BEYOND = """
    SELECT position, stream, version, topic, data, meta, room_id, recorded_at FROM record.events
    WHERE position > $1 ORDER BY position LIMIT $2
"""
SELECT_HEAD = "SELECT record, position FROM record.head"

COPY_HEAD_BYTES = 19  # "PGCOPY\n\xff\r\n\0", flags, and the length of an extension that there is none of
END = b"\xff\xff"
# Number of fields, position, stream, version (each with its length, and passed over), length of the topic.
_BEGINNING = Struct(">hiq28xi")
_LENGTH = Struct(">i")
_TIME_BYTES = 12


class EventsHead(NamedTuple):
    """Which record it is, and its last position."""

    record: RecordId
    position: int


class Entries(NamedTuple):
    """Entries of events, and their positions beside them."""

    positions: list[int]
    entries: list[bytes]


class EventEntries:
    """The events of a record, as entries."""

    def __init__(self, db: Database | Moment) -> None:
        """`db` is the pool, or a moment of the record."""
        self._db = db

    async def head(self) -> EventsHead:
        """Return which record this is, and how far it is."""
        found = await self._db.one(EventsHead, SELECT_HEAD)
        assert found is not None, "the migrations make the head's row"
        return found

    async def after(self, position: int, *, until: int, limit: int = BATCH_EVENTS) -> Entries:
        """Return the entries of the next `limit` positions after one, in order; fewer where somebody took events away."""
        hasher = _RowHasher()
        async with self._db.session() as session:
            with translated():
                await session.connection.copy_from_query(
                    SELECT_EVENTS, position, min(until, position + limit), output=hasher.take, format="binary"
                )
        return hasher.finished()

    async def rotations(self, until: int) -> list[Rotation]:
        """Return what the record says of its notary's keys, up to a position."""
        return await rotations(self._db, until)

    async def rows(self, positions: Collection[int]) -> dict[int, EventRow]:
        """Return the events at these positions, as they are stored."""
        rows = await self._db.all(EventRow, SELECT_ROWS, list(positions))
        return {row.position: row for row in rows}

    async def rows_beyond(self, position: int, limit: int) -> list[EventRow]:
        """Return the next events after a position, as they are stored, whatever theirs is."""
        return await self._db.all(EventRow, SELECT_BEYOND, position, limit)


async def row_at(db: Db, position: int) -> EventRow | None:
    """Return the event at a position, as it is stored."""
    return await db.one(EventRow, SELECT_ROWS, [position])


class _RowHasher:
    """Cuts what COPY sends into rows, and hashes each."""

    def __init__(self) -> None:
        self._rest = b""
        self._skip = COPY_HEAD_BYTES
        self._found = Entries([], [])

    async def take(self, chunk: Any) -> None:
        """Hash the rows that are whole by now."""
        buffer = self._rest + bytes(chunk)
        if self._skip:
            if len(buffer) < self._skip:
                self._rest = buffer
                return
            buffer, self._skip = buffer[self._skip :], 0
        self._rest = buffer[self._hash_rows(buffer) :]

    def finished(self) -> Entries:
        """Return what was found. Everything that came was hashed: what is left is COPY's own end."""
        assert self._rest == END, "a row was cut short"
        return self._found

    def _hash_rows(self, buffer: bytes) -> int:
        """Hash whole rows; return where they end."""
        at, size = 0, len(buffer)
        positions, entries = self._found
        beginning, length = _BEGINNING.unpack_from, _LENGTH.unpack_from
        try:
            while True:
                _, _, position, topic_bytes = beginning(buffer, at)
                end = at + _BEGINNING.size + topic_bytes
                end += 4 + length(buffer, end)[0]  # data
                end += 4 + length(buffer, end)[0]  # meta
                end += 4 + max(0, length(buffer, end)[0]) + _TIME_BYTES  # the room, which may be null
                if end > size:
                    return at
                positions.append(position)
                entries.append(sha256(PREFIX + buffer[at:end]).digest())
                at = end
        except TooShortError:
            return at
