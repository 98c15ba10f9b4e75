"""Files as somebody may see them, the messages that they are attached to, and how far files have got.

Whoever may read a message may see its file; that is asked in the statement that reads the file. A file is one row for each of
its variants, or one row if it has none, the smallest variant first.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import groupby
from uuid import UUID

from msgspec import Struct

from domain.addresses import of_variant
from domain.authorization import file_relationships, standings, unknown
from domain.file_snapshot import FileStatus, Scan
from domain.ids import FileId, MessageId, RoomId, UserId
from domain.ports.database import Db
from domain.processing import Ending
from domain.rights import SeeingFile
from projections.files import PROGRESS, FileView, VariantView, error_view

BEGINNING = (datetime(1970, 1, 1, tzinfo=UTC), UUID(int=0))

# `OFFSET 0`: the messages that the file is attached to come first in every plan, however few files the others have.
SELECT_SEEN = """
    SELECT f.id, f.filename, f.original_name, f.mime_type, f.size_bytes, f.storage_path, f.status, f.uploader_id,
        f.created_at, f.processed_at, f.scan, f.pages, f.error,
        v.name, v.width, v.height, v.mime_type, v.size_bytes, v.storage_path
    FROM read.files f LEFT JOIN read.file_variants v ON v.file_id = f.id
    WHERE f.id = $2 AND CASE WHEN f.uploader_id = $1 THEN 'uploader' WHEN EXISTS (
        SELECT FROM (SELECT room_id, position FROM read.messages WHERE file_id = f.id AND NOT deleted OFFSET 0) msg
        JOIN read.rooms r ON r.id = msg.room_id LEFT JOIN read.room_members m ON m.room_id = r.id AND m.user_id = $1
        WHERE read.standing(r.is_private, r.is_archived, m.role, m.is_banned) = ANY ($3::text[])
            AND msg.position >= read.readable_from(r.history, m.role, m.joined_position)
    ) THEN 'reader' ELSE 'nobody' END = ANY ($4::text[])
    ORDER BY v.width * v.height, v.name
"""
SELECT_LISTED = """
    SELECT f.id, f.filename, f.original_name, f.mime_type, f.size_bytes, f.storage_path, f.status, f.uploader_id,
        f.created_at, f.processed_at, f.scan, f.pages, f.error,
        v.name, v.width, v.height, v.mime_type, v.size_bytes, v.storage_path
    FROM read.files f LEFT JOIN read.file_variants v ON v.file_id = f.id
    WHERE f.id = ANY ($1::uuid[]) ORDER BY f.id, v.width * v.height, v.name
"""
SELECT_ATTACHMENTS = """
    SELECT msg.id AS message_id, msg.room_id, read.standing(r.is_private, r.is_archived, m.role, m.is_banned) AS standing,
        msg.position >= read.readable_from(r.history, m.role, m.joined_position) AS is_within_history
    FROM read.messages msg JOIN read.rooms r ON r.id = msg.room_id
    LEFT JOIN read.room_members m ON m.room_id = r.id AND m.user_id = $1
    WHERE msg.file_id = $2 AND NOT msg.deleted
    ORDER BY msg.position DESC LIMIT $3
"""
SELECT_UNFINISHED = """
    SELECT id, uploader_id, status, mime_type, created_at FROM read.files
    WHERE status IN ('pending', 'processing') AND (created_at, id) > ($1, $2) ORDER BY created_at, id LIMIT $3
"""
SELECT_FAILED = """
    SELECT id, error AS reason, processed_at AS failed_at FROM read.files
    WHERE status = 'failed' AND error <> 'expired' ORDER BY processed_at DESC, id DESC LIMIT $1
"""


class VariantRow(Struct, frozen=True):
    name: str
    width: int
    height: int
    mime_type: str
    size_bytes: int
    storage_path: str


class FileRow(Struct, frozen=True):
    id: FileId
    filename: str
    original_name: str
    mime_type: str
    size_bytes: int
    storage_path: str
    status: FileStatus
    uploader_id: UserId
    created_at: datetime
    processed_at: datetime | None
    scan: Scan | None
    pages: int | None
    error: Ending | None
    variant: VariantRow | None


class StoredFile(Struct, frozen=True):
    """A file, and where its bytes and those of its variants are stored: for whoever serves them."""

    view: FileView
    storage_path: str
    variant_paths: dict[str, str]


class Attachment(Struct, frozen=True):
    """A message that a file is attached to, what somebody is to its room, and whether the room's history lets them read
    it."""

    message_id: MessageId
    room_id: RoomId
    standing: str
    is_within_history: bool


class UnfinishedFile(Struct, frozen=True):
    id: FileId
    uploader_id: UserId
    status: FileStatus
    mime_type: str
    created_at: datetime


class FailedFile(Struct, frozen=True):
    id: FileId
    reason: Ending
    failed_at: datetime


async def one(db: Db, user_id: UserId, file_id: FileId, operation: SeeingFile) -> StoredFile:
    """Return a file as this person may see it at this moment. Raise `DomainError` if they may not."""
    rows = await db.all(FileRow, SELECT_SEEN, user_id, file_id, standings(operation), file_relationships(operation))
    if not rows:
        raise unknown(operation)
    return stored(rows)


async def views(db: Db, ids: Sequence[FileId]) -> dict[FileId, FileView]:
    """Return files by id, for people who may read messages that they are attached to; unknown ids are left out."""
    rows = await db.all(FileRow, SELECT_LISTED, list(ids))
    return {file_id: stored(list(of_file)).view for file_id, of_file in groupby(rows, lambda row: row.id)}


async def attachments(db: Db, user_id: UserId, file_id: FileId, *, limit: int) -> list[Attachment]:
    """Return the messages that a file is attached to, the latest first, as they are to somebody."""
    return await db.all(Attachment, SELECT_ATTACHMENTS, user_id, file_id, limit)


async def unfinished(db: Db, *, after: tuple[datetime, UUID] = BEGINNING, limit: int) -> list[UnfinishedFile]:
    """Return files that are neither completed nor failed, the oldest first."""
    return await db.all(UnfinishedFile, SELECT_UNFINISHED, *after, limit)


async def failed_lately(db: Db, *, limit: int) -> list[FailedFile]:
    """Return files that failed, the latest first."""
    return await db.all(FailedFile, SELECT_FAILED, limit)


def stored(rows: Sequence[FileRow]) -> StoredFile:
    """Return the file of these rows, which are one for each variant, or one without any."""
    file, variants = rows[0], [row.variant for row in rows if row.variant is not None]
    view = FileView(
        file.id, file.filename, file.original_name, file.mime_type, file.size_bytes, file.uploader_id, file.status,
        PROGRESS[file.status], file.scan, {v.name: _variant_view(file.id, v) for v in variants}, file.pages,
        error_view(file.error), file.created_at, file.processed_at,
    )  # fmt: skip
    return StoredFile(view, file.storage_path, {v.name: v.storage_path for v in variants})


def _variant_view(file_id: FileId, v: VariantRow) -> VariantView:
    return VariantView(v.width, v.height, v.mime_type, v.size_bytes, of_variant(file_id, v.name))
