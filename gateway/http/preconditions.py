"""Preconditions (RFC 9110 13): what a client has already is not sent again, and what is not as it expects is not done.

GET and HEAD are judged here, wherever they are answered 200, by the ETag of the answer; a write that takes If-Match names
the versions that it may be done to (`gateway/http/requests.py`).
"""

import re
from collections.abc import Iterable
from typing import Any

from gateway.http import problems
from gateway.http.problems import Problem

# RFC 9110 8.8.3 and 5.6.1: tags between commas; empty elements are passed over.
ELEMENT = re.compile(r'(?:(?P<tag>(?:W/)?"[\x21\x23-\x7e\x80-\xff]*")[ \t]*(?:,|$)|,)[ \t]*')
VERSION = re.compile(r'"([1-9]\d{0,8})"')
ANY = "*"
# RFC 9110 15.4.5: what describes a body that is not sent stays out.
OF_BODY = frozenset({b"content-length", b"content-type", b"content-disposition", b"content-range", b"content-encoding"})


def listed(headers: Iterable[tuple[bytes, bytes]], name: bytes) -> str | None:
    """Return a field that may stand several times as one list (RFC 9110 5.3); None where it stands nowhere."""
    found = [value.decode("latin-1") for key, value in headers if key.lower() == name]
    return ", ".join(found) if found else None


def tags_of(text: str) -> tuple[str, ...] | None:
    """Return the ETags of a list, weak ones with their `W/`; None where it is no such list."""
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
    """Whether an If-Match names this ETag, compared strongly: a weak one matches nothing. `*` names whatever is there."""
    if tags.strip() == ANY:
        return True
    return etag is not None and not etag.startswith("W/") and etag in (tags_of(tags) or ())


def knows(tags: str, etag: str) -> bool:
    """Whether an If-None-Match names this ETag, compared weakly; `*` names any."""
    plain = {tag.removeprefix("W/") for tag in tags_of(tags) or ()}
    return tags.strip() == ANY or etag.removeprefix("W/") in plain


def versions_of(tags: str) -> frozenset[int] | None:
    """Return the versions that an If-Match names, compared strongly; None for any (`*`). Raises `Problem` for no list."""
    if tags.strip() == ANY:
        return None
    found = tags_of(tags)
    if found is None:
        detail = 'If-Match is the ETag that a read answered, "<version>", a list of them, or *.'
        raise Problem(422, "header.if_match", detail)
    return frozenset(int(version[1]) for tag in found if (version := VERSION.fullmatch(tag)))


def conditional(send: Any, expected: str | None, known: str | None, request_id: str) -> Any:
    """Return a `send` for GET and HEAD: 412 instead of a 200 that If-Match does not name, 304 instead of one that
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
