"""The record as exports read it: rooms, their events, and the streams of what was said, each up to a position, with the rows as
they are stored beside what they say. Over connections and a vault of its own, as auditors read."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import NamedTuple, Self

from adapters.postgres.codec import StoredRow, decode_all
from adapters.postgres.data_keys import Vault
from adapters.postgres.database import Database
from adapters.postgres.master_key import Master
from domain.events import Event, Recorded
from domain.ids import KeyId, RoomId, StreamId

EXPORT_CONNECTIONS = 2
EXPORT_STATEMENT_SECONDS = 60.0
PAGE_BYTES_MAX = 2 * 1024**2

# From one room to the next in the index of rooms: as many steps as there are rooms, however much was said in them.
SELECT_ROOMS = """
    WITH RECURSIVE rooms (id, first) AS (
        (SELECT room_id, position FROM record.events WHERE room_id IS NOT NULL AND (room_id, position) > ($1::uuid, $2::bigint)
        ORDER BY room_id, position LIMIT 1)
        UNION ALL
        SELECT next.room_id, next.position FROM rooms CROSS JOIN LATERAL (
            SELECT e.room_id, e.position FROM record.events e
            WHERE e.room_id IS NOT NULL AND (e.room_id, e.position) > (rooms.id, 9223372036854775807)
            ORDER BY e.room_id, e.position LIMIT 1
        ) next
    )
    SELECT id FROM rooms WHERE first <= $3 LIMIT $4
"""
SELECT_EVENTS = """
    SELECT position, stream, version, topic, data, meta, room_id, recorded_at FROM (
        SELECT *, sum(octet_length(data) + octet_length(meta)) OVER (
            ORDER BY room_id, position ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS bytes_before
        FROM record.events
        WHERE room_id IS NOT NULL AND (room_id, position) > ($1, $2) AND (room_id, position) <= ($1, $3)
        ORDER BY room_id, position LIMIT $4
    ) page WHERE bytes_before IS NULL OR bytes_before < $5::bigint ORDER BY position
"""
SELECT_MEMBERS = """
    SELECT position, stream, version, topic, data, meta, room_id, recorded_at FROM record.events
    WHERE room_id IS NOT NULL AND (room_id, position) > ($1, 0) AND (room_id, position) <= ($1, $2)
        AND split_part(topic, '@', 1) IN ('member.joined', 'member.left', 'member.removed')
    ORDER BY room_id, position
"""
SELECT_STREAMS = """
    SELECT e.position, e.stream, e.version, e.topic, e.data, e.meta, e.room_id, e.recorded_at
    FROM unnest($1::uuid[]) asked (stream) CROSS JOIN LATERAL (
        SELECT * FROM record.events e WHERE e.stream = asked.stream AND e.version > 0
    ) e WHERE e.position <= $2 ORDER BY e.stream, e.version
"""


SELECT_RECORDED_AT = "SELECT recorded_at FROM record.events WHERE position = $1"
SELECT_FIRST_POSITIONS = """
    SELECT stream, position, recorded_at AS at FROM record.events WHERE stream = ANY ($1::uuid[]) AND version = 1
"""


# Which event names a destroyed key first. What destroys keys of a person or of a room is on their own streams.
SELECT_DESTROYED = """
    SELECT DISTINCT ON (named.key_id) named.key_id::uuid AS key_id, split_part(e.topic, '@', 1) AS topic, e.position, e.recorded_at AS at
    FROM unnest($1::uuid[]) asked (stream) CROSS JOIN LATERAL (
        SELECT * FROM record.events e WHERE e.stream = asked.stream AND e.version > 0
    ) e CROSS JOIN LATERAL jsonb_array_elements_text(convert_from(e.data, 'UTF8')::jsonb -> 'key_ids') named (key_id)
    WHERE named.key_id = ANY ($2::text[]) ORDER BY named.key_id, e.position
"""


class DestroyedKey(NamedTuple):
    """A key that is destroyed, and the event that says so."""

    key_id: KeyId
    topic: str
    position: int
    at: datetime


class FirstEvent(NamedTuple):
    """Where and when a stream begins."""

    stream: StreamId
    position: int
    at: datetime


class Kept(NamedTuple):
    """An event, and its row as it is stored."""

    row: StoredRow
    recorded: Recorded[Event]


class ExportSource:
    """Reads of the record up to `until`, which never change but by erasure."""

    def __init__(self, db: Database, vault: Vault) -> None:
        self.db = db
        self.vault = vault

    @classmethod
    async def open(cls, url: str, master: Master) -> Self:
        """Connect, and raise `RecordUnavailableError` when nobody answers."""
        db = await Database.open(url, size=EXPORT_CONNECTIONS, statement_seconds=EXPORT_STATEMENT_SECONDS)
        return cls(db, Vault(db, master))

    async def close(self) -> None:
        await self.db.close()

    async def rooms(self, beyond: RoomId, *, until: int, limit: int) -> list[RoomId]:
        """Return rooms in the order of their ids, those behind `beyond`, in which something happened up to a position.

        Fewer than `limit` are no sign of the end: only an empty answer is.
        """
        return await self.db.all(RoomId, SELECT_ROOMS, beyond, 2**63 - 1, until, limit)

    async def events(self, room_id: RoomId, after: int, *, until: int, limit: int) -> list[Kept]:
        """Return the next events of a room; an empty answer says that there are no more."""
        return await self._kept(SELECT_EVENTS, room_id, after, until, limit, PAGE_BYTES_MAX)

    async def members(self, room_id: RoomId, *, until: int) -> list[Kept]:
        """Return who joined and left a room, in order."""
        return await self._kept(SELECT_MEMBERS, room_id, until)

    async def streams(self, ids: Collection[StreamId], *, until: int) -> dict[StreamId, list[Kept]]:
        """Return the events of each stream up to a position, in order."""
        found: dict[StreamId, list[Kept]] = {stream: [] for stream in ids}
        for kept in await self._kept(SELECT_STREAMS, list(found), until) if found else []:
            found[kept.recorded.stream].append(kept)
        return found

    async def destroyed(self, streams: Collection[StreamId], keys: Collection[KeyId]) -> dict[KeyId, DestroyedKey]:
        """Return which events of these streams say that these keys are destroyed. What destroyed them may be later than what is read."""
        found = await self.db.all(DestroyedKey, SELECT_DESTROYED, list(streams), list(keys)) if keys else []
        return {KeyId(str(each.key_id)): each for each in found}

    async def recorded_at(self, position: int) -> datetime | None:
        """Return when an event was recorded; None if there is none."""
        found: datetime | None = await self.db.value(SELECT_RECORDED_AT, position)
        return found

    async def first_positions(self, ids: Collection[StreamId]) -> dict[StreamId, FirstEvent]:
        """Return where and when each of these streams begins."""
        found = await self.db.all(FirstEvent, SELECT_FIRST_POSITIONS, list(ids)) if ids else []
        return {first.stream: first for first in found}

    async def _kept(self, sql: str, *args: object) -> list[Kept]:
        rows: Sequence[StoredRow] = await self.db.all(StoredRow, sql, *args)
        return list(map(Kept, rows, await decode_all(rows, self.vault, whole_meta=True)))
