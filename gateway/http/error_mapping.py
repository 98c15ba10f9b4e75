"""Error mapping: which problem each exception becomes. HTTP's numbers for `DomainError`s stand only here.

Sockets answer with the same codes and sentences.
"""

from math import ceil

import structlog
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
from gateway.http.problems import RETRY_AFTER_SECONDS, Problem, not_found
from gateway.protocol.faults import FieldError

log = structlog.get_logger()

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
KEYS_MISSING = "What was asked for is encrypted, and its key is not there at the moment; the operator can restore it."
CLOCK_LEAPT = (
    "The clock that gives events their times has leapt ahead; nothing is written until an operator has seen to it."
)
NOTHING_WRITTEN = "The database has too much to do, or takes no writes at the moment; nothing was written."
AWAY = "A server behind this one does not answer; try again in a moment."


def status_of(refusal: DomainError) -> int:
    """Return HTTP's number for a refusal."""
    return next((status for family, status in FAMILIES if isinstance(refusal, family)), 409)


def problem_of(error: Exception) -> Problem:
    """Return the problem of an exception. What nobody expected is logged, and becomes 500 without details."""
    match error:
        case Problem():
            return error
        case DomainError():
            return _refusal(error)
        case KeysMissingError():
            log.error("data keys are missing", reason=str(error))
            return _unavailable("server.keys_missing", KEYS_MISSING)
        case ClockLeaptError():
            return _unavailable("server.clock_leapt", CLOCK_LEAPT)
        case NothingWrittenError():
            log.warning("unavailable", reason=str(error))
            return _refusal(BusyError(NOTHING_WRITTEN))
        case RecordUnavailableError() | LanesUnavailableError() | BlobsUnavailableError():
            log.warning("unavailable", reason=str(error))
            return _unavailable("server.unavailable", AWAY)
        case NotFoundException():
            return not_found()
        case MethodNotAllowedException():
            return Problem(405, "route.method_not_allowed", "This address does not take this method.")
        case HTTPException() if error.status_code < 500:
            return _of_litestar(error)
    log.error("internal error", exc_info=error)
    return Problem(500, "server.error", "Something went wrong here; the request id names it in the server's log.")


def _unavailable(code: str, detail: str) -> Problem:
    return Problem(503, code, detail, headers={"Retry-After": str(RETRY_AFTER_SECONDS)})


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
