"""The auditor's reading of the record: whole entries, with what is sealed of their metas, straight from the log.

Entries come in pages of bounded work: a request looks through at most `SCAN_EVENTS` events at a time and stops at a
full page, the end, or `SCAN_SECONDS`; a page may therefore hold fewer entries than asked for and still have a next one.
"""

import time
from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from msgspec import Struct

from adapters.codec import StoredRow, decode_all
from adapters.database import Database
from adapters.vault import Vault
from domain.facts import Event, Fault, Recorded, UnknownEvent, UnreadableEvent
from domain.ids import StreamId
from domain.topics import FEATURES, STREAM_OF

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
        AND ($6::text IS NULL OR topic = $6)
        AND ($7::timestamptz IS NULL OR recorded_at >= $7)
        AND ($8::timestamptz IS NULL OR recorded_at < $8)
    ORDER BY position LIMIT $9
"""
SELECT_ENTRY = """
    SELECT position, stream, version, topic, data, meta, room_id, recorded_at FROM record.events WHERE position = $1
"""
SELECT_EARLIER = """
    SELECT e.position, e.stream, e.version, e.topic, e.data, e.meta, e.room_id, e.recorded_at
    FROM unnest($1::uuid[], $2::int[]) asked (stream, version)
    JOIN record.events e ON e.stream = asked.stream AND e.version < asked.version
    ORDER BY e.stream, e.version
"""
SELECT_HEAD = "SELECT position FROM record.head"
SCAN_EVENTS = 50_000
SCAN_SECONDS = 1.0
# By kind of stream: what later events replace or end, and an earlier one may hold.
REPLACED = {stream.kind: frozenset(name for event in events for name in event.changes) for stream, events in FEATURES}
SECRETS = ("password_hash", "token_hash", "secret_hash")


class Filter(Struct, frozen=True):
    """What an auditor asks for; None asks for everything. `to` is exclusive."""

    actor: UUID | None = None
    room: UUID | None = None
    subject: UUID | None = None
    type: str | None = None
    from_: datetime | None = None
    to: datetime | None = None


class AuditEntry(Struct, frozen=True):
    """One event of the record, as it stands there. `before` has what the event's fields held until then. `unreadable` says
    what is wrong with a row that cannot be decoded; `data` is then empty."""

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
    unreadable: Fault | None = None


class AuditPage(Struct, frozen=True):
    """`next_after` None: the end of the record was reached."""

    entries: list[AuditEntry]
    next_after: int | None


class AuditReader:
    def __init__(self, db: Database, vault: Vault) -> None:
        self._db = db
        self._vault = vault

    async def page(self, wanted: Filter, *, after: int, limit: int) -> AuditPage:
        """Return entries after a position, in order, at most `limit`."""
        head = int(await self._db.value(SELECT_HEAD))
        rows: list[StoredRow] = []
        started = time.monotonic()
        while after < head and len(rows) < limit and time.monotonic() - started < SCAN_SECONDS:
            until = min(after + SCAN_EVENTS, head)
            found = await self._db.all(StoredRow, SELECT_PAGE, after, until, *_arguments(wanted), limit - len(rows))
            rows += found
            after = rows[-1].position if len(rows) == limit else until
        return AuditPage(await self._entries(rows), after if after < head else None)

    async def entry(self, position: int) -> AuditEntry | None:
        """Return the entry at a position; None beyond the head."""
        entries = await self._entries(await self._db.all(StoredRow, SELECT_ENTRY, position))
        return entries[0] if entries else None

    async def _entries(self, rows: Sequence[StoredRow]) -> list[AuditEntry]:
        facts = await decode_all(rows, self._vault, whole_meta=True)
        before = await self._before(rows)
        return [_entry(row, fact, before.get(fact.position)) for row, fact in zip(rows, facts, strict=True)]

    async def _before(self, rows: Sequence[StoredRow]) -> dict[int, dict[str, Any]]:
        """Return, by position, what the stream of each row held until then, by field; first events have none."""
        later = {(row.stream, row.version - 1): row.position for row in rows if row.version > 1}
        latest: dict[StreamId, int] = {}
        for stream, version in later:
            latest[stream] = max(version + 1, latest.get(stream, 0))
        earlier = await self._db.all(StoredRow, SELECT_EARLIER, list(latest), list(latest.values()))
        found: dict[int, dict[str, Any]] = {}
        states: dict[StreamId, Any] = {}
        held: dict[StreamId, dict[str, Any]] = {}
        lost: set[StreamId] = set()
        for fact in await decode_all(earlier, self._vault):
            if isinstance(fact.event, UnreadableEvent):
                lost.add(fact.stream)
            if isinstance(fact.event, UnknownEvent) or fact.stream in lost:
                continue  # from what cannot be read on nobody knows what the stream had folded to
            kind = STREAM_OF[fact.event.topic]
            states[fact.stream] = kind.evolve(states.get(fact.stream), fact)
            known = held.setdefault(fact.stream, {})
            for name in REPLACED[kind.kind]:
                if name in fact.event.__struct_fields__:
                    known[name] = getattr(fact.event, name)
                elif name in fact.event.changes and name in known:
                    known[name] = None
            if (position := later.get((fact.stream, fact.version))) is not None:
                found[position] = msgspec.to_builtins(states[fact.stream]) | msgspec.to_builtins(held[fact.stream])
        return found


def _arguments(wanted: Filter) -> tuple[object, ...]:
    actor = None if wanted.actor is None else str(wanted.actor)
    subject = None if wanted.subject is None else str(wanted.subject)
    return actor, wanted.room, subject, wanted.type, wanted.from_, wanted.to


def _entry(row: StoredRow, fact: Recorded[Event], before: dict[str, Any] | None) -> AuditEntry:
    meta = fact.meta
    fault = fact.event.fault if isinstance(fact.event, UnreadableEvent) else None
    data = {} if fault else _data(row, fact.event)
    data = {field: value for field, value in data.items() if field not in SECRETS}
    return AuditEntry(
        fact.position, row.topic, fact.stream, fact.version, fact.at, row.room_id, meta.id, meta.command, meta.actor,
        meta.session, meta.address, meta.agent, meta.correlation, meta.causation, meta.reason, data,
        None if before is None else _changed(fact.event, data, before), fact.erased, fault,
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
