"""Files: taking an upload in, telling what became of it, and giving out what is clean to whoever may see it."""

from contextlib import suppress
from datetime import datetime
from hashlib import sha256
from typing import Any
from uuid import UUID

from litestar import HttpMethod, Request, Response, get, post, route
from litestar.handlers import BaseRouteHandler
from msgspec import Struct
from msgspec.structs import replace

from commands.file import ReceiveFile, may_receive
from commands.unit_of_work import Outcome, UnitOfWork
from domain.errors import FilePendingError, NoSuchFileError, QuotaExceededError
from domain.events import Caller
from domain.file import FileReceived
from domain.file_snapshot import FileStatus, Scan
from domain.ids import FileId, RoomId
from domain.ports.blobs import BlobMissingError, BlobsUnavailableError
from domain.ports.record import RecordUnavailableError
from domain.ports.tasks import TasksUnavailableError
from domain.quotas import of_address
from domain.tasks import ScanFile
from gateway.edge import rate_limits
from gateway.http import downloads
from gateway.http.declarations import Described, declare
from gateway.http.downloads import Content
from gateway.http.idempotency import receipt_for, require_key
from gateway.http.multipart import Received, receiving
from gateway.http.problems import Problem
from gateway.http.responses import shown, written
from gateway.operations.execution import execute, me
from gateway.services import Services
from projections import file_queries, files
from projections.file_queries import StoredFile
from projections.files import FileError, FileView, VariantView

BLOB_CHARS = 64
# Endings that say of a name that it is a picture's; anything else after a dot is part of the name.
PICTURE_ENDINGS = frozenset(
    {"jpg", "jpeg", "jpe", "jfif", "png", "apng", "gif", "webp", "avif", "tif", "tiff", "jp2", "j2k", "heic", "bmp"}
)


UPLOAD_BODY = {
    "required": True,
    "content": {
        "multipart/form-data": {
            "schema": {
                "type": "object",
                "required": ["file"],
                "properties": {"file": {"type": "string", "format": "binary", "minLength": 1}},
                "additionalProperties": False,
            }
        }
    },
}


class UploadView(Struct, frozen=True):
    """`task_id` equals `id`."""

    task_id: FileId
    id: FileId
    status: FileStatus


class StatusView(Struct, frozen=True):
    """`progress`: the share of the steps that are done. `scan`: who judged it; null: nobody yet."""

    id: FileId
    status: FileStatus
    progress: float
    scan: Scan | None
    variants: dict[str, VariantView]
    pages: int | None
    error: FileError | None
    created_at: datetime
    processed_at: datetime | None


async def admit(services: Services, caller: Caller, path: dict[str, Any]) -> None:
    """Refuse who may not know of the file."""
    await file_queries.one(services.db, me(caller), FileId(path["file_id"]), "file.read")


DOWNLOAD = declare("file.download", admit=admit, described=Described(is_download=True))


@post(
    "/files/upload",
    status_code=202,
    request_max_body_size=None,
    opt=declare(
        "file.upload",
        "file.upload_for",
        quotas=("uploads",),
        idempotency="receipt",
        described=Described(makes="file_id", form=UPLOAD_BODY, refused_with=frozenset({408})),
    ),
)
async def upload(
    request: Request[Any, Any, Any], services: Services, caller: Caller, room_id: UUID | None = None
) -> Response[UploadView]:
    """Take a file in: multipart/form-data with one field, `file`. It can be downloaded once it was found clean.

    `room_id`: where it is going to be shown; until it is completed it can be shown only there.
    """
    for_room = None if room_id is None else RoomId(room_id)

    async def probe(unit: UnitOfWork) -> None:
        await may_receive(unit, for_room)

    await services.command_bus.admit(probe, caller)
    require_key(request)
    await _take_bytes(request, services, caller)
    bytes_max = services.policy.upload_bytes_max
    with services.uploads.take(me(caller), of_address(caller.address)) as slot:
        async with receiving(request, services.blobs.staging(), slot, bytes_max=bytes_max) as received:
            outcome, file_id = await _receive(request, services, caller, received, for_room)
    recorded = outcome.recorded(FileReceived)
    if recorded is not None:
        file_id = recorded.event.file_id
        with suppress(TasksUnavailableError):  # then the dispatcher finds it in the record
            await services.tasks.add(ScanFile(file_id, me(caller)))
    return written(outcome, UploadView(file_id, file_id, "processing"), status=202)


@get("/files/{file_id:uuid}", opt=declare("file.read", admit=admit))
async def read_file(file_id: UUID, services: Services, caller: Caller) -> Response[FileView]:
    """Return what is known of a file."""
    return shown((await file_queries.one(services.db, me(caller), FileId(file_id), "file.read")).view)


@get("/files/{file_id:uuid}/status", opt=declare("file.status", admit=admit))
async def read_status(file_id: UUID, services: Services, caller: Caller) -> Response[StatusView]:
    """Return how far a file is, and what was made of it."""
    view = (await file_queries.one(services.db, me(caller), FileId(file_id), "file.status")).view
    return shown(StatusView(**{name: getattr(view, name) for name in StatusView.__struct_fields__}))


@route("/files/{file_id:uuid}/content", http_method=[HttpMethod.GET, HttpMethod.HEAD], opt=DOWNLOAD)
async def read_content(
    request: Request[Any, Any, Any], file_id: UUID, services: Services, caller: Caller
) -> Response[Any]:
    """Return a file's bytes, once it is completed; a picture's are those of its re-encoded original."""
    stored = await _completed(services, caller, file_id)
    view = stored.view
    return await _answer(request, services, stored.storage_path, _name(view.original_name, view.mime_type), view)


@route("/files/{file_id:uuid}/variants/{name:str}", http_method=[HttpMethod.GET, HttpMethod.HEAD], opt=DOWNLOAD)
async def read_variant(
    request: Request[Any, Any, Any], file_id: UUID, name: str, services: Services, caller: Caller
) -> Response[Any]:
    """Return the bytes of a variant: `thumbnail`, `preview` or `original`."""
    stored = await _completed(services, caller, file_id)
    variant = stored.view.variants.get(name)
    if variant is None:
        raise NoSuchFileError("This file has no such variant.")
    view = replace(stored.view, mime_type=variant.mime_type, size_bytes=variant.size_bytes)
    shown_name = _name(f"{name} of {view.original_name}", variant.mime_type)
    return await _answer(request, services, stored.variant_paths[name], shown_name, view)


async def _receive(
    request: Request[Any, Any, Any], services: Services, caller: Caller, received: Received, for_room: RoomId | None
) -> tuple[Outcome, FileId]:
    """Store what was gathered, and record that it was: in this order, and held against the sweeper in between."""
    file_id = FileId(services.command_bus.new_id())
    command = ReceiveFile(
        file_id, received.original_name, received.mime_type, received.size_bytes, received.blob, for_room
    )
    said = f"{received.blob}\n{received.original_name}\n{for_room}"
    receipt = receipt_for(request, said.encode(), before=sha256(said.encode()).digest())
    quota = services.policy.storage_bytes_of_user
    if not await services.holds.reserve(me(caller), file_id, received.size_bytes, quota_bytes=quota):
        raise QuotaExceededError
    try:
        await services.holds.hold([received.blob])
        await services.blobs.put(received.blob, received.path)
        outcome = await execute(services, command, caller, receipt)
    except RecordUnavailableError:
        raise  # it may have been written: the reservation ends by itself
    except BaseException:
        await services.holds.release(file_id)
        raise
    if outcome.replayed:
        await services.holds.release(file_id)
    return outcome, file_id


async def _take_bytes(request: Request[Any, Any, Any], services: Services, caller: Caller) -> None:
    """Take what the upload says it is long out of the caller's quota of bytes (whatever it is longer is not read)."""
    quota = services.policy.quotas.upload_bytes
    if quota is not None:
        length = request.headers.get("content-length", "")
        cost = int(length) if length.isdecimal() else services.policy.upload_bytes_max
        access = request.scope["state"]["access"]
        await rate_limits.take(
            services.limits, request.scope, rate_limits.whose(request.scope, access),
            quota.at(max(1, cost)),
        )  # fmt: skip


async def _completed(services: Services, caller: Caller, file_id: UUID) -> StoredFile:
    """Return a file that may be downloaded at this moment by this person."""
    stored = await file_queries.one(services.db, me(caller), FileId(file_id), "file.download")
    if stored.view.error is not None:
        raise Problem(409, "file.failed", stored.view.error.detail)
    if stored.view.status != "completed" or not stored.storage_path:
        raise FilePendingError
    return stored


async def _answer(
    request: Request[Any, Any, Any], services: Services, path: str, name: str, view: FileView
) -> Response[Any]:
    assert view.processed_at is not None, "what is completed was processed at some time"
    content = Content(path[-BLOB_CHARS:], name, view.mime_type, view.size_bytes, view.processed_at)
    try:
        return await downloads.answer(request, services.blobs, content)
    except BlobMissingError as error:
        raise BlobsUnavailableError(f"the bytes of {view.id} are missing: {error}") from error


def _name(name: str, mime_type: str) -> str:
    """Return a name with the ending of what is downloaded, where that is something else than what was uploaded."""
    ending = files.EXTENSIONS.get(mime_type)
    if ending is None or not mime_type.startswith("image/"):
        return name
    stem, _, had = name.rpartition(".")
    if had.lower() == ending or (ending, had.lower()) == ("jpg", "jpeg"):
        return name
    return f"{stem if stem and had.lower() in PICTURE_ENDINGS else name}.{ending}"


ROUTES: list[BaseRouteHandler] = [upload, read_file, read_status, read_content, read_variant]
