"""Problems: every error as `application/problem+json` (RFC 9457). HTTP's numbers for refusals stand only here."""

import re
from collections.abc import Mapping, Sequence
from math import ceil
from typing import Any

import msgspec
import structlog
from litestar import Request, Response
from litestar.exceptions import HTTPException, MethodNotAllowedException, NotFoundException

from adapters.postgres.clock_watch import ClockLeaptError
from adapters.redis.lanes import LanesUnavailableError
from domain.errors import (
    BusyError,
    ConflictError,
    DomainError,
    EventUnreadableError,
    ForbiddenError,
    InvalidError,
    LimitExceededError,
    NotFoundError,
    StaleVersionError,
    UnauthenticatedError,
)
from domain.ports.blobs import BlobsUnavailableError
from domain.ports.record import KeysMissingError, NothingWrittenError, RecordUnavailableError
from gateway.protocol.faults import FieldError

log = structlog.get_logger()

MEDIA_TYPE = "application/problem+json"
FAMILIES: tuple[tuple[type[DomainError], int], ...] = (
    (UnauthenticatedError, 401),
    (NotFoundError, 404),
    (ForbiddenError, 403),
    (ConflictError, 409),
    (StaleVersionError, 412),
    (InvalidError, 422),
    (LimitExceededError, 429),
    (EventUnreadableError, 500),
    (BusyError, 503),
)
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
PARAMETER = re.compile(r"\{[^}]*\}")


class Problem(Exception):
    """An answer that is an error, where no domain refusal says it."""

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
    """Return the answer to a cursor or position that this record never gave."""
    return Problem(409, "record_changed", detail)


def not_found() -> Problem:
    """Return the answer where no route is."""
    return Problem(404, "route.not_found", "There is nothing at this address.")


def stale() -> Problem:
    """Return the answer to a read whose If-Match names other versions."""
    return _refusal(StaleVersionError("This is not the version that was asked for."))


def behind(written: int | None = None) -> Problem:
    """Return the answer where the read tables lag; `written` is the position of a write that was accepted even so."""
    headers = {"Retry-After": str(RETRY_AFTER_SECONDS)}
    if written is not None:
        headers["Hansard-Position"] = str(written)
    detail = "The read tables have not caught up with this position yet; try again."
    return Problem(503, "projection.behind", detail, headers=headers)


def status_of(refusal: DomainError) -> int:
    """Return HTTP's number for a refusal."""
    return next((status for family, status in FAMILIES if isinstance(refusal, family)), 409)


def problem_of(error: Exception) -> Problem:
    """Return the problem that an exception is told as; whatever is not expected is 500 and says nothing of itself."""
    match error:
        case Problem():
            return error
        case DomainError():
            return _refusal(error)
        case KeysMissingError():
            log.error("data keys are missing", reason=str(error))
            return Problem(
                503,
                "server.keys_missing",
                "What was asked for is encrypted, and its key is not there at the moment; the operator can restore it.",
                headers={"Retry-After": str(RETRY_AFTER_SECONDS)},
            )
        case ClockLeaptError():
            return Problem(
                503,
                "server.clock_leapt",
                "The clock that gives events their times has leapt ahead; nothing is written until an operator has seen to it.",
                headers={"Retry-After": str(RETRY_AFTER_SECONDS)},
            )
        case NothingWrittenError():
            log.warning("unavailable", reason=str(error))
            return _refusal(
                BusyError("The database has too much to do, or takes no writes at the moment; nothing was written.")
            )
        case RecordUnavailableError() | LanesUnavailableError() | BlobsUnavailableError():
            log.warning("unavailable", reason=str(error))
            return Problem(
                503,
                "server.unavailable",
                "A server behind this one does not answer; try again in a moment.",
                headers={"Retry-After": str(RETRY_AFTER_SECONDS)},
            )
        case NotFoundException():
            return not_found()
        case MethodNotAllowedException():
            return Problem(405, "route.method_not_allowed", "This address does not take this method.")
        case HTTPException() if error.status_code < 500:
            return _of_litestar(error)
    log.error("internal error", exc_info=error)
    return Problem(500, "server.error", "Something went wrong here; the request id names it in the server's log.")


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


def handle(request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
    """Litestar's door for every exception."""
    problem = problem_of(error)
    if problem.status == 405:
        problem.headers["Allow"] = allowed_at(request)
    state = request.scope.get("state", {})
    state["refused"] = problem.code
    if problem.status == 422 and problem.errors and "faults" in state:
        blamed = {error.pointer for error in problem.errors}
        problem.errors = [*problem.errors, *(fault for fault in state["faults"]() if fault.pointer not in blamed)]
    request_id = state.get("request_id")
    return Response(
        rendered(problem, request_id), status_code=problem.status, media_type=MEDIA_TYPE, headers=problem.headers
    )


def allowed_at(request: Request[Any, Any, Any]) -> str:
    """Return the methods that this address takes (RFC 9110 10.2.1)."""
    asked, routes = request.url.path, request.app.routes
    there = [route for route in routes if route.path == asked] or [
        route for route in routes if re.fullmatch(PARAMETER.sub("[^/]+", route.path), asked)
    ]
    methods = {method for route in there for method in getattr(route, "methods", ())}
    return ", ".join(sorted(methods | {"HEAD"} if "GET" in methods else methods))


def _refusal(refusal: DomainError) -> Problem:
    status = status_of(refusal)
    errors = [FieldError(refusal.pointer, refusal.code, refusal.detail)] if refusal.pointer else []
    headers = {}
    if status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    if isinstance(refusal, LimitExceededError):
        headers["Retry-After"] = str(max(1, ceil(refusal.retry_after_seconds)))
    if status == 503:
        headers["Retry-After"] = str(RETRY_AFTER_SECONDS)
    return Problem(status, refusal.code, refusal.detail, errors=errors, headers=headers)


def _of_litestar(error: HTTPException) -> Problem:
    if error.status_code == 413:
        return Problem(413, "body.too_large", "The body is larger than this route takes.")
    if error.status_code == 415:
        return Problem(415, "body.media_type", "The body must be application/json.")
    if error.status_code == 400:
        return Problem(400, "request.malformed", "The request cannot be read.")
    return Problem(error.status_code, "request.refused", "The request was refused.")
