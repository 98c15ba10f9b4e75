"""File: an upload, from bytes that nobody may read to a file that a message can show, or to the reason why it cannot.

The aggregate is the saga's only memory: what is recorded here was done, whatever a queue or a worker has lost. Every
decision may be made twice, and changes nothing the second time. So each step may run twice, and a file ends once.

Receiving, sharing, scanning and processing are published in no room. The end of a file is, in the room that showed it
first; if there is none, the uploader alone hears of it. Names, hashes and variants are sealed for the uploader: when they
are erased, the file has no name, and nothing refers to its blobs any more.
"""

from datetime import datetime
from typing import ClassVar, assert_never
from uuid import UUID

from msgspec import Struct
from msgspec.structs import replace

from domain.authorization import of_file
from domain.errors import FileEndedError, FileNotRetryableError, FilePendingError, InvalidError, NoSuchFileError
from domain.events import Event, Recorded, Stream
from domain.file_snapshot import FileSnapshot, FileStatus, FileVariant, Scan
from domain.ids import FileId, MessageId, RoomId, UserId
from domain.integers import Int4, Int8
from domain.kinds import MessageType
from domain.processing import PROCESSED, UNSUPPORTED, Reason
from domain.rights import FileRelationship
from domain.variants import fault_of


class Variant(FileVariant, frozen=True):
    """A variant of a file and its bytes; `blob` is their SHA-256, in hex."""

    blob: str


class _OfFile(Event, frozen=True):
    file_id: FileId
    uploader_id: UserId

    def encryption_subject(self) -> tuple[UUID, RoomId | None]:
        return self.uploader_id, None


class FileReceived(_OfFile, frozen=True):
    """The bytes are stored under `blob`. Until the file is completed, messages can show it only in `for_room`, if given."""

    topic: ClassVar = "file.received"
    sealed: ClassVar = ("original_name", "blob")

    original_name: str
    mime_type: str
    size_bytes: Int8
    blob: str
    for_room: RoomId | None = None


class FileShared(_OfFile, frozen=True):
    """A message shows it in a room, for the first time there."""

    topic: ClassVar = "file.shared"

    room_id: RoomId
    message_id: MessageId


class FileScanned(_OfFile, frozen=True):
    """`signature` is what was found, None if the file is clean."""

    topic: ClassVar = "file.scanned"

    scan: Scan
    signature: str | None = None


class FileProcessed(_OfFile, frozen=True):
    topic: ClassVar = "file.processed"
    sealed: ClassVar = ("variants",)

    variants: tuple[Variant, ...] = ()
    pages: Int4 | None = None


class FileCompleted(_OfFile, frozen=True):
    """The whole file: from now on `mime_type`, `size_bytes` and `blob` are those of what is downloaded."""

    topic: ClassVar = "file.completed"
    sealed: ClassVar = ("original_name", "blob", "variants")

    room_id: RoomId | None
    original_name: str
    mime_type: str
    size_bytes: Int8
    scan: Scan
    received_at: datetime
    blob: str
    variants: tuple[Variant, ...] = ()
    pages: Int4 | None = None

    def frame_room(self) -> RoomId | None:
        return self.room_id


class FileFailed(_OfFile, frozen=True):
    """The end of a file that cannot be shown. `moderator_ids` are notified beside the uploader if the file is harmful."""

    topic: ClassVar = "file.failed"
    sealed: ClassVar = ("original_name",)

    room_id: RoomId | None
    original_name: str
    mime_type: str
    size_bytes: Int8
    scan: Scan | None
    received_at: datetime
    reason: Reason
    moderator_ids: tuple[UserId, ...] = ()

    def frame_room(self) -> RoomId | None:
        return self.room_id


class FileRetried(_OfFile, frozen=True):
    """An operator has a file tried again that was given up. It goes on at `status`, where it was."""

    topic: ClassVar = "file.retried"

    status: FileStatus


class FileErased(_OfFile, frozen=True):
    """Whose it was is erased, and the file with them. No room is told: its messages are deleted."""

    topic: ClassVar = "file.erased"


class FileExpired(_OfFile, frozen=True):
    """It is older than it may get, and no message shows it any more: its bytes are removed. Nothing comes after."""

    topic: ClassVar = "file.expired"
    changes: ClassVar = ("status",)


FileEvent = (
    FileReceived
    | FileShared
    | FileScanned
    | FileProcessed
    | FileCompleted
    | FileFailed
    | FileRetried
    | FileErased
    | FileExpired
)


class File(Struct, frozen=True):
    """As much of a file as decisions and the saga need. Messages show it in `rooms`, the first one first.

    Once it is completed, `mime_type` and `size_bytes` are those of what is downloaded.
    """

    file_id: FileId
    uploader_id: UserId
    original_name: str
    mime_type: str
    size_bytes: int
    blob: str
    for_room: RoomId | None
    received_at: datetime
    status: FileStatus = "pending"
    scan: Scan | None = None
    rooms: tuple[RoomId, ...] = ()
    reason: Reason | None = None
    processed_at: datetime | None = None
    forms: tuple[FileVariant, ...] = ()
    pages: int | None = None
    is_erased: bool = False
    is_expired: bool = False

    @property
    def is_over(self) -> bool:
        return self.status in ("completed", "failed")

    @property
    def room_id(self) -> RoomId | None:
        """The room in which the end of the file is published, or None."""
        return self.rooms[0] if self.rooms else None


def receive(
    file: File | None,
    *,
    file_id: FileId,
    uploader_id: UserId,
    original_name: str,
    mime_type: str,
    size_bytes: int,
    blob: str,
    for_room: RoomId | None,
) -> tuple[FileEvent, ...]:
    assert file is None, "every file gets a new id"
    return (FileReceived(file_id, uploader_id, original_name, mime_type, size_bytes, blob, for_room),)


def share(
    file: File | None, *, by: UserId, room_id: RoomId, message_id: MessageId, message_type: MessageType
) -> tuple[FileEvent, ...]:
    """Note that a message shows the file. Before it is completed that is possible in one room only."""
    relationship: FileRelationship = "uploader" if file is not None and file.uploader_id == by else "nobody"
    if (refusal := of_file("file.share", relationship)) is not None:
        raise refusal(pointer="/file_id")
    assert file is not None, "a file that does not exist has no uploader"
    if message_type == "image" and PROCESSED.get(file.mime_type) != "image":
        raise InvalidError("This file is no picture; its message is of type file.", pointer="/message_type")
    if file.status == "failed":
        raise FileEndedError(pointer="/file_id")
    if room_id in file.rooms:
        return ()
    if file.status != "completed" and (file.rooms or file.for_room not in (None, room_id)):
        raise FilePendingError(pointer="/file_id")
    return (FileShared(file.file_id, file.uploader_id, room_id, message_id),)


def snapshot_of(file: File) -> FileSnapshot:
    """Return what a message that shows the file says of it now."""
    return FileSnapshot(
        file.original_name, file.mime_type, file.size_bytes, file.status, file.scan, file.received_at,
        file.processed_at, file.forms, file.pages,
    )  # fmt: skip


def note_scan(
    file: File | None, *, scan: Scan, signature: str | None, moderator_ids: tuple[UserId, ...] = ()
) -> tuple[FileEvent, ...]:
    """Record the scanner's verdict. A harmful file fails at once, and a file that needs no processing is completed at once."""
    if file is None or file.status != "pending":
        return ()
    scanned = FileScanned(file.file_id, file.uploader_id, scan, signature)
    if signature is not None:
        return scanned, _failed(replace(file, scan=scan), "infected", moderator_ids)
    if file.mime_type in UNSUPPORTED:
        return scanned, _failed(replace(file, scan=scan), "unsupported", ())
    if file.mime_type not in PROCESSED:
        return scanned, _completed(replace(file, scan=scan), file.mime_type, file.size_bytes, file.blob, (), None)
    return (scanned,)


def note_processing(
    file: File | None, *, variants: tuple[Variant, ...], pages: int | None = None
) -> tuple[FileEvent, ...]:
    """Record the variants, and complete the file. A variant `original` is downloaded in place of the upload."""
    if file is None or file.status != "processing":
        return ()
    if (fault := fault_of(variants, pages)) is not None:
        raise InvalidError(f"This cannot have been made of a file: {fault}.")
    processed = FileProcessed(file.file_id, file.uploader_id, variants, pages)
    for variant in variants:
        if variant.name == "original":
            whole = (variant.mime_type, variant.size_bytes, variant.blob)
            return processed, _completed(file, *whole, variants, pages)
    return processed, _completed(file, file.mime_type, file.size_bytes, file.blob, variants, pages)


def fail(file: File | None, *, reason: Reason) -> tuple[FileEvent, ...]:
    """End a file as failed. A file that has ended already stays as it is."""
    if file is None or file.is_over:
        return ()
    return (_failed(file, reason, ()),)


def erase(file: File | None) -> tuple[FileEvent, ...]:
    """End a file for good, whatever became of it, because whose it is is erased: nothing of what it was is told."""
    return () if file is None or file.is_erased else (FileErased(file.file_id, file.uploader_id),)


def expire(file: File) -> tuple[FileEvent, ...]:
    """End a file for good because it is older than it may get: nothing of what it was is told."""
    return () if file.is_expired else (FileExpired(file.file_id, file.uploader_id),)


def retry(file: File | None) -> tuple[FileEvent, ...]:
    """Have a file tried again that was given up. A file that has not ended stays as it is."""
    if file is None:
        raise NoSuchFileError
    if not file.is_over:
        return ()
    if file.reason != "gave_up":
        raise FileNotRetryableError
    return (FileRetried(file.file_id, file.uploader_id, "processing" if file.scan else "pending"),)


def evolve(file: File | None, recorded: Recorded[FileEvent]) -> File:
    event = recorded.event
    if isinstance(event, FileReceived):
        return File(
            event.file_id, event.uploader_id, event.original_name, event.mime_type, event.size_bytes, event.blob,
            event.for_room, recorded.at,
        )  # fmt: skip
    assert file is not None, "a file is received before anything else happens to it"
    match event:
        case FileShared():
            return replace(file, rooms=(*file.rooms, event.room_id))
        case FileScanned():
            return replace(file, status="processing", scan=event.scan)
        case FileProcessed():
            return file
        case FileCompleted():
            forms = tuple(FileVariant(v.name, v.width, v.height, v.mime_type, v.size_bytes) for v in event.variants)
            return replace(
                file, status="completed", mime_type=event.mime_type, size_bytes=event.size_bytes,
                processed_at=recorded.at, forms=forms, pages=event.pages,
            )  # fmt: skip
        case FileFailed():
            return replace(file, status="failed", reason=event.reason)
        case FileRetried():
            return replace(file, status=event.status, reason=None)
        case FileErased():
            return replace(
                file, status="failed", reason=None, is_erased=True, original_name="", mime_type="", size_bytes=0, blob="",
                scan=None, forms=(), pages=None,
            )  # fmt: skip
        case FileExpired():
            return replace(file, status="failed", reason=None, original_name="", blob="", forms=(), is_expired=True)
        case _:
            assert_never(event)


def _completed(
    file: File, mime_type: str, size_bytes: int, blob: str, variants: tuple[Variant, ...], pages: int | None
) -> FileCompleted:
    assert file.scan is not None, "a file is scanned before it is completed"
    return FileCompleted(
        file.file_id, file.uploader_id, file.room_id, file.original_name, mime_type, size_bytes, file.scan,
        file.received_at, blob, variants, pages,
    )  # fmt: skip


def _failed(file: File, reason: Reason, moderator_ids: tuple[UserId, ...]) -> FileFailed:
    return FileFailed(
        file.file_id, file.uploader_id, file.room_id, file.original_name, file.mime_type, file.size_bytes, file.scan,
        file.received_at, reason, moderator_ids,
    )  # fmt: skip


FILE: Stream[File] = Stream("file", evolve, File, fold=3, subject=lambda file: (file.uploader_id, None))
EVENTS: tuple[type[Event], ...] = (
    FileReceived, FileShared, FileScanned, FileProcessed, FileCompleted, FileFailed, FileRetried, FileErased, FileExpired,
)  # fmt: skip
