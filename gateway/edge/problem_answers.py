"""Problems as whole answers: of a request that reaches no route, and of a socket's handshake that is refused."""

from collections.abc import Iterable
from typing import Any

from gateway.http.problems import MEDIA_TYPE, Problem, rendered

Header = tuple[bytes, bytes]


async def send_problem(send: Any, problem: Problem, request_id: str) -> None:
    """Answer a request with a problem."""
    body = rendered(problem, request_id)
    headers = [*_headers_of(problem), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": problem.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def refuse_handshake(send: Any, problem: Problem, request_id: str, more: Iterable[Header] = ()) -> None:
    """Answer a socket's handshake with a problem in HTTP (ASGI's `websocket.http.response`)."""
    headers = [*_headers_of(problem), *more]
    await send({"type": "websocket.http.response.start", "status": problem.status, "headers": headers})
    await send({"type": "websocket.http.response.body", "body": rendered(problem, request_id)})


def _headers_of(problem: Problem) -> list[Header]:
    named = ((name.lower().encode(), value.encode()) for name, value in problem.headers.items())
    return [(b"content-type", MEDIA_TYPE.encode()), *named]
