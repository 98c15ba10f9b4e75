"""The handshake of a socket: what is judged before the upgrade, and answered in HTTP."""

import re
from typing import Any
from urllib.parse import parse_qs
from uuid import UUID

from domain.errors import BadTokenError, SessionRevokedError
from domain.ports.credentials import Access
from gateway.edge.authentication import bearer
from gateway.edge.problem_answers import refuse_handshake
from gateway.edge.refusal_log import Refusals
from gateway.http.browser_sessions import is_own_origin
from gateway.http.error_mapping import problem_of
from gateway.http.problems import Problem
from gateway.protocol.faults import FieldError
from gateway.services import Services

JWT_LIKE = re.compile(r"eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]+\.")
QUERY_OF_ROOM = frozenset({"after", "record"})
POSITION = re.compile(r"[0-9]{1,18}")


async def credentials(services: Services, scope: Any, *, is_room: bool) -> Access | None:
    """Return what the handshake shows, or None if a first frame is to show it. Raise `DomainError` or `Problem`: HTTP answers."""
    query = query_of(scope)
    if any(JWT_LIKE.search(part) for name, values in query.items() for part in (name, *values)):
        raise BadTokenError("A token never stands in an address: send it in the Authorization header or a first frame.")
    headers: dict[bytes, bytes] = dict(scope["headers"])
    origin = headers.get(b"origin", b"").decode("latin-1")
    _check_origin(origin, headers.get(b"host", b"").decode("latin-1"), services.policy.origins)
    if services.hub.draining:
        raise Problem(503, "server.draining", "This server is going away.", headers={"Retry-After": "1"})
    access = services.sessions.authenticate(bearer(headers)) if b"authorization" in headers else None
    for name, values in query.items():
        if name != "ticket" and not (is_room and name in QUERY_OF_ROOM):
            raise _query_problem(name, "query.unknown", "This query parameter is not known here.")
        if len(values) > 1:
            raise _query_problem(name, "query.duplicate", "This query parameter stands twice.")
    cursor_of(query)
    if "ticket" in query:
        access = await _spend(services, query["ticket"][0], origin, access)
    return access


def cursor_of(query: dict[str, list[str]]) -> tuple[int | None, UUID | None]:
    """Return `?after=` and `?record=`, None for what is absent. Raise `Problem` if they are malformed."""
    after, record = query.get("after"), query.get("record")
    if after is not None and not POSITION.fullmatch(after[0]):
        raise _query_problem("after", "query.invalid", "This is not a position.")
    try:
        return None if after is None else int(after[0]), None if record is None else UUID(record[0])
    except ValueError:
        raise _query_problem("record", "query.invalid", "This is not a UUID.") from None


def query_of(scope: Any) -> dict[str, list[str]]:
    """Return the parameters of the socket's address."""
    return parse_qs(scope.get("query_string", b"").decode("latin-1"), keep_blank_values=True)


async def refuse(refusals: Refusals, scope: Any, send: Any, refusal: Exception) -> None:
    """Answer the handshake with a problem, and count it."""
    problem, client = problem_of(refusal), scope.get("client")
    refusals.note(problem.status, problem.code, None, client[0] if client else None)
    await refuse_handshake(send, problem, scope["state"]["request_id"])


def _query_problem(name: str, code: str, detail: str) -> Problem:
    field = FieldError(f"?{name}", code, detail)
    return Problem(422, code, f"?{name}: {detail}", errors=[field])


async def _spend(services: Services, ticket: str, origin: str, of_token: Access | None) -> Access:
    """Return what a ticket gives access to. Where a token is shown too, both must be of the same session."""
    now = services.now()
    access = await services.tickets.spend(ticket, origin, now)
    if access.expires_at <= now or (of_token is not None and of_token.session_id != access.session_id):
        raise BadTokenError
    if services.sessions.is_over(access):
        raise SessionRevokedError
    return access


def _check_origin(origin: str, host: str, allowed: tuple[str, ...]) -> None:
    """Browsers send Origin: it must be the server's own or on the list, or any page could use a person's socket."""
    if origin and not is_own_origin(origin, host) and origin not in allowed:
        raise Problem(403, "origin.refused", "Pages of this origin may not connect.")
