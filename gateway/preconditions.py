"""Preconditions: what a client has already is not sent again (RFC 9110 13), wherever an answer to GET or HEAD has an ETag."""

import re
from typing import Any

ENTITY_TAG = re.compile(r'(?:W/)?"[^"]*"')
# RFC 9110 15.4.5: what describes a body that is not sent stays out.
OF_BODY = frozenset({b"content-length", b"content-type", b"content-disposition", b"content-range", b"content-encoding"})


def knows(tags: str, etag: str) -> bool:
    """Whether an If-None-Match names this ETag, compared weakly; `*` names any."""
    return tags.strip() == "*" or etag.removeprefix("W/") in {
        tag.removeprefix("W/") for tag in ENTITY_TAG.findall(tags)
    }


def conditional(send: Any, tags: str) -> Any:
    """Return a `send` that answers 304 instead of a 200 whose ETag these tags name."""
    is_unchanged = False

    async def judge(message: Any) -> None:
        nonlocal is_unchanged
        if message["type"] == "http.response.start" and message["status"] == 200:
            headers = list(message.get("headers", ()))
            etag = next((value.decode("latin-1") for name, value in headers if name.lower() == b"etag"), None)
            if etag is not None and knows(tags, etag):
                is_unchanged = True
                kept = [header for header in headers if header[0].lower() not in OF_BODY]
                message = {**message, "status": 304, "headers": kept}
        elif is_unchanged:
            message = {**message, "body": b""}
        await send(message)

    return judge
