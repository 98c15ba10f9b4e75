"""Request ids and trace ids: what ties an answer, the log and the record to one request."""

import re
import secrets

REQUEST_ID = re.compile(rb"[A-Za-z0-9\-_.:/+=]{1,128}")
# W3C Trace Context, version 00.
TRACEPARENT = re.compile(rb"00-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")


def request_id_of(headers: dict[bytes, bytes]) -> str:
    """Return the request's `X-Request-Id`, or a new id if it has none that can be taken."""
    given = headers.get(b"x-request-id", b"")
    return given.decode() if REQUEST_ID.fullmatch(given) else secrets.token_hex(16)


def trace_of(headers: dict[bytes, bytes]) -> dict[str, str]:
    """Return what every line that is logged for the request says of its trace."""
    found = TRACEPARENT.fullmatch(headers.get(b"traceparent", b""))
    return {"trace_id": found[1].decode()} if found else {}
