"""Files: what became of each upload, and its variants. Owns the tables `read.files` and `read.file_variants`.

Who may see a file is not in the tables: its uploader may, and whoever may read a message that it is attached to, at the time
of asking (`projections/file_queries.py`). `storage_path` leads to the bytes that `/content` answers with; those of a picture
are its re-encoded original. A failed file has none, unless it is harmful: that one is locked away, and nothing here serves
it.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Annotated

from msgspec import Meta, Struct
from msgspec.structs import replace

from domain.addresses import of_variant
from domain.events import Recorded
from domain.file import FileCompleted, FileErased, FileExpired, FileFailed, FileReceived, FileRetried, FileScanned
from domain.file_name import storage_path
from domain.file_snapshot import FileSnapshot, FileStatus, FileVariant, Scan
from domain.ids import FileId, UserId
from domain.processing import EXPIRED, SENTENCES, Ending
from projections.tables import Change, Projection, Table

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
EXTENSIONS = {
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

    code: Ending
    detail: str


class FileView(Struct, frozen=True):
    """A file as those who may see it get it. `progress`: the share of the steps that are done, 0 to 1."""

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


def snapshot_view(file_id: FileId, uploader_id: UserId, file: FileSnapshot) -> FileView:
    """Return a file as it was when a message with it was posted."""
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
        "failed", 1.0, e.scan, {}, None, error_view(e.reason), e.received_at, recorded.at,
    )  # fmt: skip


def blank_view(view: FileView) -> FileView:
    """Return what clients may get of a file whose message is deleted: that it ended, and nothing of what it is."""
    return replace(
        view, filename=_filename(view.id, ""), original_name="", mime_type="", size_bytes=0, scan=None, variants={},
        pages=None,
    )  # fmt: skip


def error_view(reason: Ending | None) -> FileError | None:
    if reason is None:
        return None
    return FileError(reason, EXPIRED if reason == "expired" else SENTENCES[reason])


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


def erased(recorded: Recorded[FileErased]) -> Iterable[Change]:
    e = recorded.event
    yield FILES.set(
        e.file_id, filename=_filename(e.file_id, ""), original_name="", mime_type="", size_bytes=0, storage_path="",
        status="failed", scan=None, pages=None, error=None, processed_at=recorded.at, version=recorded.version,
    )  # fmt: skip
    yield VARIANTS.drop("file_id", e.file_id)


def retried(recorded: Recorded[FileRetried]) -> Iterable[Change]:
    e = recorded.event
    yield FILES.set(e.file_id, status=e.status, error=None, processed_at=None, version=recorded.version)


def expired(recorded: Recorded[FileExpired]) -> Iterable[Change]:
    e = recorded.event
    yield FILES.set(
        e.file_id, filename=_filename(e.file_id, ""), original_name="", mime_type="", size_bytes=0, storage_path="",
        status="failed", scan=None, pages=None, error="expired", processed_at=recorded.at, version=recorded.version,
    )  # fmt: skip
    yield VARIANTS.drop("file_id", e.file_id)


def _filename(file_id: FileId, mime_type: str) -> str:
    return f"{file_id}.{EXTENSIONS.get(mime_type, 'bin')}"


def _variant_view(file_id: FileId, v: FileVariant) -> VariantView:
    return VariantView(v.width, v.height, v.mime_type, v.size_bytes, of_variant(file_id, v.name))


PROJECTION = Projection(
    tables=(FILES, VARIANTS),
    handlers={
        FileReceived: received,
        FileScanned: scanned,
        FileCompleted: completed,
        FileFailed: failed,
        FileRetried: retried,
        FileErased: erased,
        FileExpired: expired,
    },
)
