"""Tasks: what is to be done with a file next, with a read model or an export, as small structs that a person can read in the
queue.

A task is only a hint: the file itself (or the row of the rebuild or export) says whether it is still to be done, and doing it twice
changes nothing.
"""

from typing import Literal
from uuid import UUID

from msgspec import Struct

from domain.file_snapshot import FileStatus
from domain.ids import FileId, UserId
from domain.processing import PROCESSED

Kind = Literal["scan", "image", "document", "rebuild", "export"]
FILE_KINDS: tuple[Kind, ...] = ("scan", "image", "document")
KINDS: tuple[Kind, ...] = (*FILE_KINDS, "rebuild", "export")
ImageOperation = Literal["thumbnail", "resize", "compress"]
DocumentOperation = Literal["count_pages", "preview"]


class ScanFile(Struct, frozen=True, tag=True):
    file_id: FileId
    user_id: UserId


class ProcessImage(Struct, frozen=True, tag=True):
    """`thumbnail` and `resize` make the variants `thumbnail` and `preview`, `compress` the `original`."""

    file_id: FileId
    user_id: UserId
    operations: tuple[ImageOperation, ...] = ("thumbnail", "resize", "compress")


class ProcessDocument(Struct, frozen=True, tag=True):
    file_id: FileId
    user_id: UserId
    operations: tuple[DocumentOperation, ...] = ("count_pages", "preview")


class RebuildProjection(Struct, frozen=True, tag=True):
    """`version` is that of the code which is to build it; workers of another release leave it to those."""

    rebuild_id: UUID
    projection: str
    version: int


class MakeExport(Struct, frozen=True, tag=True):
    export_id: UUID


FileTask = ScanFile | ProcessImage | ProcessDocument
Task = FileTask | RebuildProjection | MakeExport
KIND_OF: dict[type[Struct], Kind] = {
    ScanFile: "scan", ProcessImage: "image", ProcessDocument: "document", RebuildProjection: "rebuild",
    MakeExport: "export",
}  # fmt: skip
TYPE_OF = {kind: each for each, kind in KIND_OF.items()}


def name_of(kind: Kind, subject: UUID) -> str:
    """Return what the queue calls the task of this kind that is about this."""
    return f"{TYPE_OF[kind].__name__} {subject}"


def subject_of(task: Task) -> UUID:
    """Return what a task is about: a file, a rebuild or an export."""
    match task:
        case RebuildProjection():
            return task.rebuild_id
        case MakeExport():
            return task.export_id
    return task.file_id


def next_task(file_id: FileId, user_id: UserId, status: FileStatus, mime_type: str) -> FileTask | None:
    """Return what is to be done with a file of this status, or None if nothing is."""
    if status == "pending":
        return ScanFile(file_id, user_id)
    if status != "processing":
        return None
    match PROCESSED.get(mime_type):
        case "image":
            return ProcessImage(file_id, user_id)
        case "document":
            return ProcessDocument(file_id, user_id)
    return None
