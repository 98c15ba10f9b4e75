"""What operators and machines ask: alive, ready, keys, what this deployment is, and its documents."""

from base64 import b64encode
from hashlib import sha256
from html import escape
from importlib.metadata import version
from typing import Any

import msgspec
from litestar import Request, Response, get
from litestar.handlers import BaseRouteHandler
from msgspec import Struct

from adapters.postgres.applied_migrations import applied
from adapters.postgres.clock_watch import ClockLeapt
from adapters.redis.lanes import LanesUnavailable
from domain import bounds
from domain.ids import RecordId
from domain.ports import Head, RecordUnavailable
from gateway.http.problems import not_found
from gateway.http.responses import shown
from gateway.services import House
from gateway.spec import asyncapi
from gateway.spec.openapi import documented
from projections import LIVE, PROJECTIONS, checkpoints, parked

FEATURE_LEVEL = 1
LAG_EVENTS_MAX = 10_000
STYLE = (
    "body{font:16px/1.5 system-ui;margin:2rem auto;max-width:70rem;padding:0 1rem}"
    "td{padding:.3rem .8rem;border-top:1px solid #ccc;vertical-align:top}"
)


class MetaView(Struct, frozen=True):
    record: RecordId
    position: int
    feature_level: int
    version: str
    limits: dict[str, int]


LIMITS = {
    "message_chars_max": bounds.MESSAGE_CHARS_MAX,
    "room_name_chars_max": bounds.ROOM_NAME_CHARS_MAX,
    "username_chars_max": bounds.USERNAME_CHARS_MAX,
    "body_bytes_max": bounds.BODY_BYTES_MAX,
    "frame_bytes_max": bounds.FRAME_BYTES_MAX,
    "page_items_max": bounds.PAGE_ITEMS_MAX,
    "subscriptions_max": bounds.SUBSCRIPTIONS_MAX,
}


@get("/api/v1/meta")
async def read_meta(house: House) -> Response[MetaView]:
    """Return what this deployment is and where its record stands."""
    head = await house.record.head()
    limits = {**LIMITS, "upload_bytes_max": house.terms.upload_bytes_max}
    return shown(MetaView(head.record, head.position, FEATURE_LEVEL, house.terms.version, limits))


@get("/.well-known/jwks.json")
async def read_jwks(house: House) -> Response[dict[str, list[dict[str, str]]]]:
    """Return the public keys of access tokens (RFC 7517)."""
    return Response(house.tokens.jwks(house.now()), headers={"Cache-Control": "public, max-age=300"})


@get("/livez")
async def live() -> Response[dict[str, str]]:
    """Answer while the process runs."""
    return Response({"status": "alive"})


@get("/readyz")
async def ready(house: House) -> Response[dict[str, Any]]:
    """Answer 200 when requests can be served: Postgres with all migrations, Redis, and a projection that keeps up.

    Parked events, and another group than the live one that stands still, are told and leave it ready: they are the
    operator's matter, and no gateway could do better.
    """
    state: dict[str, Any] = {}
    try:
        head = await house.record.head()
        state["postgres"] = "ok"
        state["clock"] = clock_of(house, head)
        lag = head.position - await checkpoints.position(house.db, "live")
        state["projection_lag_events"] = lag
        lags, missing = await checkpoints.lags(house.db, list(PROJECTIONS)), await parked.counts(house.db)
        still = {each.name: _idle(each) for each in lags if each.stands_still}
        state |= {name: found for name, found in (("standing_still", still), ("parked_events", missing)) if found}
        due = len(house.terms.migrations - await applied(house.db))
        state["migrations"] = f"due: {due}" if due else "ok"
    except RecordUnavailable:
        state["postgres"], state["clock"] = "away", "unknown"
        lag = LAG_EVENTS_MAX
        still = {}
    try:
        await house.lanes.ping()
        state["redis"] = "ok"
    except LanesUnavailable:
        state["redis"] = "away"
    answers = state["postgres"] == state["redis"] == state.get("migrations") == "ok"
    keeps_up = lag < LAG_EVENTS_MAX and LIVE.name not in still
    is_ready = answers and keeps_up and state["clock"] != "leapt"
    state["status"] = "ready" if is_ready and not house.hub.draining else "not ready"
    return Response(state, status_code=200 if state["status"] == "ready" else 503)


def clock_of(house: House, head: Head) -> str:
    """Return what is to be said of the database's clock. `leapt`: nothing is recorded. `behind the record`: times stand
    still until it has come up to the last one."""
    try:
        house.clock.judge(head.clock, head.at)
    except ClockLeapt:
        return "leapt"
    if head.at - head.clock > house.clock.ahead_max:
        return "behind the record"
    return "ok" if abs(house.clock.ahead(head.clock)) <= house.clock.ahead_max else "unlike this machine's"


@get("/schema/openapi.json", include_in_schema=False)
async def openapi(request: Request[Any, Any, Any], house: House) -> Response[bytes]:
    """Return the OpenAPI 3.1 document of this API."""
    return Response(msgspec.json.encode(_schema(request, house)), media_type="application/json")


@get("/asyncapi.json", include_in_schema=False)
async def read_asyncapi(house: House) -> Response[bytes]:
    """Return the AsyncAPI 3 document of the sockets."""
    _require_schema(house)
    return Response(msgspec.json.encode(asyncapi.documented(house.terms.version)), media_type="application/json")


@get("/schema", include_in_schema=False)
async def schema_page(request: Request[Any, Any, Any], house: House) -> Response[bytes]:
    """Return the same for people, as one page that loads nothing from elsewhere."""
    style = b64encode(sha256(STYLE.encode()).digest()).decode()
    return Response(
        _page(_schema(request, house)).encode(),
        media_type="text/html",
        headers={
            "Content-Security-Policy": f"default-src 'none'; style-src 'sha256-{style}'; object-src 'none'; "
            "frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
        },
    )


def _idle(lag: checkpoints.Lag) -> dict[str, int]:
    return {"lag_events": lag.events, "idle_seconds": int(lag.idle_seconds)}


def our_version() -> str:
    """Return the version of the installed distribution."""
    return version("hansard")


def _schema(request: Request[Any, Any, Any], house: House) -> dict[str, Any]:
    _require_schema(house)
    return documented(request.app)


def _require_schema(house: House) -> None:
    if not house.terms.schema_on:
        raise not_found()


def _page(schema: dict[str, Any]) -> str:
    rows = []
    for path, operations in sorted(schema["paths"].items()):
        for method, operation in operations.items():
            if isinstance(operation, dict):
                said = operation.get("description") or operation.get("summary") or ""
                rows.append(
                    f"<tr><td><b>{escape(method.upper())}</b></td><td><code>{escape(path)}</code></td>"
                    f"<td>{escape(said)}</td></tr>"
                )
    return (
        "<!doctype html><html lang=en><meta charset=utf-8><title>Hansard API</title>"
        f"<style>{STYLE}</style>"
        f"<h1>Hansard API</h1><p>The machine's form: <a href=/schema/openapi.json>openapi.json</a>. "
        "Sockets, <code>/api/v1/ws</code> and <code>/api/v1/ws/{room_id}</code>: "
        "<a href=/asyncapi.json>asyncapi.json</a>.</p>"
        f"<table>{''.join(rows)}</table></html>"
    )


ROUTES: list[BaseRouteHandler] = [
    read_meta, read_jwks, live, ready, openapi, read_asyncapi, schema_page,
]  # fmt: skip
