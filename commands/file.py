"""Files: receiving one, and recording what the saga found out about it. The saga's commands have no actor: no person
decides them.
"""

from msgspec import Struct

from commands.room import enter
from commands.unit_of_work import Handler, UnitOfWork
from domain import file as decide
from domain.account import ACCOUNT, require_active
from domain.file import FILE, Variant
from domain.file_snapshot import Scan
from domain.ids import FileId, RoomId, UserId
from domain.processing import Reason


class ReceiveFile(Struct, frozen=True):
    """The bytes are in the blob store already, under `blob`. `for_room` is the room in which the file is going to be shown."""

    file_id: FileId
    original_name: str
    mime_type: str
    size_bytes: int
    blob: str
    for_room: RoomId | None = None


class NoteScan(Struct, frozen=True):
    """`signature` is what was found, None if the file is clean. `moderator_ids` are notified beside the uploader if it is not."""

    file_id: FileId
    scan: Scan
    signature: str | None = None
    moderator_ids: tuple[UserId, ...] = ()


class NoteProcessing(Struct, frozen=True):
    """The variants' bytes are in the blob store already."""

    file_id: FileId
    variants: tuple[Variant, ...]
    pages: int | None = None


class FailFile(Struct, frozen=True):
    file_id: FileId
    reason: Reason


class RetryFile(Struct, frozen=True):
    file_id: FileId


async def may_receive(unit: UnitOfWork, for_room: RoomId | None) -> UserId:
    """Return the caller. Raise `DomainError` if they may not upload, or not for that room."""
    user_id = unit.caller.user_id
    assert user_id, "authentication lets no stranger here"
    if for_room is None:
        require_active(await unit.load(ACCOUNT, user_id))
    else:
        await enter(unit, for_room, "file.upload_for")
    return user_id


async def receive(command: ReceiveFile, unit: UnitOfWork) -> None:
    uploader_id = await may_receive(unit, command.for_room)
    events = decide.receive(
        await unit.load_new(FILE, command.file_id),
        file_id=command.file_id,
        uploader_id=uploader_id,
        original_name=command.original_name,
        mime_type=command.mime_type,
        size_bytes=command.size_bytes,
        blob=command.blob,
        for_room=command.for_room,
    )
    unit.write(FILE, command.file_id, events=events)


async def note_scan(command: NoteScan, unit: UnitOfWork) -> None:
    file = await unit.load(FILE, command.file_id)
    events = decide.note_scan(file, scan=command.scan, signature=command.signature, moderator_ids=command.moderator_ids)
    unit.write(FILE, command.file_id, events=events)


async def note_processing(command: NoteProcessing, unit: UnitOfWork) -> None:
    file = await unit.load(FILE, command.file_id)
    events = decide.note_processing(file, variants=command.variants, pages=command.pages)
    unit.write(FILE, command.file_id, events=events)


async def fail(command: FailFile, unit: UnitOfWork) -> None:
    unit.write(FILE, command.file_id, events=decide.fail(await unit.load(FILE, command.file_id), reason=command.reason))


async def retry(command: RetryFile, unit: UnitOfWork) -> None:
    unit.write(FILE, command.file_id, events=decide.retry(await unit.load(FILE, command.file_id)))


HANDLERS: dict[type[Struct], Handler] = {
    ReceiveFile: receive,
    NoteScan: note_scan,
    NoteProcessing: note_processing,
    FailFile: fail,
    RetryFile: retry,
}
