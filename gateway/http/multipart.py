"""Uploads: one multipart body, taken piece by piece to the disk, hashed on the way, and refused the moment it is too much.

Nothing is kept in memory but the piece at hand. Whatever ends an upload before its end (a fault in it, a limit, a client
that goes away or falls silent) takes what was gathered with it.
"""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from hashlib import sha256
from pathlib import Path
from tempfile import mkstemp
from typing import Any, BinaryIO

from litestar import Request
from litestar.exceptions import HTTPException
from msgspec import Struct
from multipart import MultipartError, MultipartSegment, ParserLimitReached, PushMultipartParser, parse_options_header

from adapters.media.content_types import HEAD_BYTES, kind_of
from domain.file_name import file_name
from domain.ports.blobs import BlobsUnavailableError
from gateway.http.problems import Problem
from gateway.http.upload_slots import UPLOAD_BYTES_A_SECOND_MIN, UPLOAD_SHORT_BYTES_A_SECOND_MIN, UploadSlot
from gateway.protocol.faults import FAULTS_MAX, FieldError
from gateway.protocol.validation_errors import pointer

UPLOAD_CHUNK_BYTES = 512 * 1024
UPLOAD_HEADER_BYTES_MAX = 64 * 1024
UPLOAD_OVERHEAD_BYTES_MAX = 256 * 1024
UPLOAD_PARTS_MAX = 8  # one is taken; the others are told

FIELD = "file"
# What the parser says of a form, in words of ours.
SAID = {
    "Unexpected end of multipart stream (parser closed)": "It ends too early.",
    "Missing Content-Disposition segment header": "A part does not say which field it is.",
    "Boundary not found in first chunk": "It does not begin with the boundary that Content-Type names.",
}
OTHERWISE = "A part of it is not written as RFC 7578 has it."


class Received(Struct, frozen=True):
    """An upload that is whole, on the disk. `path` is gone when its block ends, if it was not taken before."""

    path: Path
    original_name: str
    mime_type: str
    size_bytes: int
    blob: str


@asynccontextmanager
async def receiving(
    request: Request[Any, Any, Any], staging: Path, slot: UploadSlot, *, bytes_max: int
) -> AsyncIterator[Received]:
    """Take the request's one file. Raises `Problem`: 400 no multipart, 408, 413, 415, 422."""
    boundary = _boundary(request)
    length = request.headers.get("content-length", "")
    if length.isdecimal() and int(length) > bytes_max + UPLOAD_OVERHEAD_BYTES_MAX:
        raise too_large(bytes_max)
    handle, name = await _make(staging)
    try:
        with os.fdopen(handle, "wb") as file:
            intake = _Intake(file, bytes_max)
            await _take(request, boundary, intake, slot)
        slot.whole()
        if intake.size_bytes == 0:
            raise _refused([FieldError("/file", "file.empty", "This file is empty.")])
        yield Received(
            Path(name), file_name(intake.name), kind_of(intake.head), intake.size_bytes, intake.digest.hexdigest()
        )
    finally:
        with suppress(FileNotFoundError):
            os.unlink(name)


def too_large(bytes_max: int) -> Problem:
    return Problem(
        413, "file.too_large", f"A file has at most {bytes_max:,} bytes here.", headers={"Connection": "close"}
    )


class _Intake:
    """The file of one upload, as far as it has come."""

    def __init__(self, file: BinaryIO, bytes_max: int) -> None:
        self.name = ""
        self.size_bytes = 0
        self.head = b""
        self.digest = sha256()
        self.begun = self.ended = False
        self.faults: list[FieldError] = []
        self._file = file
        self._bytes_max = bytes_max
        self._gathered = bytearray()

    def begin(self, segment: MultipartSegment) -> None:
        """Take a part for the file, or note what is wrong with it: then nothing more is kept."""
        if segment.name != FIELD:
            self._blame(pointer(segment.name or ""), "field.unknown", "This field is not known here.")
        elif self.begun:
            self._blame("/file", "field.duplicate", "One file is taken at a time.")
        elif segment.filename is None:
            self._blame("/file", "field.invalid", "This field must be a file, with a filename.")
        else:
            self.name = segment.filename
        self.begun = self.begun or segment.name == FIELD

    def _blame(self, at: str, code: str, detail: str) -> None:
        if len(self.faults) < FAULTS_MAX:
            self.faults.append(FieldError(at, code, detail))

    async def add(self, piece: bytes) -> None:
        self.size_bytes += len(piece)
        if self.size_bytes > self._bytes_max:
            raise too_large(self._bytes_max)
        self._gathered += piece
        if len(self._gathered) >= UPLOAD_CHUNK_BYTES:
            await self.flush()

    async def flush(self) -> None:
        chunk, self._gathered = bytes(self._gathered), bytearray()
        if len(self.head) < HEAD_BYTES:
            self.head += chunk[: HEAD_BYTES - len(self.head)]
        try:
            await asyncio.to_thread(self._write, chunk)
        except OSError as error:
            raise BlobsUnavailableError(f"An upload cannot be gathered: {error.strerror}") from error

    def _write(self, chunk: bytes) -> None:
        self._file.write(chunk)
        self.digest.update(chunk)


async def _take(request: Request[Any, Any, Any], boundary: str, intake: _Intake, slot: UploadSlot) -> None:
    parser = PushMultipartParser(
        boundary, max_header_size=UPLOAD_HEADER_BYTES_MAX, max_header_count=8, max_segment_count=UPLOAD_PARTS_MAX
    )
    overhead = 0
    chunks = aiter(request.stream())
    try:
        while not parser.closed:
            chunk = await _next(chunks, slot)
            slot.add(len(chunk))
            before = intake.size_bytes
            for event in parser.parse(chunk):
                match event:
                    case MultipartSegment():
                        intake.begin(event)
                    case None:
                        intake.ended = True
                    case piece if not intake.faults:
                        await intake.add(bytes(piece))
            overhead += len(chunk) - (intake.size_bytes - before)
            if overhead > UPLOAD_OVERHEAD_BYTES_MAX:
                _require_no(intake.faults)
                raise Problem(413, "body.too_large", "There is more around the file than in a form.")
    except ParserLimitReached:
        _require_no(intake.faults)
        raise Problem(413, "body.too_large", "A part's headers are too long, or there are too many parts.") from None
    except MultipartError as error:
        raise Problem(400, "body.not_multipart", f"The body is no multipart form: {_said(str(error))}") from None
    missing = [] if intake.begun else [FieldError("/file", "field.missing", "This field is needed.")]
    _require_no([*intake.faults, *missing])
    await intake.flush()


async def _next(chunks: AsyncIterator[bytes], slot: UploadSlot) -> bytes:
    """Return the next piece of the body, b"" at its end. Raises `Problem` for clients that go away or are too slow."""
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


async def _make(staging: Path) -> tuple[int, str]:
    try:
        return await asyncio.to_thread(mkstemp, dir=staging)
    except OSError as error:
        raise BlobsUnavailableError(f"An upload cannot be gathered: {error.strerror}") from error


def _said(sentence: str) -> str:
    return SAID.get(sentence, OTHERWISE)


def _require_no(faults: list[FieldError]) -> None:
    if faults:
        raise _refused(faults)


def _refused(faults: list[FieldError]) -> Problem:
    first = faults[0]
    return Problem(422, first.code, f"{first.pointer}: {first.detail}", errors=faults)
