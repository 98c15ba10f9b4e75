"""The record in Postgres: reading it, following it, and appending to it by group commit.

Appending has modules of its own: `appender.py` gathers what waits in this process, `append_batch.py` asks Postgres, together
with whoever else appends. So has hearing of what was appended: `head_listener.py`.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager

from adapters.postgres.appender import Appender
from adapters.postgres.clock_watch import ClockWatch
from adapters.postgres.codec import StoredRow, decode_all
from adapters.postgres.data_keys import Vault
from adapters.postgres.database import Database
from adapters.postgres.head_listener import HeadListener
from adapters.postgres.part_of_record import PartOfRecord
from adapters.prometheus.record import AppendMetrics
from domain.events import Event, Recorded
from domain.ids import RecordId, RoomId, StreamId
from domain.ports.clock import Chance, Clock
from domain.ports.record import Answer, Append, ClaimKind, EventPage, Head, ReceiptFound

RECEIPTS_FORGOTTEN_MAX = 10_000
# As they are recorded; each is passed by one event at most.
REPLAY_PAGE_BYTES_MAX = 1024**2  # of a room or a stream
RECORD_PAGE_BYTES_MAX = 4 * 1024**2  # of the whole record, for those who follow it

SELECT_HEAD = "SELECT record, position, recorded_at AS at, clock_timestamp() AS clock FROM record.head"
SELECT_STREAMS = """
    SELECT e.position, e.stream, e.version, e.topic, e.data, e.meta, e.room_id, e.recorded_at
    FROM unnest($1::uuid[], $2::int[]) asked (stream, version)
    CROSS JOIN LATERAL (
        SELECT position, stream, version, topic, data, meta, room_id, recorded_at FROM record.events
        WHERE events.stream = asked.stream AND events.version > asked.version
    ) e ORDER BY e.stream, e.version
"""
# A page ends with the event that passes its bound in bytes, which is found without reading what lies beyond.
SELECT_STREAM_PAGES = """
    SELECT e.position, e.stream, e.version, e.topic, e.data, e.meta, e.room_id, e.recorded_at
    FROM unnest($1::uuid[], $2::int[]) asked (stream, version)
    CROSS JOIN LATERAL (
        SELECT *, sum(octet_length(data) + octet_length(meta)) OVER (
            ORDER BY version ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS bytes_before
        FROM record.events
        WHERE events.stream = asked.stream AND events.version > asked.version ORDER BY version LIMIT $3
    ) e WHERE bytes_before IS NULL OR bytes_before < $4::bigint ORDER BY e.stream, e.version
"""
SELECT_AFTER = """
    SELECT position, stream, version, topic, data, meta, room_id, recorded_at FROM (
        SELECT *, sum(octet_length(data) + octet_length(meta)) OVER (
            ORDER BY position ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS bytes_before
        FROM record.events
        WHERE position > $1 AND position <= $2 ORDER BY position LIMIT $3
    ) page WHERE bytes_before IS NULL OR bytes_before < $4::bigint ORDER BY position
"""
# Bounds and order name the room too, and the index says `IS NOT NULL`: so no plan can walk the events of all rooms,
# looking for those of a quiet one (`tests/record/test_plans.py`).
SELECT_ROOM_AFTER = """
    SELECT position, stream, version, topic, data, meta, room_id, recorded_at FROM (
        SELECT *, sum(octet_length(data) + octet_length(meta)) OVER (
            ORDER BY room_id, position ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS bytes_before
        FROM record.events
        WHERE room_id IS NOT NULL AND (room_id, position) > ($1, $2) AND (room_id, position) <= ($1, $3)
        ORDER BY room_id, position LIMIT $4
    ) page WHERE bytes_before IS NULL OR bytes_before < $5::bigint ORDER BY position
"""
SELECT_ROOM_BEFORE = """
    SELECT position, stream, version, topic, data, meta, room_id, recorded_at FROM (
        SELECT *, sum(octet_length(data) + octet_length(meta)) OVER (
            ORDER BY room_id DESC, position DESC ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS bytes_before
        FROM record.events
        WHERE room_id IS NOT NULL AND (room_id, position) < ($1, $2) AND (room_id, position) > ($1, 0)
        ORDER BY room_id DESC, position DESC LIMIT $3
    ) page WHERE bytes_before IS NULL OR bytes_before < $4::bigint ORDER BY position DESC
"""
SELECT_PREVIOUS = """
    SELECT coalesce((
        SELECT e.position FROM record.events e
        WHERE e.room_id IS NOT NULL AND (e.room_id, e.position) < (asked.room_id, asked.position)
            AND (e.room_id, e.position) > (asked.room_id, 0)
        ORDER BY e.room_id DESC, e.position DESC LIMIT 1
    ), 0) AS position FROM unnest($1::uuid[], $2::bigint[]) WITH ORDINALITY asked (room_id, position, i) ORDER BY asked.i
"""
SELECT_CLAIMANT = "SELECT stream FROM record.claims WHERE kind = $1 AND digest = $2"
SELECT_CLAIMED = "SELECT digest FROM record.claims WHERE kind = $1 AND digest = ANY ($2::bytea[])"
SELECT_RECEIPT = "SELECT first, last, request FROM record.receipts WHERE digest = $1"
FORGET_RECEIPTS = "SELECT record.forget_receipts($1, $2)"
RENEW = "SELECT record.renew($1, $2)"
POSITION_MAX = 2**63 - 1


class PostgresRecord:
    """The port `domain.ports.Record`. `run()` is the writer; without it nothing is appended."""

    def __init__(
        self,
        db: Database,
        vault: Vault,
        *,
        now: Clock,
        chance: Chance,
        clock: ClockWatch | None = None,
        metrics: AppendMetrics | None = None,
    ) -> None:
        """`clock` judges that of Postgres; None: by itself, as is usual."""
        self._db = db
        self._vault = vault
        self._listeners: set[HeadListener] = set()
        self.appender = Appender(
            db.url,
            vault,
            now=now,
            chance=chance,
            clock=clock or ClockWatch(),
            metrics=metrics or AppendMetrics(),
            head=self.head,
        )

    # Appending

    async def append(self, append: Append) -> Answer:
        return await self.appender.append(append)

    async def run(self) -> None:
        """Append what comes, for ever. When cancelled, append what waits, then refuse."""
        await self.appender.run()

    # Reading

    async def head(self) -> Head:
        head = await self._db.one(Head, SELECT_HEAD)
        assert head is not None, "the migrations make the head's row"
        return head

    async def renew(self, known: RecordId, told: int) -> bool:
        return bool(await self._db.value(RENEW, known, told))

    async def streams(
        self, ids: Sequence[StreamId], *, after: Mapping[StreamId, int] | None = None
    ) -> Mapping[StreamId, Sequence[Recorded[Event]]]:
        events: dict[StreamId, list[Recorded[Event]]] = {stream: [] for stream in ids}
        versions = [(after or {}).get(stream, 0) for stream in events]
        for recorded in await self._facts(SELECT_STREAMS, list(events), versions):
            events[recorded.stream].append(recorded)
        return events

    async def stream_pages(self, after: Mapping[StreamId, int], *, limit: int) -> Mapping[StreamId, EventPage]:
        asked = list(after), list(after.values()), limit, REPLAY_PAGE_BYTES_MAX
        rows: dict[StreamId, list[StoredRow]] = {stream: [] for stream in after}
        for row in await self._db.all(StoredRow, SELECT_STREAM_PAGES, *asked):
            rows[StreamId(row.stream)].append(row)
        return {stream: await self._page(limit, found) for stream, found in rows.items()}

    async def after(
        self, position: int, *, until: int | None = None, limit: int, metas: bool = True
    ) -> Sequence[Recorded[Event]]:
        end = POSITION_MAX if until is None else until
        return await self._facts(SELECT_AFTER, position, end, limit, RECORD_PAGE_BYTES_MAX, metas=metas)

    def part(self, number: int, parts: int) -> PartOfRecord:
        return PartOfRecord(self._db, self._vault, number, parts)

    async def room_after(self, room_id: RoomId, position: int, *, until: int, limit: int) -> EventPage:
        return await self._room_page(limit, SELECT_ROOM_AFTER, room_id, position, until)

    async def room_before(self, room_id: RoomId, position: int, *, limit: int) -> EventPage:
        return await self._room_page(limit, SELECT_ROOM_BEFORE, room_id, position)

    async def previous_in_rooms(self, rooms: Sequence[tuple[RoomId, int]]) -> Sequence[int]:
        if not rooms:
            return ()
        return await self._db.all(int, SELECT_PREVIOUS, [room for room, _ in rooms], [at for _, at in rooms])

    async def claimant(self, kind: ClaimKind, value: str) -> StreamId | None:
        stream = await self._db.value(SELECT_CLAIMANT, kind, self._vault.master.claim(kind, value))
        return None if stream is None else StreamId(stream)

    async def receipt(self, digest: bytes) -> ReceiptFound | None:
        return await self._db.one(ReceiptFound, SELECT_RECEIPT, digest)

    async def unclaimed(self, kind: ClaimKind, values: Sequence[str]) -> set[str]:
        """Return those of these values that nobody holds."""
        digests = {self._vault.master.claim(kind, value): value for value in values}
        held = await self._db.all(bytes, SELECT_CLAIMED, kind, list(digests))
        return {value for digest, value in digests.items() if digest not in held}

    async def forget_receipts(self, *, older_than_hours: int) -> int:
        """Forget what Idempotency-Keys wrote longer ago than this, `RECEIPTS_FORGOTTEN_MAX` at most; return how many."""
        return int(await self._db.value(FORGET_RECEIPTS, older_than_hours, RECEIPTS_FORGOTTEN_MAX))

    async def _facts(self, sql: str, *args: object, metas: bool = True) -> list[Recorded[Event]]:
        return await decode_all(await self._db.all(StoredRow, sql, *args), self._vault, metas=metas)

    async def _room_page(self, limit: int, sql: str, *args: object) -> EventPage:
        return await self._page(limit, await self._db.all(StoredRow, sql, *args, limit, REPLAY_PAGE_BYTES_MAX))

    async def _page(self, limit: int, rows: Sequence[StoredRow]) -> EventPage:
        held = sum(len(row.data) + len(row.meta) for row in rows)
        return EventPage(await decode_all(rows, self._vault), len(rows) < limit and held < REPLAY_PAGE_BYTES_MAX)

    # Following

    def hear(self, position: int) -> None:
        """Wake who follows this record: somebody of this process knows that it goes as far as this."""
        for listener in self._listeners:
            listener.hear(position)

    @asynccontextmanager
    async def wakes(self) -> AsyncIterator[AsyncIterator[int]]:
        """LISTEN on a connection of its own, to news of keys too; without one, ask for the head every `POLL_SECONDS`."""
        ears = HeadListener(self._db.url, keys_gone=self._vault.hear)
        self._listeners.add(ears)
        try:
            yield ears.follow(self)
        finally:
            self._listeners.discard(ears)
            await ears.close()
