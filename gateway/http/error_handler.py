"""Error handler: how Litestar answers an exception that a handler, or what runs before it, has raised."""

import re
from typing import Any

from litestar import Request, Response

from gateway.http.error_mapping import problem_of
from gateway.http.problems import MEDIA_TYPE, rendered

PARAMETER = re.compile(r"\{[^}]*\}")


def handle(request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
    """Answer with the problem of an exception. If a body is refused for one field, the answer names all its faults."""
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
    path, routes = request.url.path, request.app.routes
    there = [route for route in routes if route.path == path] or [
        route for route in routes if re.fullmatch(PARAMETER.sub("[^/]+", route.path), path)
    ]
    methods = {method for route in there for method in getattr(route, "methods", ())}
    return ", ".join(sorted(methods | {"HEAD"} if "GET" in methods else methods))
