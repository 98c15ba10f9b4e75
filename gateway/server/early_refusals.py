"""Early refusals: answers where no request was made, in the form of all others (RFC 9457), with the headers of all others.

The application never sees these: the head cannot be parsed, is too large or too slow, or there is no slot for the client.
"""

import secrets
from collections.abc import Sequence
from http import HTTPStatus

from gateway.http.problems import MEDIA_TYPE, Problem, rendered
from gateway.http.response_headers import ALWAYS, UNLESS_PRESENT

MALFORMED = Problem(400, "request.malformed", "The request cannot be read.")
NO_HOST = Problem(400, "request.host", "A request names one host (RFC 9112, 3.2).")
TARGET_TOO_LONG = Problem(414, "request.target_too_long", "The address of a request has at most 8 KiB.")
HEAD_TOO_LARGE = Problem(431, "request.headers_too_large", "A request has at most 100 headers of 32 KiB together.")
TOO_SLOW = Problem(408, "request.too_slow", "The request did not arrive in time.")
TOO_MANY_AT_ONCE = Problem(429, "request.pipelined", "So many requests are not sent ahead of their answers.")


def new_request_id() -> str:
    return secrets.token_hex(16)


def answer(
    problem: Problem, request_id: str, date: Sequence[tuple[bytes, bytes]] = (), *, is_head: bool = False
) -> bytes:
    """Return the whole answer, after which the connection ends. The answer to HEAD has no body."""
    body = rendered(problem, request_id)
    lines = [
        f"HTTP/1.1 {problem.status} {HTTPStatus(problem.status).phrase}".encode(),
        *(b": ".join(header) for header in (*date, *ALWAYS, *UNLESS_PRESENT)),
        f"content-type: {MEDIA_TYPE}".encode(),
        f"content-length: {len(body)}".encode(),
        *(f"{name.lower()}: {value}".encode() for name, value in problem.headers.items()),
        f"x-request-id: {request_id}".encode(),
        b"connection: close",
    ]
    return b"\r\n".join(lines) + b"\r\n\r\n" + (b"" if is_head else body)
