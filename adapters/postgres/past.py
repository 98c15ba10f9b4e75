"""The past of the record: what streams held at a position.

A stream's versions are 1, 2, 3, … and its positions rise with them, so the last event up to a position is found by halving, in
the index that keeps versions unique. So it is with times: the record's clock never goes back.
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

from adapters.postgres.codec import StoredRow, decode_all
from adapters.postgres.data_keys import Vault
from adapters.postgres.database import Database
from domain.events import Recorded
from domain.ids import StreamId

# `low` is a version up to the position (0: none), and no version above `high` is. The first look is at the last version, which
# is enough if nothing has happened since.
SELECT_LAST_UNTIL = """
    WITH RECURSIVE halving (stream, low, high) AS (
        SELECT asked.stream, CASE WHEN last.position <= $2 THEN last.version ELSE 0 END,
            CASE WHEN last.position <= $2 THEN last.version ELSE last.version - 1 END
        FROM unnest($1::uuid[]) asked (stream)
        CROSS JOIN LATERAL (
            SELECT e.version, e.position FROM record.events e WHERE e.stream = asked.stream ORDER BY e.version DESC LIMIT 1
        ) last
        UNION ALL
        SELECT h.stream, CASE WHEN e.position <= $2 THEN e.version ELSE h.low END,
            CASE WHEN e.position <= $2 THEN h.high ELSE e.version - 1 END
        FROM halving h
        CROSS JOIN LATERAL (
            SELECT e.version, e.position FROM record.events e
            WHERE e.stream = h.stream AND e.version = (h.low + h.high + 1) / 2 LIMIT 1
        ) e
        WHERE h.low < h.high
    )
    SELECT e.position, e.stream, e.version, e.topic, e.data, e.meta, e.room_id, e.recorded_at
    FROM halving h CROSS JOIN LATERAL (
        SELECT * FROM record.events e WHERE e.stream = h.stream AND e.version = h.low LIMIT 1
    ) e WHERE h.low = h.high AND h.low > 0
"""
SELECT_ALL_UNTIL = """
    SELECT e.position, e.stream, e.version, e.topic, e.data, e.meta, e.room_id, e.recorded_at
    FROM unnest($1::uuid[]) asked (stream) CROSS JOIN LATERAL (
        SELECT * FROM record.events e WHERE e.stream = asked.stream AND e.version > 0
    ) e WHERE e.position <= $2 ORDER BY e.stream, e.version
"""
SELECT_AT = """
    SELECT position, stream, version, topic, data, meta, room_id, recorded_at FROM record.events
    WHERE position = ANY ($1::bigint[])
"""
SELECT_BEFORE = """
    SELECT e.position, e.stream, e.version, e.topic, e.data, e.meta, e.room_id, e.recorded_at
    FROM unnest($1::uuid[], $2::int[]) asked (stream, version) CROSS JOIN LATERAL (
        SELECT * FROM record.events e WHERE e.stream = asked.stream AND e.version = asked.version - 1 LIMIT 1
    ) e
"""
SELECT_POSITION_AT = """
    WITH RECURSIVE halving (low, high) AS (
        SELECT 0::bigint, h.position FROM record.head h
        UNION ALL
        SELECT CASE WHEN e.recorded_at <= $1 THEN e.position ELSE h.low END,
            CASE WHEN e.recorded_at <= $1 THEN h.high ELSE e.position - 1 END
        FROM halving h
        CROSS JOIN LATERAL (
            SELECT e.position, e.recorded_at FROM record.events e WHERE e.position = (h.low + h.high + 1) / 2 LIMIT 1
        ) e
        WHERE h.low < h.high
    )
    SELECT low AS position FROM halving WHERE low = high
"""


class PostgresPast:
    """The port `domain.ports.past.Past`."""

    def __init__(self, db: Database, vault: Vault) -> None:
        self._db = db
        self._vault = vault

    async def position_at(self, moment: datetime) -> int:
        return int(await self._db.value(SELECT_POSITION_AT, moment))

    async def last_until(self, ids: Collection[StreamId], position: int) -> Mapping[StreamId, Recorded[Any]]:
        found = await self._events(SELECT_LAST_UNTIL, list(ids), position) if ids else []
        return {recorded.stream: recorded for recorded in found}

    async def all_until(self, ids: Collection[StreamId], position: int) -> Mapping[StreamId, Sequence[Recorded[Any]]]:
        events: dict[StreamId, list[Recorded[Any]]] = {stream: [] for stream in ids}
        for recorded in await self._events(SELECT_ALL_UNTIL, list(ids), position) if ids else []:
            events[recorded.stream].append(recorded)
        return events

    async def at(self, positions: Collection[int]) -> Mapping[int, Recorded[Any]]:
        found = await self._events(SELECT_AT, list(positions)) if positions else []
        return {recorded.position: recorded for recorded in found}

    async def before(self, events: Collection[tuple[StreamId, int]]) -> Mapping[tuple[StreamId, int], Recorded[Any]]:
        asked = [stream for stream, _ in events], [version for _, version in events]
        found = await self._events(SELECT_BEFORE, *asked) if events else []
        return {(recorded.stream, recorded.version + 1): recorded for recorded in found}

    async def _events(self, sql: str, *args: object) -> Sequence[Recorded[Any]]:
        return await decode_all(await self._db.all(StoredRow, sql, *args), self._vault)
