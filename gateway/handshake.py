"""The handshake of a socket: what is judged before the upgrade, and answered in HTTP."""

import re
from typing import Any
from urllib.parse import parse_qs

from domain.ports import Access
from domain.refusals import BadToken
from gateway import problems
from gateway.door import bearer
from gateway.house import House

JWT_LIKE = re.compile(r"eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]+\.")
QUERY_OF_ROOM = frozenset({"after", "record"})


def credentials(house: House, scope: Any, *, is_room: bool) -> Access | None:
    """Return what the handshake shows; None: a first frame will. Raises what HTTP answers."""
    query = query_of(scope)
    if any(JWT_LIKE.search(value) for values in query.values() for value in values):
        raise BadToken("A token never stands in an address: send it in the Authorization header or a first frame.")
    if "ticket" in query:
        raise BadToken("Tickets are not given out here.")
    for name in query:
        if not is_room or name not in QUERY_OF_ROOM:
            raise problems.Problem(422, "query.unknown", f"?{name}: This query parameter is not known here.")
    headers: dict[bytes, bytes] = dict(scope["headers"])
    _check_origin(headers, house.terms.origins)
    if house.hub.draining:
        raise problems.Problem(503, "server.draining", "This server is going away.", headers={"Retry-After": "1"})
    if b"authorization" in headers:
        return house.sessions.authenticate(bearer(headers))
    return None


def query_of(scope: Any) -> dict[str, list[str]]:
    """Return the parameters of the socket's address."""
    return parse_qs(scope.get("query_string", b"").decode("latin-1"), keep_blank_values=True)


async def refuse(send: Any, refusal: Exception) -> None:
    """Answer the handshake with a problem (ASGI's `websocket.http.response`)."""
    problem = problems.problem_of(refusal)
    headers = [(b"content-type", problems.MEDIA_TYPE.encode())]
    headers += [(name.lower().encode(), value.encode()) for name, value in problem.headers.items()]
    await send({"type": "websocket.http.response.start", "status": problem.status, "headers": headers})
    await send({"type": "websocket.http.response.body", "body": problems.rendered(problem, None)})


def _check_origin(headers: dict[bytes, bytes], allowed: tuple[str, ...]) -> None:
    """Browsers send Origin: it must be the server's own or on the list, or any page could use a person's socket."""
    origin = headers.get(b"origin", b"").decode("latin-1")
    host = headers.get(b"host", b"").decode("latin-1")
    if origin and origin not in (f"http://{host}", f"https://{host}") and origin not in allowed:
        raise problems.Problem(403, "origin.refused", "Pages of this origin may not connect.")
