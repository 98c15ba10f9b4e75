"""CORS: what pages of the origins on the operator's list may send, and what they may read of an answer.

By hand, because refusals and unrouted addresses carry these headers too; a framework's middleware sees neither.
"""

from typing import Any

EXPOSED = (
    b"Accept-Ranges, Allow, Content-Disposition, Content-Range, ETag, Hansard-Position, Idempotency-Replayed, Last-Modified, "
    b"X-Request-Id, Retry-After, RateLimit, RateLimit-Policy"
)
ALLOWED_HEADERS = (
    b"Authorization, Content-Type, Idempotency-Key, If-Match, If-None-Match, If-Modified-Since, If-Unmodified-Since, "
    b"If-Range, Range, Hansard-After, Hansard-Reason, X-Request-Id, traceparent"
)
ALLOWED_METHODS = b"GET, HEAD, POST, PUT, PATCH, DELETE"
PREFLIGHT_SECONDS = b"600"

Headers = list[tuple[bytes, bytes]]


def is_preflight(method: str, headers: dict[bytes, bytes]) -> bool:
    return method == "OPTIONS" and bool(headers.get(b"origin")) and b"access-control-request-method" in headers


def headers_for(origin: bytes | None) -> Headers:
    """Return the headers of an answer to a page of this origin; none for None, an origin that is not listed."""
    if not origin:
        return []
    return [
        (b"access-control-allow-origin", origin),
        (b"access-control-expose-headers", EXPOSED),
        (b"vary", b"Origin"),
    ]


async def answer_preflight(send: Any, origin: bytes | None) -> None:
    """Answer a preflight; for None, an origin that is not listed, without the headers that would allow anything."""
    headers = [(b"vary", b"Origin"), (b"content-length", b"0")]
    if origin:
        headers += [
            (b"access-control-allow-origin", origin),
            (b"access-control-allow-methods", ALLOWED_METHODS),
            (b"access-control-allow-headers", ALLOWED_HEADERS),
            (b"access-control-max-age", PREFLIGHT_SECONDS),
        ]
    await send({"type": "http.response.start", "status": 204, "headers": headers})
    await send({"type": "http.response.body", "body": b""})
