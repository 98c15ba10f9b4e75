"""Files: what became of an upload, and the bytes of those that are clean, for whoever may see them.

How they come in: `gateway/routes/upload.py`.
"""

from datetime import datetime
from typing import Any
from uuid import UUID

from litestar import HttpMethod, Request, Response, get, route
from litestar.handlers import BaseRouteHandler
from msgspec import Struct
from msgspec.structs import replace

from domain.errors import FilePendingError, NoSuchFileError
from domain.events import Caller
from domain.file_snapshot import FileStatus, Scan
from domain.ids import FileId
from domain.ports.blobs import BlobMissingError, BlobsUnavailableError
from gateway.http import downloads
from gateway.http.declarations import Described, declare
from gateway.http.downloads import Content
from gateway.http.problems import Problem
from gateway.http.responses import shown
from gateway.operations.execution import me
from gateway.routes.time_travel import As, AsOf, look
from gateway.services import Services
from projections import file_queries, files, past_files
from projections.file_queries import StoredFile
from projections.files import FileError, FileView, VariantView

BLOB_CHARS = 64
# Endings of pictures' names. Anything else after a dot is part of the name.
PICTURE_ENDINGS = frozenset(
    {"jpg", "jpeg", "jpe", "jfif", "png", "apng", "gif", "webp", "avif", "tif", "tiff", "jp2", "j2k", "heic", "bmp"}
)


class StatusView(Struct, frozen=True):
    """`progress` is the share of the steps that are done, `scan` the scanner that judged the file, null before that."""

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
    """Raise `DomainError` if the caller may not know of the file."""
    await file_queries.one(services.db, me(caller), FileId(path["file_id"]), "file.read")


DOWNLOAD = declare("file.download", admit=admit, described=Described(is_download=True))


@get("/files/{file_id:uuid}", opt=declare("file.read", "audit.read", admit=admit))
async def read_file(
    request: Request[Any, Any, Any],
    file_id: UUID,
    services: Services,
    caller: Caller,
    as_of: AsOf | None = None,
    as_: As = None,
) -> Response[FileView]:
    """Return what is known of a file; `as_of`: what was known of it then."""
    seen = await look(request, services, caller, as_, as_of, admit=admit)
    stored = await file_queries.one(services.db, seen.viewer_id, FileId(file_id), "file.read")
    if seen.then is None:
        return shown(stored.view)
    views = await past_files.views(services.past, [FileId(file_id)], seen.then.position)
    if FileId(file_id) not in views:
        raise NoSuchFileError
    return shown(views[FileId(file_id)])


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


async def _completed(services: Services, caller: Caller, file_id: UUID) -> StoredFile:
    """Return a file that the caller may download now. Raise `DomainError` or `Problem` otherwise."""
    stored = await file_queries.one(services.db, me(caller), FileId(file_id), "file.download")
    if stored.view.error is not None:
        raise Problem(409, "file.failed", stored.view.error.detail)
    if stored.view.status != "completed" or not stored.storage_path:
        raise FilePendingError
    return stored


async def _answer(
    request: Request[Any, Any, Any], services: Services, path: str, name: str, view: FileView
) -> Response[Any]:
    assert view.processed_at is not None, "a completed file has been processed"
    content = Content(path[-BLOB_CHARS:], name, view.mime_type, view.size_bytes, view.processed_at)
    try:
        return await downloads.answer(request, services.blobs, content)
    except BlobMissingError as error:
        raise BlobsUnavailableError(f"the bytes of {view.id} are missing: {error}") from error


def _name(name: str, mime_type: str) -> str:
    """Return a name with the ending of what is downloaded, if that has another type than the upload had."""
    ending = files.EXTENSIONS.get(mime_type)
    if ending is None or not mime_type.startswith("image/"):
        return name
    stem, _, had = name.rpartition(".")
    if had.lower() == ending or (ending, had.lower()) == ("jpg", "jpeg"):
        return name
    return f"{stem if stem and had.lower() in PICTURE_ENDINGS else name}.{ending}"


ROUTES: list[BaseRouteHandler] = [read_file, read_status, read_content, read_variant]
