"""Downloads: a blob's bytes as an answer (RFC 9110: ranges, conditional requests) that is harmless to whoever opens it.

Only pictures that were made here are shown inline; everything else is an attachment. Nothing runs: the answer is sandboxed,
and browsers may not guess its type. It is private, and caches must ask again each time, so whoever has lost access does not
get it from one.
"""

import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from email.utils import format_datetime, parsedate_to_datetime
from typing import Any
from urllib.parse import quote

from litestar import Request, Response
from litestar.response import Stream
from msgspec import Struct

from domain.ports.blobs import Blobs
from gateway.http.preconditions import expects, knows, listed
from gateway.http.problems import Problem

INLINE = frozenset({"image/jpeg", "image/png", "image/gif", "image/webp"})
# Types that are named in the answer, because no browser runs them. Everything else is just bytes.
NAMED = INLINE | {"application/pdf", "text/plain", "application/zip", "audio/mpeg", "video/mp4", "application/ogg"}
RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})")


class Content(Struct, frozen=True):
    """A blob to download, and what the answer's headers say of it."""

    blob: str
    name: str
    mime_type: str
    size_bytes: int
    modified_at: datetime

    @property
    def etag(self) -> str:
        return f'"{self.blob}"'


async def answer(request: Request[Any, Any, Any], blobs: Blobs, content: Content) -> Response[Any]:
    """Answer GET and HEAD with the bytes or a part of them, with 304, 416, or a short-lived address of the store."""
    headers = {
        "ETag": content.etag,
        "Last-Modified": format_datetime(content.modified_at.astimezone(UTC).replace(microsecond=0), usegmt=True),
        "Cache-Control": "private, no-cache",
        "Accept-Ranges": "bytes",
        "Vary": "Authorization",
    }
    if not _is_expected(request, content):
        raise Problem(
            412, "file.changed", "This is not the version that was asked for.", headers={"ETag": content.etag}
        )
    if _is_unchanged(request, content):
        return Response(b"", status_code=304, headers=headers)
    mime_type = content.mime_type if content.mime_type in NAMED else "application/octet-stream"
    disposition = disposition_of(content)
    headers |= {
        "Content-Disposition": disposition,
        "Content-Security-Policy": "default-src 'none'; object-src 'none'; base-uri 'none'; frame-ancestors 'none'; sandbox",
        "Cross-Origin-Resource-Policy": "same-site",
    }
    # An address is signed for GET alone, so HEAD is answered here.
    wanted = request.method != "HEAD"
    if wanted and (address := await blobs.address(content.blob, disposition=disposition, mime_type=mime_type)):
        return Response(b"", status_code=307, headers={"Location": address, "Cache-Control": "private, no-store"})
    start, length, status = 0, content.size_bytes, 200
    if (part := _part(request, content)) is not None:
        start, length = part
        status = 206
        headers["Content-Range"] = f"bytes {start}-{start + length - 1}/{content.size_bytes}"
    headers["Content-Length"] = str(length)
    if request.method == "HEAD":
        return Response(b"", status_code=status, headers=headers, media_type=mime_type)
    pieces = blobs.read(content.blob, start=start, length=length)
    first = await anext(pieces, b"")  # if the store does not answer, that is an error before the answer has begun
    return Stream(_joined(first, pieces), status_code=status, headers=headers, media_type=mime_type)


def disposition_of(content: Content) -> str:
    """Return Content-Disposition (RFC 6266), with an ASCII name for old clients beside the real one."""
    kind = "inline" if content.mime_type in INLINE else "attachment"
    plain = re.sub(r'[^\x20-\x7e]|["\\%]', "_", content.name)
    return f"{kind}; filename=\"{plain}\"; filename*=UTF-8''{quote(content.name, safe='')}"


def _is_expected(request: Request[Any, Any, Any], content: Content) -> bool:
    """Return whether it is the version that the client expects (RFC 9110 13.2.2: If-Match beats If-Unmodified-Since)."""
    if (tags := listed(request.scope["headers"], b"if-match")) is not None:
        return expects(tags, content.etag)
    since = _time(request.headers.get("if-unmodified-since"))
    return since is None or content.modified_at.replace(microsecond=0) <= since


def _is_unchanged(request: Request[Any, Any, Any], content: Content) -> bool:
    """Return whether the client has it already (RFC 9110 13.2.2: If-None-Match beats If-Modified-Since)."""
    if (tags := listed(request.scope["headers"], b"if-none-match")) is not None:
        return knows(tags, content.etag)
    since = _time(request.headers.get("if-modified-since"))
    return since is not None and content.modified_at.replace(microsecond=0) <= since


def _part(request: Request[Any, Any, Any], content: Content) -> tuple[int, int] | None:
    """Return start and length of the requested range, or None for the whole, which also answers several ranges.

    Raise `Problem` (416) if the blob has nothing of it. Only GET has ranges (RFC 9110 14.2).
    """
    if request.method != "GET":
        return None
    found = RANGE.fullmatch(request.headers.get("range", "").strip())
    if found is None or not (found[1] or found[2]) or not _if_range(request, content):
        return None
    if not found[1]:
        length = min(int(found[2]), content.size_bytes)
        start = content.size_bytes - length
    else:
        start = int(found[1])
        last = min(int(found[2]) if found[2] else content.size_bytes - 1, content.size_bytes - 1)
        if found[2] and int(found[2]) < start:
            return None
        length = last - start + 1
    if length <= 0 or start >= content.size_bytes:
        raise Problem(
            416,
            "range.unsatisfiable",
            f"There are {content.size_bytes:,} bytes.",
            headers={"Content-Range": f"bytes */{content.size_bytes}"},
        )
    return start, length


def _if_range(request: Request[Any, Any, Any], content: Content) -> bool:
    given = request.headers.get("if-range")
    if given is None:
        return True
    if given.startswith(('"', "W/")):
        return given.strip() == content.etag
    return _time(given) == content.modified_at.replace(microsecond=0)


def _time(text: str | None) -> datetime | None:
    if not text:
        return None
    try:
        return parsedate_to_datetime(text).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


async def _joined(first: bytes, rest: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield first
    async for piece in rest:
        yield piece
