"""Requests: how they are checked before a route's function runs. JSON, query parameters and headers are strict.

A fault in the request for a room or message is reported only to people who may know of that: the route's `admit` is called
first (CONTRACT, order of checks).
"""

import re
from functools import partial
from typing import Any

from litestar import Request, Response
from litestar.handlers import BaseRouteHandler

from domain.errors import InvalidError
from gateway.http.bodies import body_of
from gateway.http.callers import reason_of, who
from gateway.http.context import SERVICES, context_of
from gateway.http.declarations import declaration_of
from gateway.http.error_handler import allowed_at
from gateway.http.idempotency import idempotency_key
from gateway.http.preconditions import listed, versions_of
from gateway.http.problems import Problem, behind, record_changed
from gateway.http.query_parameters import check_query
from gateway.protocol import faults


async def check(request: Request[Any, Any, Any]) -> Response[None] | None:
    """Litestar's `before_request`: check query, headers and body, and wait for `Hansard-After`. Answer OPTIONS."""
    if request.method == "OPTIONS":
        return Response(
            None, status_code=204, headers={"Allow": allowed_at(request)}
        )  # Litestar's own answer leaves some out
    handler: BaseRouteHandler = request.scope["route_handler"]
    try:
        check_query(request, handler)
        _check_headers(request, handler)
        if handler.parsed_data_field is not None:
            body = request._json = await body_of(request, handler.parsed_data_field.annotation)
            # If the route refuses one field, the answer names all that are at fault (gateway/http/error_handler.py).
            request.scope["state"]["faults"] = partial(faults.of_body, body, context_of(request).policy)
        if request.method in ("GET", "HEAD"):
            await _catch_up(request, handler)
    except (Problem, InvalidError):
        await _admit(request, handler)
        raise
    return None


def versions_asked(request: Request[Any, Any, Any]) -> frozenset[int] | None:
    """Return the versions that If-Match names, or None for any (no header, or `*`)."""
    tags = listed(request.scope["headers"], b"if-match")
    return None if tags is None else versions_of(tags)


def _check_headers(request: Request[Any, Any, Any], handler: BaseRouteHandler) -> None:
    """Raise `Problem` for malformed headers, if this route's function uses them."""
    parameters = handler.parsed_fn_signature.parameters
    if "caller" in parameters:
        reason_of(request)
    if "receipt" in parameters:
        idempotency_key(request)
    if "if_match" in parameters:
        versions_asked(request)


async def _admit(request: Request[Any, Any, Any], handler: BaseRouteHandler) -> None:
    declared = declaration_of(handler)
    if declared is not None and declared.admit is not None:
        await declared.admit(request.scope["state"][SERVICES], who(request), dict(request.path_params))


async def _catch_up(request: Request[Any, Any, Any], handler: BaseRouteHandler) -> None:
    """Wait for `Hansard-After`, or for a short time for the caller's own last write."""
    context, declared = context_of(request), declaration_of(handler)
    groups = () if declared is None else declared.waits_for
    if not groups:
        return
    text = request.headers.get("hansard-after")
    access = request.scope["state"].get("access")
    if text is None:
        if access is not None:
            await context.reads.wait_for_own(access.user_id, groups)
        return
    if not re.fullmatch(r"\d{1,18}", text):
        raise Problem(422, "header.after", "Hansard-After is a position: a whole number.")
    position = int(text)
    if request.query_params.get("render") == "html":
        groups = (*groups, "message_html")
    for group in groups:
        if await context.reads.wait(position, group=group, seconds=0):
            continue
        if position > (await context.record.head()).position:
            raise record_changed()
        if not await context.reads.wait(position, group=group):
            raise behind()
