"""Multipart: the one file of an upload, taken out of its form piece by piece, and refused the moment it is too much.

Whatever ends an upload before its end (a fault in it, a limit, a client that goes away or sends nothing more) removes what
was gathered (`gateway/http/staged_file.py`).
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from litestar import Request
from litestar.exceptions import HTTPException
from msgspec import Struct
from multipart import MultipartError, MultipartSegment, ParserLimitReached, PushMultipartParser, parse_options_header

from adapters.media.content_types import kind_of
from domain.file_name import file_name
from gateway.http.problems import Problem
from gateway.http.staged_file import StagedFile, staged, too_large
from gateway.http.upload_slots import UPLOAD_BYTES_A_SECOND_MIN, UPLOAD_SHORT_BYTES_A_SECOND_MIN, UploadSlot
from gateway.protocol.faults import FAULTS_MAX, FieldError
from gateway.protocol.validation_errors import pointer

UPLOAD_HEADER_BYTES_MAX = 64 * 1024
UPLOAD_OVERHEAD_BYTES_MAX = 256 * 1024
UPLOAD_PARTS_MAX = 8  # one is taken; the others are reported

FIELD = "file"
# The parser's sentences in words of ours.
REWORDED = {
    "Unexpected end of multipart stream (parser closed)": "It ends too early.",
    "Missing Content-Disposition segment header": "A part does not say which field it is.",
    "Boundary not found in first chunk": "It does not begin with the boundary that Content-Type names.",
}
OTHERWISE = "A part of it is not written as RFC 7578 has it."


class Received(Struct, frozen=True):
    """A complete upload, on the disk. `path` is gone when its block ends, unless it was moved before."""

    path: Path
    original_name: str
    mime_type: str
    size_bytes: int
    blob: str


@asynccontextmanager
async def receiving(
    request: Request[Any, Any, Any], staging: Path, slot: UploadSlot, *, bytes_max: int
) -> AsyncIterator[Received]:
    """Take the request's one file. Raise `Problem`: 400 no multipart, 408, 413, 415, 422."""
    boundary = _boundary(request)
    length = request.headers.get("content-length", "")
    if length.isdecimal() and int(length) > bytes_max + UPLOAD_OVERHEAD_BYTES_MAX:
        raise too_large(bytes_max)
    async with staged(staging, bytes_max) as file:
        form = _Form()
        await _take(request, boundary, form, file, slot)
        file.close()
        slot.complete()
        if file.size_bytes == 0:
            raise _refused([FieldError("/file", "file.empty", "This file is empty.")])
        yield Received(
            file.path, file_name(form.file_name), kind_of(file.head), file.size_bytes, file.digest.hexdigest()
        )


class _Form:
    """The parts of a form, and what is wrong with them."""

    def __init__(self) -> None:
        self.file_name = ""
        self.has_file = False
        self.faults: list[FieldError] = []

    def begin_part(self, segment: MultipartSegment) -> None:
        """Accept a part as the file, or note what is wrong with it: then nothing more is kept."""
        if segment.name != FIELD:
            self._blame(pointer(segment.name or ""), "field.unknown", "This field is not known here.")
        elif self.has_file:
            self._blame("/file", "field.duplicate", "One file is taken at a time.")
        elif segment.filename is None:
            self._blame("/file", "field.invalid", "This field must be a file, with a filename.")
        else:
            self.file_name = segment.filename
        self.has_file = self.has_file or segment.name == FIELD

    def require_faultless(self) -> None:
        if self.faults:
            raise _refused(self.faults)

    def require_file(self) -> None:
        if not self.has_file:
            self.faults.append(FieldError("/file", "field.missing", "This field is needed."))
        self.require_faultless()

    def _blame(self, at: str, code: str, detail: str) -> None:
        if len(self.faults) < FAULTS_MAX:
            self.faults.append(FieldError(at, code, detail))


async def _take(
    request: Request[Any, Any, Any], boundary: str, form: _Form, file: StagedFile, slot: UploadSlot
) -> None:
    """Read the body to its end, and write the file's bytes."""
    parser = PushMultipartParser(
        boundary, max_header_size=UPLOAD_HEADER_BYTES_MAX, max_header_count=8, max_segment_count=UPLOAD_PARTS_MAX
    )
    overhead = 0
    chunks = aiter(request.stream())
    try:
        while not parser.closed:
            chunk = await _next(chunks, slot)
            slot.add(len(chunk))
            before = file.size_bytes
            await _parse(parser, chunk, form, file)
            overhead += len(chunk) - (file.size_bytes - before)
            if overhead > UPLOAD_OVERHEAD_BYTES_MAX:
                form.require_faultless()
                raise Problem(413, "body.too_large", "There is more around the file than in a form.")
    except ParserLimitReached:
        form.require_faultless()
        raise Problem(413, "body.too_large", "A part's headers are too long, or there are too many parts.") from None
    except MultipartError as error:
        why = REWORDED.get(str(error), OTHERWISE)
        raise Problem(400, "body.not_multipart", f"The body is no multipart form: {why}") from None
    form.require_file()
    await file.flush()


async def _parse(parser: PushMultipartParser, chunk: bytes, form: _Form, file: StagedFile) -> None:
    for event in parser.parse(chunk):
        match event:
            case MultipartSegment():
                form.begin_part(event)
            case None:
                pass  # a part has ended
            case piece if not form.faults:
                await file.add(bytes(piece))


async def _next(chunks: AsyncIterator[bytes], slot: UploadSlot) -> bytes:
    """Return the next piece of the body, b"" at its end. Raise `Problem` if the client goes away or is too slow."""
    try:
        if (seconds := slot.seconds_left()) <= 0:
            raise TimeoutError
        async with asyncio.timeout(seconds) as timeout:
            with slot.waiting(timeout):
                return await anext(chunks, b"")
    except TimeoutError:
        detail = (
            f"The upload came too slowly: {UPLOAD_BYTES_A_SECOND_MIN:,} bytes a second are expected on average, "
            f"and {UPLOAD_SHORT_BYTES_A_SECOND_MIN:,} while many upload."
        )
        raise Problem(408, "body.timeout", detail, headers={"Connection": "close"}) from None
    except HTTPException:
        raise Problem(400, "body.broken_off", "The upload was broken off.") from None


def _boundary(request: Request[Any, Any, Any]) -> str:
    media_type, options = parse_options_header(request.headers.get("content-type", ""))
    if media_type != "multipart/form-data":
        raise Problem(
            415, "body.media_type", "The body must be multipart/form-data, with the file in the field 'file'."
        )
    boundary = options.get("boundary", "")
    if not 1 <= len(boundary) <= 200 or not boundary.isascii() or not boundary.isprintable():
        raise Problem(400, "body.not_multipart", "The body's boundary is missing or cannot be one.")
    return str(boundary)


def _refused(faults: list[FieldError]) -> Problem:
    first = faults[0]
    return Problem(422, first.code, f"{first.pointer}: {first.detail}", errors=faults)
