"""The auditor's reading of the record: whole entries, with what is sealed of their metas, straight from the log.

Where somebody, something or a room is asked for, positions come from the index as far as that goes (`audit_index.py`), and
the rest of the record is looked through. Entries come in pages of bounded work: a request looks through at most
`SCAN_EVENTS` events at a time and stops at a full page, the end, or `SCAN_SECONDS`; a page may therefore hold fewer entries
than asked for and still have a next one.
"""

import time
from base64 import b64encode
from bisect import bisect_right
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Self
from uuid import UUID

import msgspec
from msgspec import Struct
from msgspec.structs import astuple, replace

from adapters.postgres import audit_index
from adapters.postgres.audit_index import Filter, Way
from adapters.postgres.codec import StoredRow, decode_all
from adapters.postgres.data_keys import Vault
from adapters.postgres.database import Database
from adapters.postgres.master_key import Master
from domain.events import Event, Fault, Recorded, UnknownEvent, UnreadableEvent
from domain.ids import StreamId
from domain.leaf import EventRow, entry_of
from domain.merkle import leaf_hash
from domain.topics import FEATURES, STREAM_OF, TOPICS, read_written

AUDIT_CONNECTIONS_MAX = 2  # of a gateway, beside its pool
AUDIT_STATEMENT_SECONDS = 10.0

SELECT_PAGE = """
    SELECT position, stream, version, topic, data, meta, room_id, recorded_at FROM record.events
    WHERE position > $1 AND position <= $2
        AND ($3::text IS NULL OR convert_from(meta, 'UTF8')::jsonb ->> 'actor' = $3)
        AND ($4::uuid IS NULL OR room_id = $4 OR convert_from(data, 'UTF8')::jsonb ->> 'room_id' = $4::text)
        AND ($5::text IS NULL OR $5 IN (
            convert_from(data, 'UTF8')::jsonb ->> 'user_id',
            convert_from(data, 'UTF8')::jsonb ->> 'sender_id',
            convert_from(data, 'UTF8')::jsonb ->> 'owner_id'
        ))
        AND ($6::text IS NULL OR split_part(topic, '@', 1) = $6)
        AND ($7::timestamptz IS NULL OR recorded_at >= $7)
        AND ($8::timestamptz IS NULL OR recorded_at < $8)
    ORDER BY position LIMIT $9
"""
SELECT_OF_INDEX = """
    SELECT position, stream, version, topic, data, meta, room_id, recorded_at FROM record.events
    WHERE position = ANY ($1::bigint[]) AND position <= $2
        AND ($3::text IS NULL OR convert_from(meta, 'UTF8')::jsonb ->> 'actor' = $3)
        AND ($4::uuid IS NULL OR room_id = $4 OR convert_from(data, 'UTF8')::jsonb ->> 'room_id' = $4::text)
        AND ($5::text IS NULL OR $5 IN (
            convert_from(data, 'UTF8')::jsonb ->> 'user_id',
            convert_from(data, 'UTF8')::jsonb ->> 'sender_id',
            convert_from(data, 'UTF8')::jsonb ->> 'owner_id'
        ))
        AND ($6::text IS NULL OR split_part(topic, '@', 1) = $6)
        AND ($7::timestamptz IS NULL OR recorded_at >= $7)
        AND ($8::timestamptz IS NULL OR recorded_at < $8)
    ORDER BY position LIMIT $9
"""
SELECT_ENTRY = """
    SELECT position, stream, version, topic, data, meta, room_id, recorded_at FROM record.events
    WHERE position = $1
"""
SELECT_EARLIER = """
    SELECT e.position, e.stream, e.version, e.topic, e.data, e.meta, e.room_id, e.recorded_at
    FROM unnest($1::uuid[], $2::int[], $3::int[]) asked (stream, first, last)
    JOIN record.events e ON e.stream = asked.stream AND e.version BETWEEN asked.first AND asked.last
    ORDER BY e.stream, e.version
"""
SELECT_HEAD = "SELECT position FROM record.head"
SCAN_EVENTS = 50_000
SCAN_SECONDS = 1.0
# What came before an entry is read from so many events of its stream, and of all streams of a page.
BEFORE_EVENTS_MAX = 200
BEFORE_EVENTS_OF_PAGE = 5_000
# By kind of stream: what later events replace or end, and an earlier one may hold.
REPLACED = {stream.kind: frozenset(name for event in events for name in event.changes) for stream, events in FEATURES}
SEALED = {stream.kind: frozenset(name for event in events for name in event.sealed) for stream, events in FEATURES}
SECRETS = ("password_hash", "token_hash", "secret_hash", "secret", "auth", "p256dh")


class AuditEntry(Struct, frozen=True):
    """One event of the record, as it stands there. `before` has what the event's fields held until then, as far as the last
    events of its stream say it. `unreadable` says what is wrong with a row that cannot be decoded; `data` is then empty.
    `leaf_hash` is that of the row as it stands there (RFC 9162 2.1.1, in Base64); a proof leads from it to what was signed."""

    position: int
    type: str
    stream: UUID
    version: int
    recorded_at: datetime
    room_id: UUID | None
    event_id: UUID
    command: str
    actor: UUID | None
    session: UUID | None
    address: str | None
    agent: str | None
    correlation: str | None
    causation: str | None
    reason: str | None
    data: dict[str, Any]
    before: dict[str, Any] | None
    erased: bool
    leaf_hash: str
    unreadable: Fault | None = None


def without_texts(entry: AuditEntry) -> AuditEntry:
    """Return an entry without what is sealed of its event: what people wrote, their names and addresses of mail. Who did it,
    from where and why stay. Of a topic that is not known here, nobody can tell, so its data goes."""
    kind = TOPICS.get(entry.type)
    if kind is None:
        return replace(entry, data={}, before=None)
    # What was before can be a field of the state that another event of the stream holds sealed.
    sealed = SEALED[STREAM_OF[entry.type].kind]
    before = None if entry.before is None else {name: v for name, v in entry.before.items() if name not in sealed}
    return replace(entry, data={name: v for name, v in entry.data.items() if name not in sealed}, before=before)


class AuditPage(Struct, frozen=True):
    """`next_after` None: the end of the record was reached."""

    entries: list[AuditEntry]
    next_after: int | None


class AuditReader:
    """Reads over connections of its own, with a vault of its own: however slow a search, nobody else waits for it, and the
    keys of old entries push out none that are in use."""

    def __init__(self, db: Database, vault: Vault) -> None:
        self.db = db
        self._vault = vault

    @classmethod
    async def open(cls, url: str, master: Master) -> Self:
        """Connect, and raise `RecordUnavailableError` when nobody answers."""
        db = await Database.open(url, size=AUDIT_CONNECTIONS_MAX, statement_seconds=AUDIT_STATEMENT_SECONDS)
        return cls(db, Vault(db, master))

    def hear_of_keys(self) -> None:
        """Take news that data keys were destroyed."""
        self._vault.hear()

    async def close(self) -> None:
        await self.db.close()

    async def page(self, wanted: Filter, *, after: int, limit: int) -> AuditPage:
        """Return entries after a position, in order, at most `limit`."""
        head = int(await self.db.value(SELECT_HEAD))
        indexed = await audit_index.covered(self.db, wanted)
        begin, end = await audit_index.bounds(self.db, wanted, head)
        after, indexed = max(after, begin), min(indexed, end)
        way = await audit_index.way(self.db, wanted, after, indexed) if after < indexed else Way(0)
        entries = audit_index.FIRST_ENTRIES
        rows: list[StoredRow] = []
        started = time.monotonic()
        while after < end and len(rows) < limit and time.monotonic() - started < SCAN_SECONDS:
            if after < indexed:
                entries = min(entries, audit_index.SCAN_ENTRIES)
                found, until = await self._of_index(wanted, way, after, indexed, limit - len(rows), entries)
                entries *= audit_index.STRETCH_GROWTH
            else:
                until = min(after + SCAN_EVENTS, end)
                asked = after, until, *_arguments(wanted), limit - len(rows)
                found = await self.db.all(StoredRow, SELECT_PAGE, *asked)
            rows += found
            after = rows[-1].position if len(rows) == limit else until
        return AuditPage(await self._entries(rows), after if after < end else None)

    async def _of_index(
        self, wanted: Filter, way: Way, after: int, until: int, limit: int, entries: int
    ) -> tuple[list[StoredRow], int]:
        """Return entries of a stretch of the index, and up to where it went."""
        if way.shared is None:
            positions, until = await audit_index.sought(self.db, wanted, way.lead, after, until, entries=entries)
        else:
            left = way.shared[bisect_right(way.shared, after) :]
            positions, until = list(left[:entries]), left[entries - 1] if len(left) > entries else until
        if not positions:
            return [], until
        asked = positions, until, *_arguments(wanted), limit
        return await self.db.all(StoredRow, SELECT_OF_INDEX, *asked), until

    async def entry(self, position: int) -> AuditEntry | None:
        """Return the entry at a position; None beyond the head."""
        entries = await self._entries(await self.db.all(StoredRow, SELECT_ENTRY, position))
        return entries[0] if entries else None

    async def _entries(self, rows: Sequence[StoredRow]) -> list[AuditEntry]:
        events = await decode_all(rows, self._vault, whole_meta=True)
        before = await self._before(rows)
        return [
            _entry(row, recorded, before.get(recorded.position)) for row, recorded in zip(rows, events, strict=True)
        ]

    async def _before(self, rows: Sequence[StoredRow]) -> dict[int, dict[str, Any]]:
        """Return, by position, what the stream of each row held until then, by field; first events have none."""
        later = {(row.stream, row.version - 1): row.position for row in rows if row.version > 1}
        stretches = _earlier(sorted(later))
        if not stretches:
            return {}
        earlier = await self.db.all(StoredRow, SELECT_EARLIER, *map(list, zip(*stretches, strict=True)))
        found: dict[int, dict[str, Any]] = {}
        told: dict[StreamId, _Told] = {}
        for recorded in await decode_all(earlier, self._vault):
            known = told.get(recorded.stream)
            if known is None or recorded.version != known.version + 1:
                known = told[recorded.stream] = _Told()
            known.take(recorded)
            if (position := later.get((recorded.stream, recorded.version))) is not None and not known.is_lost:
                found[position] = known.fields()
        return found


class _Told:
    """What consecutive events of a stream say of its fields: all of it from the first one on, otherwise what the last
    ones happen to hold."""

    def __init__(self) -> None:
        self.version = 0
        self.is_lost = False
        self._state: Any = None
        self._loose: dict[str, Any] = {}
        self._held: dict[str, Any] = {}

    def take(self, recorded: Recorded[Event]) -> None:
        e, self.version = recorded.event, recorded.version
        if isinstance(e, UnreadableEvent):
            self.is_lost = True  # from here on nobody knows what the stream had folded to
        if isinstance(e, UnknownEvent) or self.is_lost:
            return
        kind = STREAM_OF[e.topic]
        if self._state is not None or recorded.version == 1:
            self._state = kind.evolve(self._state, recorded)
        else:
            self._loose |= {name: getattr(e, name) for name in kind.state.__struct_fields__ if hasattr(e, name)}
        for name in REPLACED[kind.kind]:
            if name in e.__struct_fields__:
                self._held[name] = getattr(e, name)
            elif name in e.changes and name in self._held:
                self._held[name] = None

    def fields(self) -> dict[str, Any]:
        whole = self._loose if self._state is None else self._state
        return dict(msgspec.to_builtins(whole) | msgspec.to_builtins(self._held))


def _earlier(ends: Sequence[tuple[StreamId, int]]) -> list[tuple[StreamId, int, int]]:
    """Return stretches of streams (first and last version) that hold what came before each of these ends, in order."""
    most = min(BEFORE_EVENTS_MAX, BEFORE_EVENTS_OF_PAGE // max(1, len(ends)))
    stretches: list[tuple[StreamId, int, int]] = []
    for stream, last in ends:
        first = max(1, last - most + 1)
        if stretches and stretches[-1][0] == stream and first <= stretches[-1][2] + 1:
            first = stretches.pop()[1]
        stretches.append((stream, first, last))
    return stretches


def _arguments(wanted: Filter) -> tuple[object, ...]:
    actor = None if wanted.actor is None else str(wanted.actor)
    subject = None if wanted.subject is None else str(wanted.subject)
    return actor, wanted.room, subject, wanted.type, wanted.from_, wanted.to


def _entry(row: StoredRow, recorded: Recorded[Event], before: dict[str, Any] | None) -> AuditEntry:
    meta = recorded.meta
    fault = recorded.event.fault if isinstance(recorded.event, UnreadableEvent) else None
    data = {} if fault else _data(row, recorded.event)
    data = {field: value for field, value in data.items() if field not in SECRETS}
    return AuditEntry(
        recorded.position, read_written(row.topic).topic, recorded.stream, recorded.version, recorded.at, row.room_id, meta.id, meta.command, meta.actor,
        meta.session, meta.address, meta.agent, meta.correlation, meta.causation, meta.reason, data,
        None if before is None else _changed(recorded.event, data, before), recorded.erased,
        b64encode(leaf_hash(entry_of(EventRow(*astuple(row))))).decode(), fault,
    )  # fmt: skip


def _data(row: StoredRow, event: Event) -> dict[str, Any]:
    """Return the fields of an event; of an unknown topic what stands in the row, where that is an object."""
    if not isinstance(event, UnknownEvent):
        return dict(msgspec.to_builtins(event))
    try:
        plain = msgspec.json.decode(row.data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return {}
    return plain if isinstance(plain, dict) else {}


def _changed(event: Event, data: dict[str, Any], before: dict[str, Any]) -> dict[str, Any]:
    names = [*data, *(name for name in event.changes if name not in data)]
    return {name: before[name] for name in names if name in before and (name not in data or before[name] != data[name])}
