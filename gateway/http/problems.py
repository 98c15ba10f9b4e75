"""Problems: errors as HTTP tells them, `application/problem+json` (RFC 9457). What an exception becomes:
`gateway/http/error_mapping.py`.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from domain.errors import StaleVersionError
from gateway.protocol.faults import FieldError

MEDIA_TYPE = "application/problem+json"
TITLES = {
    400: "Bad request",
    401: "Not authenticated",
    403: "Not allowed",
    404: "Not found",
    405: "Method not allowed",
    408: "Too slow",
    409: "Conflict",
    412: "Precondition failed",
    413: "Too large",
    414: "Address too long",
    415: "Unsupported media type",
    416: "Range not satisfiable",
    422: "Not valid",
    429: "Too many requests",
    431: "Headers too large",
    500: "Internal error",
    503: "Not available",
}
RETRY_AFTER_SECONDS = 1


class Problem(Exception):
    """An error that is HTTP's own matter, not the domain's."""

    def __init__(
        self,
        status: int,
        code: str,
        detail: str,
        *,
        errors: Sequence[FieldError] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.code = code
        self.detail = detail
        self.errors = errors
        self.headers = dict(headers or {})


def record_changed(detail: str = "This position is of another record, or beyond its end: start afresh.") -> Problem:
    """Return the answer to a cursor or position that this record never issued."""
    return Problem(409, "record_changed", detail)


def not_found() -> Problem:
    """Return the answer at an address that has no route."""
    return Problem(404, "route.not_found", "There is nothing at this address.")


def stale() -> Problem:
    """Return the answer to a read whose If-Match names other versions."""
    return Problem(412, StaleVersionError.code, "This is not the version that was asked for.")


def behind(written: int | None = None) -> Problem:
    """Return the answer if the read tables lag. `written` is the position of a write that was accepted nevertheless."""
    headers = {"Retry-After": str(RETRY_AFTER_SECONDS)}
    if written is not None:
        headers["Hansard-Position"] = str(written)
    detail = "The read tables have not caught up with this position yet; try again."
    return Problem(503, "projection.behind", detail, headers=headers)


def rendered(problem: Problem, request_id: str | None) -> bytes:
    """Return the body of a problem."""
    body: dict[str, Any] = {
        "type": f"urn:hansard:problem:{problem.code}",
        "title": TITLES.get(problem.status, "Error"),
        "status": problem.status,
        "detail": problem.detail,
        "code": problem.code,
        "request_id": request_id,
    }
    if problem.errors:
        body["errors"] = problem.errors
    return msgspec.json.encode(body)
