"""Exports as operations: queued, running, and their packages. Owns the tables `read.exports` and `read.export_parts`."""

from datetime import UTC, datetime
from typing import Literal
from uuid import UUID

import msgspec
from msgspec import Struct

from domain.export import ExportRequested
from domain.ids import UserId
from domain.ports.database import Db

State = Literal["awaiting_approval", "queued", "running", "completed", "cancelled", "failed", "expired"]
SILENT_SECONDS = 60.0
LATEST = (datetime(9999, 1, 1, tzinfo=UTC), UUID(int=0))

INSERT = """
    INSERT INTO read.exports (id, requested_by, request, state) SELECT $1, $2, $3, $4
    WHERE (SELECT count(*) FROM read.exports WHERE state IN ('awaiting_approval', 'queued', 'running')) < $5 ON CONFLICT DO NOTHING
"""
SELECT = """
    SELECT id, requested_by, requested_at, request, state, run_by, heard_at, ended_at, progress, messages, storage_path, size_bytes,
        sha256, content_sha256, erased, fault, expires_at,
        coalesce(extract(epoch FROM clock_timestamp() - heard_at), 0)::float8 AS silent_seconds
    FROM read.exports WHERE id = $1
"""
SELECT_NEWEST = """
    SELECT id, requested_by, requested_at, request, state, run_by, heard_at, ended_at, progress, messages, storage_path, size_bytes,
        sha256, content_sha256, erased, fault, expires_at,
        coalesce(extract(epoch FROM clock_timestamp() - heard_at), 0)::float8 AS silent_seconds
    FROM read.exports WHERE (requested_at, id) < ($2, $3) ORDER BY requested_at DESC, id DESC LIMIT $1
"""
SELECT_UNDER_WAY = """
    SELECT id, requested_by, requested_at, request, state, run_by, heard_at, ended_at, progress, messages, storage_path, size_bytes,
        sha256, content_sha256, erased, fault, expires_at,
        coalesce(extract(epoch FROM clock_timestamp() - heard_at), 0)::float8 AS silent_seconds
    FROM read.exports WHERE state IN ('awaiting_approval', 'queued', 'running') ORDER BY requested_at, id
"""
SELECT_OVERDUE = """
    SELECT id FROM read.exports WHERE state = 'completed' AND expires_at < clock_timestamp() ORDER BY expires_at LIMIT $1
"""
SELECT_KEPT = "SELECT id FROM read.exports WHERE state = 'completed' AND requested_at < $1 ORDER BY id"
TELL = """
    UPDATE read.exports SET state = 'running', run_by = $2, progress = $3, messages = $4, heard_at = clock_timestamp()
    WHERE id = $1 AND state IN ('queued', 'running')
"""
KEEP = """
    UPDATE read.exports SET storage_path = $2, size_bytes = $3, sha256 = $4, content_sha256 = $5, messages = $6, erased = $7
    WHERE id = $1 AND state = 'running'
"""
COMPLETE = """
    UPDATE read.exports SET state = 'completed', progress = 1, ended_at = clock_timestamp(),
        expires_at = clock_timestamp() + make_interval(days => $2)
    WHERE id = $1 AND state = 'running'
"""
END = """
    UPDATE read.exports SET state = $2, fault = $3, ended_at = coalesce(ended_at, clock_timestamp()),
        expires_at = CASE WHEN $2 = 'expired' THEN least(expires_at, clock_timestamp()) ELSE expires_at END
    WHERE id = $1 AND (state IN ('awaiting_approval', 'queued', 'running') OR $2 = 'expired')
"""
APPROVE = "UPDATE read.exports SET state = 'queued' WHERE id = $1 AND state = 'awaiting_approval'"
# An empty recipient is one that nothing can be encrypted for: never none.
FORGET_RECIPIENTS = """
    UPDATE read.exports SET request = jsonb_set(request::jsonb, '{recipient}', '""')::text
    WHERE requested_by = $1 AND request::jsonb ->> 'recipient' <> ''
"""
INSERT_PART = """
    INSERT INTO read.export_parts (export_id, number, storage_path, place, counts, lengths) VALUES ($1, $2, $3, $4, $5, $6)
    ON CONFLICT DO NOTHING
"""
SELECT_PARTS = """
    SELECT export_id, number, storage_path, place, counts, lengths FROM read.export_parts WHERE export_id = $1 ORDER BY number
"""
# What has ended, and whose bytes may be there still: nobody holds them for longer than ten minutes (`HOLD_SECONDS` of `workers/exports/parts.py`).
SELECT_LEFT = """
    SELECT storage_path FROM read.exports
    WHERE storage_path <> '' AND state IN ('cancelled', 'failed', 'expired') AND requested_at < $1
    UNION SELECT p.storage_path FROM read.export_parts p JOIN read.exports e ON e.id = p.export_id
    WHERE e.state IN ('completed', 'cancelled', 'failed', 'expired') AND e.requested_at < $1
"""
DELETE_PARTS = """
    DELETE FROM read.export_parts p USING read.exports e
    WHERE e.id = p.export_id AND e.state IN ('completed', 'cancelled', 'failed', 'expired')
        AND e.ended_at < clock_timestamp() - interval '2 hours'
"""
FORGET_PACKAGES = """
    UPDATE read.exports SET storage_path = '' WHERE storage_path <> '' AND state IN ('cancelled', 'failed', 'expired')
        AND greatest(ended_at, expires_at) < clock_timestamp() - interval '2 hours'
"""


class ExportRow(Struct, frozen=True):
    id: UUID
    requested_by: UserId
    requested_at: datetime
    request: str
    state: State
    run_by: str | None
    heard_at: datetime | None
    ended_at: datetime | None
    progress: float
    messages: int
    storage_path: str
    size_bytes: int
    sha256: str
    content_sha256: str
    erased: int
    fault: str | None
    expires_at: datetime | None
    silent_seconds: float

    @property
    def requested(self) -> ExportRequested:
        return msgspec.json.decode(self.request, type=ExportRequested)

    @property
    def is_silent(self) -> bool:
        """Whether nobody has been heard of for so long that whoever made it is taken for dead."""
        return self.state == "running" and self.silent_seconds > SILENT_SECONDS


class ExportId(Struct, frozen=True):
    id: UUID


class PartRow(Struct, frozen=True):
    """`place`, `counts` and `lengths` are JSON of whoever makes exports."""

    export_id: UUID
    number: int
    storage_path: str
    place: str
    counts: str
    lengths: str


async def ask(db: Db, requested: ExportRequested, *, at_once: int, waits: bool = False) -> bool:
    """Queue an export, or have it wait for an approval. Return False if there are as many as may be at once."""
    request = msgspec.json.encode(requested).decode()
    state: State = "awaiting_approval" if waits else "queued"
    return await db.run(INSERT, requested.export_id, requested.requested_by, request, state, at_once) == "INSERT 0 1"


async def of(db: Db, export_id: UUID) -> ExportRow | None:
    return await db.one(ExportRow, SELECT, export_id)


async def newest(db: Db, *, before: tuple[datetime, UUID] = LATEST, limit: int) -> list[ExportRow]:
    """Return what was asked for before a place, the latest first."""
    return await db.all(ExportRow, SELECT_NEWEST, limit, *before)


async def under_way(db: Db) -> list[ExportRow]:
    """Return what waits, is queued or runs, the oldest first."""
    return await db.all(ExportRow, SELECT_UNDER_WAY)


async def approve(db: Db, export_id: UUID) -> None:
    """Queue an export that waited for an approval."""
    await db.run(APPROVE, export_id)


async def overdue(db: Db, *, limit: int) -> list[UUID]:
    """Return the exports whose packages have been kept for long enough."""
    return [row.id for row in await db.all(ExportId, SELECT_OVERDUE, limit)]


async def kept(db: Db, before: datetime) -> list[UUID]:
    """Return the exports that have a package, and were asked for before a time."""
    return [row.id for row in await db.all(ExportId, SELECT_KEPT, before)]


async def tell(db: Db, export_id: UUID, *, run_by: str, progress: float, messages: int) -> bool:
    """Note that somebody makes it, and how far it is. Return False if it is not to be made any more."""
    return await db.run(TELL, export_id, run_by, progress, messages) == "UPDATE 1"


async def keep(
    db: Db,
    export_id: UUID,
    *,
    storage_path: str,
    size_bytes: int,
    sha256: str,
    content_sha256: str,
    messages: int,
    erased: int,
) -> bool:
    """Note the package, which is not given out yet. Return False if it is not wanted any more."""
    noted = await db.run(KEEP, export_id, storage_path, size_bytes, sha256, content_sha256, messages, erased)
    return noted == "UPDATE 1"


async def complete(db: Db, export_id: UUID, *, days: int) -> None:
    """Give out the package that was noted, for so many days."""
    await db.run(COMPLETE, export_id, days)


async def end(db: Db, export_id: UUID, state: State, fault: str | None = None) -> None:
    """End an export that is under way, or have a completed one expire."""
    await db.run(END, export_id, state, fault)


async def forget_recipients(db: Db, user_id: UserId) -> None:
    """Forget the keys for which exports that somebody asked for are encrypted. They have ended before."""
    await db.run(FORGET_RECIPIENTS, user_id)


async def add_part(db: Db, part: PartRow) -> bool:
    """Note a finished part. Return False if somebody else has: they make this export now."""
    added = await db.run(
        INSERT_PART, part.export_id, part.number, part.storage_path, part.place, part.counts, part.lengths
    )
    return added == "INSERT 0 1"


async def parts(db: Db, export_id: UUID) -> list[PartRow]:
    """Return the finished parts, in order."""
    return await db.all(PartRow, SELECT_PARTS, export_id)


async def left(db: Db, before: datetime) -> list[str]:
    """Return where the bytes were of what was asked for before a time and has ended: of packages, and of their parts, which nothing
    refers to any more."""
    return await db.all(str, SELECT_LEFT, before)


async def forget_left(db: Db) -> None:
    """Forget those that nobody can hold any more."""
    await db.run(DELETE_PARTS)
    await db.run(FORGET_PACKAGES)
