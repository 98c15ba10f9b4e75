"""Errors: everything that this library raises on purpose is a `HansardError`."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

STAY_AWAY = range(4500, 5000)
RETRYABLE = frozenset({429, 502, 503, 504})


class HansardError(Exception):
    """What this library raises on purpose."""


@dataclass(frozen=True)
class FieldError:
    """What is wrong with one field: a JSON pointer into the body (or `?name` of a query), a stable code, a sentence."""

    pointer: str
    code: str
    detail: str


class Refused(HansardError):
    """The server said no. `code` is stable (`room.not_a_member`), `detail` is for a person."""

    def __init__(
        self,
        code: str,
        status: int,
        detail: str,
        *,
        errors: tuple[FieldError, ...] = (),
        retry_after: float | None = None,
        request_id: str | None = None,
    ) -> None:
        """`retry_after` in seconds, where the server said so; `request_id` names the request in the server's log."""
        super().__init__(f"{detail} ({code})")
        self.code = code
        self.status = status
        self.detail = detail
        self.errors = errors
        self.retry_after = retry_after
        self.request_id = request_id

    @property
    def is_retryable(self) -> bool:
        """Whether the very same request may be answered otherwise a little later."""
        return self.status in RETRYABLE

    @classmethod
    def of(cls, said: Mapping[str, Any], status: int = 500, retry_after: float | None = None) -> "Refused":
        """Return the refusal of a problem (RFC 9457) or of a socket's reply; what it does not say is made up."""
        status = said.get("status", status)
        code, detail = said.get("code", f"http.{status}"), said.get("detail", "The server refused without a reason.")
        errors = tuple(FieldError(e["pointer"], e["code"], e["detail"]) for e in said.get("errors") or ())
        after = said.get("retry_after", retry_after)
        return cls(code, status, detail, errors=errors, retry_after=after, request_id=said.get("request_id"))


class NotLoggedIn(HansardError):
    """There is no session: log in first."""


class Unreachable(HansardError):
    """No answer came, for as long as was waited. Whether a write arrived is not known: repeat it under its own id."""


class Unacknowledged(Unreachable, TimeoutError):
    """A chat's request was not answered in time. `message_id` is the id to repeat a send with, to learn what became."""

    def __init__(self, detail: str, message_id: str | None = None) -> None:
        super().__init__(detail)
        self.message_id = message_id


class RecordChanged(HansardError):
    """A position is of another record than the server's (restored, replaced): read the room afresh, from nothing."""


class Closed(HansardError):
    """A connection ended. `code` is WebSocket's or Hansard's close code; None: it was cut without a word."""

    def __init__(self, code: int | None, reason: str = "", *, retry_after: float = 0.0) -> None:
        super().__init__(f"The connection ended with {code or 'no close code'}: {reason or 'no reason was given'}.")
        self.code = code
        self.reason = reason
        self.retry_after = retry_after

    @property
    def is_final(self) -> bool:
        """Whether the server says: stay away. After everything else one may come back."""
        return self.code in STAY_AWAY


def seconds_of(retry_after: str | None) -> float | None:
    """Return the seconds of a Retry-After header; None for none, and for a date, which would need a clock."""
    return float(retry_after) if retry_after and retry_after.isdecimal() else None
