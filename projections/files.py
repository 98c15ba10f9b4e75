"""Files: what became of each upload, and its variants. Owns the tables `read.files` and `read.file_variants`.

Who may see a file is not kept here: it is its uploader's, and that of whoever may read a message which shows it, asked
at the time. `storage_path` is where the bytes stand that `/content` answers; a picture's is its re-encoded original.
A failed file keeps none, unless it is harmful: that one is locked away, and nothing here serves it.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any
from uuid import UUID

from msgspec import Meta, Struct
from msgspec.structs import replace

from domain.addresses import of_variant
from domain.authorization import file_relationships, standings, unknown
from domain.events import Recorded
from domain.file import FileCompleted, FileFailed, FileReceived, FileRetried, FileScanned
from domain.file_name import storage_path
from domain.file_snapshot import FileSnapshot, FileStatus, FileVariant, Scan
from domain.ids import FileId, MessageId, RoomId, UserId
from domain.ports.database import Db
from domain.processing import SENTENCES, Reason
from domain.rights import SeeingFile
from projections.relationship import SINCE, STANDING
from projections.tables import Change, Projection, Table

_ROW = """
    SELECT f.id, f.filename, f.original_name, f.mime_type, f.size_bytes, f.storage_path, f.status, f.uploader_id,
        f.created_at, f.processed_at, f.scan, f.pages, f.error,
        v.name, v.width, v.height, v.mime_type, v.size_bytes, v.storage_path
    FROM read.files f LEFT JOIN read.file_variants v ON v.file_id = f.id
"""
# `OFFSET 0`: the messages that show the file come first in every plan, however few files the others show.
SELECT_SEEN = (
    _ROW
    + """
    WHERE f.id = $2 AND CASE WHEN f.uploader_id = $1 THEN 'uploader' WHEN EXISTS (
        SELECT FROM (SELECT room_id, position FROM read.messages WHERE file_id = f.id AND NOT deleted OFFSET 0) msg
        JOIN read.rooms r ON r.id = msg.room_id LEFT JOIN read.room_members m ON m.room_id = r.id AND m.user_id = $1
        WHERE """
    + STANDING
    + " = ANY ($3::text[]) AND msg.position >= "
    + SINCE
    + """
    ) THEN 'reader' ELSE 'nobody' END = ANY ($4::text[])
    ORDER BY v.width * v.height, v.name
"""
)
SELECT_SHOWINGS = (
    "SELECT msg.id, msg.room_id, "
    + STANDING
    + " AS standing, msg.position >= "
    + SINCE
    + """
    FROM read.messages msg JOIN read.rooms r ON r.id = msg.room_id
    LEFT JOIN read.room_members m ON m.room_id = r.id AND m.user_id = $1
    WHERE msg.file_id = $2 AND NOT msg.deleted
    ORDER BY msg.position DESC LIMIT $3
"""
)
SELECT_SHOWN = _ROW + " WHERE f.id = ANY ($1::uuid[]) ORDER BY f.id, v.width * v.height, v.name"
SELECT_UNDER_WAY = """
    SELECT id, uploader_id, status, mime_type, created_at FROM read.files
    WHERE status IN ('pending', 'processing') AND (created_at, id) > ($1, $2) ORDER BY created_at, id LIMIT $3
"""
SELECT_FAILED = """
    SELECT id, error, processed_at FROM read.files WHERE status = 'failed' ORDER BY processed_at DESC, id DESC LIMIT $1
"""
BEGINNING = (datetime(1970, 1, 1, tzinfo=UTC), UUID(int=0))

FILES = Table(
    "read.files",
    key={"id": "uuid"},
    columns={
        "filename": "text",
        "original_name": "text",
        "mime_type": "text",
        "size_bytes": "bigint",
        "storage_path": "text",
        "status": "text",
        "uploader_id": "uuid",
        "created_at": "timestamptz",
        "processed_at": "timestamptz",
        "scan": "text",
        "pages": "int",
        "error": "text",
        "version": "int",
    },
)
VARIANTS = Table(
    "read.file_variants",
    key={"file_id": "uuid", "name": "text"},
    columns={"width": "int", "height": "int", "mime_type": "text", "size_bytes": "bigint", "storage_path": "text"},
)
ENDINGS = {
    "image/jpeg": "jpg",
    "image/png": "png",
    "image/gif": "gif",
    "image/webp": "webp",
    "application/pdf": "pdf",
    "text/plain": "txt",
}
PROGRESS: Mapping[FileStatus, float] = {"pending": 0.0, "processing": 0.5, "completed": 1.0, "failed": 1.0}


_Moment = Annotated[datetime, Meta(tz=True)]  # RFC 3339


class VariantView(Struct, frozen=True):
    width: int
    height: int
    mime_type: str
    size_bytes: int
    url: str


class FileError(Struct, frozen=True):
    """Why a file failed: a stable code, and the sentence that a person reads."""

    code: Reason
    detail: str


class FileView(Struct, frozen=True):
    """A file as whoever may see it does. `progress`: the share of the steps that are done, 0 to 1."""

    id: FileId
    filename: str
    original_name: str
    mime_type: str
    size_bytes: int
    uploader_id: UserId
    status: FileStatus
    progress: float
    scan: Scan | None
    variants: dict[str, VariantView]
    pages: int | None
    error: FileError | None
    created_at: _Moment
    processed_at: _Moment | None


class StoredFile(Struct, frozen=True):
    """A file, and where its bytes and those of its variants stand: for who serves them."""

    view: FileView
    storage_path: str
    variant_paths: dict[str, str]


async def seen(db: Db, user_id: UserId, file_id: FileId, operation: SeeingFile) -> StoredFile:
    """Return a file as this person may see it at this moment. Raises `DomainError` where they may not."""
    rows = await db.all(_row, SELECT_SEEN, user_id, file_id, standings(operation), file_relationships(operation))
    if not rows:
        raise unknown(operation)
    return _stored(rows)


class Showing(Struct, frozen=True):
    """A message that shows a file, what somebody is to its room, and whether the room's history lets them read it."""

    message_id: MessageId
    room_id: RoomId
    standing: str
    is_within_history: bool


async def showings(db: Db, user_id: UserId, file_id: FileId, *, limit: int) -> list[Showing]:
    """Return the messages that show a file, the latest first, as they are to somebody."""
    return await db.all(Showing, SELECT_SHOWINGS, user_id, file_id, limit)


class UnderWay(Struct, frozen=True):
    id: FileId
    uploader_id: UserId
    status: FileStatus
    mime_type: str
    created_at: datetime


class FailedFile(Struct, frozen=True):
    id: FileId
    reason: Reason
    failed_at: datetime


async def under_way(db: Db, *, after: tuple[datetime, UUID] = BEGINNING, limit: int) -> list[UnderWay]:
    """Return files that have not ended, the oldest first."""
    return await db.all(UnderWay, SELECT_UNDER_WAY, *after, limit)


async def failed_lately(db: Db, *, limit: int) -> list[FailedFile]:
    """Return files that failed, the latest first."""
    return await db.all(FailedFile, SELECT_FAILED, limit)


async def shown(db: Db, ids: Sequence[FileId]) -> dict[FileId, FileView]:
    """Return files that messages show; for whom these messages may be shown, the files may."""
    by_file: dict[FileId, list[tuple[Any, ...]]] = {}
    for row in await db.all(_row, SELECT_SHOWN, list(ids)):
        by_file.setdefault(FileId(row[0]), []).append(row)
    return {file_id: _stored(rows).view for file_id, rows in by_file.items()}


def shown_view(file_id: FileId, uploader_id: UserId, file: FileSnapshot) -> FileView:
    """Return a file as the message that showed it tells it: as it stood then."""
    return FileView(
        file_id, _filename(file_id, file.mime_type), file.original_name, file.mime_type, file.size_bytes, uploader_id,
        file.status, PROGRESS[file.status], file.scan, {form.name: _variant_view(file_id, form) for form in file.forms},
        file.pages, None, file.received_at, file.processed_at,
    )  # fmt: skip


def completed_view(recorded: Recorded[FileCompleted]) -> FileView:
    e = recorded.event
    return FileView(
        e.file_id, _filename(e.file_id, e.mime_type), e.original_name, e.mime_type, e.size_bytes, e.uploader_id,
        "completed", 1.0, e.scan, {v.name: _variant_view(e.file_id, v) for v in e.variants}, e.pages, None,
        e.received_at, recorded.at,
    )  # fmt: skip


def failed_view(recorded: Recorded[FileFailed]) -> FileView:
    e = recorded.event
    return FileView(
        e.file_id, _filename(e.file_id, e.mime_type), e.original_name, e.mime_type, e.size_bytes, e.uploader_id,
        "failed", 1.0, e.scan, {}, None, _error(e.reason), e.received_at, recorded.at,
    )  # fmt: skip


def blank_view(view: FileView) -> FileView:
    """Return what may be told of a file whose message is deleted: that it ended, and nothing of what it is."""
    return replace(
        view, filename=_filename(view.id, ""), original_name="", mime_type="", size_bytes=0, scan=None, variants={},
        pages=None,
    )  # fmt: skip


def received(recorded: Recorded[FileReceived]) -> Iterable[Change]:
    e = recorded.event
    yield FILES.new(
        e.file_id, filename=_filename(e.file_id, e.mime_type), original_name=e.original_name, mime_type=e.mime_type,
        size_bytes=e.size_bytes, storage_path=storage_path(e.blob), status="pending", uploader_id=e.uploader_id,
        created_at=recorded.at, processed_at=None, scan=None, pages=None, error=None, version=recorded.version,
    )  # fmt: skip


def scanned(recorded: Recorded[FileScanned]) -> Iterable[Change]:
    yield FILES.set(recorded.event.file_id, status="processing", scan=recorded.event.scan, version=recorded.version)


def completed(recorded: Recorded[FileCompleted]) -> Iterable[Change]:
    e = recorded.event
    yield FILES.set(
        e.file_id, status="completed", filename=_filename(e.file_id, e.mime_type), mime_type=e.mime_type,
        size_bytes=e.size_bytes, storage_path=storage_path(e.blob), pages=e.pages, processed_at=recorded.at,
        version=recorded.version,
    )  # fmt: skip
    for v in e.variants:
        yield VARIANTS.new(
            e.file_id, v.name, width=v.width, height=v.height, mime_type=v.mime_type, size_bytes=v.size_bytes,
            storage_path=storage_path(v.blob),
        )  # fmt: skip


def failed(recorded: Recorded[FileFailed]) -> Iterable[Change]:
    e = recorded.event
    kept = {} if e.reason in ("infected", "gave_up") else {"storage_path": ""}
    yield FILES.set(
        e.file_id, status="failed", error=e.reason, processed_at=recorded.at, version=recorded.version, **kept
    )


def retried(recorded: Recorded[FileRetried]) -> Iterable[Change]:
    e = recorded.event
    yield FILES.set(e.file_id, status=e.status, error=None, processed_at=None, version=recorded.version)


def _filename(file_id: FileId, mime_type: str) -> str:
    return f"{file_id}.{ENDINGS.get(mime_type, 'bin')}"


def _variant_view(file_id: FileId, v: FileVariant) -> VariantView:
    return VariantView(v.width, v.height, v.mime_type, v.size_bytes, of_variant(file_id, v.name))


def _error(reason: Reason | None) -> FileError | None:
    return None if reason is None else FileError(reason, SENTENCES[reason])


def _stored(rows: Sequence[tuple[Any, ...]]) -> StoredFile:
    """Make a file of its rows, one for each variant (or one without any)."""
    (file_id, filename, original_name, mime_type, size_bytes, path, status, uploader_id, created_at, processed_at, scan,
     pages, error) = rows[0][:13]  # fmt: skip
    made = [row[13:] for row in rows if row[13] is not None]
    variants = {row[0]: VariantView(row[1], row[2], row[3], row[4], of_variant(file_id, row[0])) for row in made}
    view = FileView(
        file_id, filename, original_name, mime_type, size_bytes, uploader_id, status, PROGRESS[status], scan, variants,
        pages, _error(error), created_at, processed_at,
    )  # fmt: skip
    return StoredFile(view, path, {row[0]: row[5] for row in made})


def _row(*columns: Any) -> tuple[Any, ...]:
    return columns


PROJECTION = Projection(
    tables=(FILES, VARIANTS),
    handlers={
        FileReceived: received,
        FileScanned: scanned,
        FileCompleted: completed,
        FileFailed: failed,
        FileRetried: retried,
    },
)
