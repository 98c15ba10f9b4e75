"""Callers: who sends a request, from where, and why."""

from typing import Any

from litestar import Request
from msgspec.structs import replace

from domain.bounds import AGENT_CHARS_MAX, REASON_CHARS_MAX
from domain.events import Caller
from domain.ports.credentials import Access
from domain.text import LINE_BREAKING
from gateway.http.problems import Problem


def caller_of(request: Request[Any, Any, Any]) -> Caller:
    """Return the caller of a request, with all that the record keeps of them."""
    return replace(who(request), reason=reason_of(request))


def require_reason(caller: Caller) -> None:
    """Raise `Problem` if a request to read others' data does not say why."""
    if not caller.reason:
        raise Problem(422, "reason.missing", "Say why in the header Hansard-Reason: it is recorded.")


def who(request: Request[Any, Any, Any]) -> Caller:
    """Return the caller without the reason, which may be unreadable."""
    access: Access | None = request.scope["state"].get("access")
    agent = _text(request.headers.get("user-agent", ""))
    return Caller(
        user_id=access.user_id if access else None,
        session_id=access.session_id if access else None,
        correlation=request.scope["state"]["request_id"],
        address=request.client.host if request.client else None,
        agent=LINE_BREAKING.sub(" ", agent)[:AGENT_CHARS_MAX] or None,
    )


def reason_of(request: Request[Any, Any, Any]) -> str | None:
    """Return Hansard-Reason, or None. It is UTF-8, so it can be in any language. Raise `Problem` if it is not acceptable."""
    given = request.headers.get("hansard-reason")
    if given is None:
        return None
    reason = _text(given).strip()
    if not reason or len(reason) > REASON_CHARS_MAX or LINE_BREAKING.search(reason):
        raise Problem(422, "reason.invalid", f"Hansard-Reason is 1 to {REASON_CHARS_MAX} visible characters.")
    return reason


def _text(header: str) -> str:
    """Return a header's text: decoded as UTF-8 if it is valid, else as Latin-1. Percent signs are not decoded."""
    try:
        return header.encode("latin-1").decode()
    except UnicodeError:
        return header
