"""Response headers for browsers: on every answer, including preflights, refused handshakes and "400". And how to tell a
browser from a program.
"""

import re
from typing import Any

ALWAYS = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-frame-options", b"DENY"),
)
# An answer is data: opened as a page it may load nothing, and nobody may frame it. A route may set its own headers.
UNLESS_PRESENT = (
    (
        b"content-security-policy",
        b"default-src 'none'; object-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
    ),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cache-control", b"no-store"),
)
FRONT_PAGE = "/"  # for browsers alone
HTML = re.compile(r"\s*text/html\s*(?:;(?P<parameters>.*))?", re.IGNORECASE)
REFUSED = re.compile(r"\s*q\s*=\s*0(?:\.0*)?\s*", re.IGNORECASE)
HSTS = (b"strict-transport-security", b"max-age=31536000; includeSubDomains")


def with_browser_headers(send: Any, is_secure: bool) -> Any:
    """Return a `send` that adds them. To HTTP answers the server itself adds `ALWAYS` (gateway/server/uvicorn_server.py)."""
    tls = (HSTS,) if is_secure else ()

    async def add(message: Any) -> None:
        kind = message["type"]
        if kind in ("http.response.start", "websocket.http.response.start"):
            present = {name.lower() for name, _ in message.get("headers", ())}
            added = [header for header in UNLESS_PRESENT if header[0] not in present]
            always = ALWAYS if kind == "websocket.http.response.start" else ()
            message = {**message, "headers": [*message.get("headers", ()), *added, *always, *tls]}
        await send(message)

    return add


def without_body(send: Any) -> Any:
    """Return a `send` for HEAD: the headers of the answer to GET, without the body (RFC 9110 9.3.2)."""

    async def drop(message: Any) -> None:
        await send({**message, "body": b""} if message["type"] == "http.response.body" else message)

    return drop


def wants_page(accept: str) -> bool:
    """Return whether an Accept names HTML itself (RFC 9110 12.5.1); programs send `*/*`."""
    found = (HTML.fullmatch(each) for each in accept.split(","))
    return any(
        each is not None and not any(REFUSED.fullmatch(one) for one in (each["parameters"] or "").split(";"))
        for each in found
    )
