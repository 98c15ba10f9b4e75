"""The audit stream's route: for auditors, with a reason that is recorded."""

import re
from collections.abc import AsyncIterator
from typing import Any

from litestar import Request, Response, route
from litestar.enums import HttpMethod
from litestar.handlers import BaseRouteHandler
from litestar.response import Stream

from domain.events import Caller
from domain.ports.credentials import Access
from gateway.http.declarations import Described, declare
from gateway.http.pagination import Place
from gateway.http.problems import Problem, record_changed
from gateway.operations.audit_stream import stream
from gateway.protocol.faults import FieldError
from gateway.routes.audit import admit_auditors, note
from gateway.services import Services

MEDIA_TYPE = "text/event-stream"
POSITION = re.compile(r"0|[1-9]\d{0,17}")
INVALID = "header.last_event_id"


@route(
    "/audit/stream",
    http_method=[HttpMethod.GET, HttpMethod.HEAD],
    opt=declare(
        "audit.read",
        admit=admit_auditors,
        described=Described(needs_reason=True, refused_with=frozenset({409})),
    ),
)
async def read_stream(
    request: Request[Any, Any, Any],
    services: Services,
    caller: Caller,
    after: Place | None = None,
    texts: bool = False,
) -> Response[Any]:
    """Listen to the record as it grows: server-sent events, an `entry` each, in order, with the position as id.

    Begins after `after`, or after `Last-Event-ID`, which a client that comes again sends by itself; without either with what
    happens from now on. What people wrote comes with `texts=true` alone.
    """
    await note(request, services, caller)
    head = (await services.record.head()).position
    begin = _last_id(request)
    begin = begin if begin is not None else head if after is None else after
    if begin > head:
        raise record_changed()
    access: Access = request.scope["state"]["access"]
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no", "Hansard-Record": str(services.record_id)}
    if request.method == HttpMethod.HEAD:
        return Response(b"", headers=headers, media_type=MEDIA_TYPE)
    events = stream(services, services.audit_streams, access, after=begin, texts=texts)
    first = await anext(events)  # who comes one too many is refused before the answer has begun
    return Stream(_joined(first, events), headers=headers, media_type=MEDIA_TYPE)


def _last_id(request: Request[Any, Any, Any]) -> int | None:
    """Return the last position that a client got, None if it does not say. Raise `Problem` if it says no position."""
    given = request.headers.get("last-event-id")
    if not given:
        return None
    if POSITION.fullmatch(given) is None:
        detail = "Last-Event-ID is the id of an event of this stream, a position."
        raise Problem(422, INVALID, detail, errors=[FieldError("Last-Event-ID", INVALID, detail)])
    return int(given)


async def _joined(first: bytes, rest: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield first
    async for piece in rest:
        yield piece


ROUTES: list[BaseRouteHandler] = [read_stream]
