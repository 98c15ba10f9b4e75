"""Preconditions (RFC 9110 13): a client does not get again what it has, and changes nothing that is not as it expects.

GET and HEAD are judged here, if the answer is 200, by its ETag. Writes with If-Match name the versions that they may change
(`gateway/http/requests.py`).
"""

import re
from collections.abc import Iterable
from typing import Any

from gateway.http import problems
from gateway.http.problems import Problem

# RFC 9110 8.8.3 and 5.6.1: tags between commas; empty elements are skipped.
ELEMENT = re.compile(r'(?:(?P<tag>(?:W/)?"[\x21\x23-\x7e\x80-\xff]*")[ \t]*(?:,|$)|,)[ \t]*')
VERSION = re.compile(r'"([1-9]\d{0,8})"')
ANY = "*"
# RFC 9110 15.4.5: headers of a body that is not sent are left out.
OF_BODY = frozenset({b"content-length", b"content-type", b"content-disposition", b"content-range", b"content-encoding"})


def listed(headers: Iterable[tuple[bytes, bytes]], name: bytes) -> str | None:
    """Return all values of a header as one list (RFC 9110 5.3), or None if there is no such header."""
    found = [value.decode("latin-1") for key, value in headers if key.lower() == name]
    return ", ".join(found) if found else None


def tags_of(text: str) -> tuple[str, ...] | None:
    """Return the ETags of a list, weak ones with their `W/`, or None if it is not such a list."""
    text, at = text.strip(" \t"), 0
    found: list[str] = []
    while at < len(text):
        element = ELEMENT.match(text, at)
        if element is None:
            return None
        if element["tag"]:
            found.append(element["tag"])
        at = element.end()
    return tuple(found) or None


def expects(tags: str, etag: str | None) -> bool:
    """Return whether an If-Match names this ETag. The comparison is strong: weak ETags match nothing. `*` matches any."""
    if tags.strip() == ANY:
        return True
    return etag is not None and not etag.startswith("W/") and etag in (tags_of(tags) or ())


def knows(tags: str, etag: str) -> bool:
    """Return whether an If-None-Match names this ETag. The comparison is weak. `*` matches any."""
    plain = {tag.removeprefix("W/") for tag in tags_of(tags) or ()}
    return tags.strip() == ANY or etag.removeprefix("W/") in plain


def versions_of(tags: str) -> frozenset[int] | None:
    """Return the versions that an If-Match names, or None for any (`*`). Raise `Problem` if it is not a list of ETags."""
    if tags.strip() == ANY:
        return None
    found = tags_of(tags)
    if found is None:
        detail = 'If-Match is the ETag that a read answered, "<version>", a list of them, or *.'
        raise Problem(422, "header.if_match", detail)
    return frozenset(int(version[1]) for tag in found if (version := VERSION.fullmatch(tag)))


def conditional(send: Any, expected: str | None, known: str | None, request_id: str) -> Any:
    """Return a `send` for GET and HEAD that turns 200 into 412 if If-Match does not name the ETag, and into 304 if
    If-None-Match does (RFC 9110 13.2.2)."""
    if expected is None and known is None:
        return send
    body: bytes | None = None

    async def judge(message: Any) -> None:
        nonlocal body
        if message["type"] == "http.response.start" and message["status"] == 200:
            headers = list(message.get("headers", ()))
            etag = listed(headers, b"etag")
            kept = [header for header in headers if header[0].lower() not in OF_BODY]
            if expected is not None and not expects(expected, etag):
                body = problems.rendered(problems.stale(), request_id)
                kept += [
                    (b"content-type", problems.MEDIA_TYPE.encode()),
                    (b"content-length", str(len(body)).encode()),
                ]
                message = {**message, "status": 412, "headers": kept}
            elif known is not None and etag is not None and knows(known, etag):
                body = b""
                message = {**message, "status": 304, "headers": kept}
        elif body is not None:
            message, body = {**message, "body": body}, b""
        await send(message)

    return judge
