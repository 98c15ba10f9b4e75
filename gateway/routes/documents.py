"""The documents of the API: OpenAPI, for machines and for people, and AsyncAPI."""

from base64 import b64encode
from hashlib import sha256
from html import escape
from typing import Any

import msgspec
from litestar import Request, Response, get
from litestar.handlers import BaseRouteHandler

from gateway.http.declarations import declare
from gateway.http.problems import not_found
from gateway.services import Services
from gateway.spec import asyncapi
from gateway.spec.openapi import documented

STYLE = (
    "body{font:16px/1.5 system-ui;margin:2rem auto;max-width:70rem;padding:0 1rem}"
    "td{padding:.3rem .8rem;border-top:1px solid #ccc;vertical-align:top}"
)


@get("/schema", include_in_schema=False, opt=declare("deployment.read"))
async def schema_page(request: Request[Any, Any, Any], services: Services) -> Response[bytes]:
    """Return the same for people, as one page that loads nothing from elsewhere."""
    style = b64encode(sha256(STYLE.encode()).digest()).decode()
    return Response(
        _page(_schema(request, services)).encode(),
        media_type="text/html",
        headers={
            "Content-Security-Policy": f"default-src 'none'; style-src 'sha256-{style}'; object-src 'none'; "
            "frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
        },
    )


@get("/schema/openapi.json", include_in_schema=False, opt=declare("deployment.read"))
async def openapi(request: Request[Any, Any, Any], services: Services) -> Response[bytes]:
    """Return the OpenAPI 3.1 document of this API."""
    return Response(msgspec.json.encode(_schema(request, services)), media_type="application/json")


@get("/asyncapi.json", include_in_schema=False, opt=declare("deployment.read"))
async def read_asyncapi(services: Services) -> Response[bytes]:
    """Return the AsyncAPI 3 document of the sockets."""
    _require_schema(services)
    return Response(msgspec.json.encode(asyncapi.documented(services.policy.version)), media_type="application/json")


def _schema(request: Request[Any, Any, Any], services: Services) -> dict[str, Any]:
    _require_schema(services)
    return documented(request.app)


def _require_schema(services: Services) -> None:
    if not services.policy.schema_on:
        raise not_found()


def _page(schema: dict[str, Any]) -> str:
    rows = []
    for path, operations in sorted(schema["paths"].items()):
        for method, operation in operations.items():
            if isinstance(operation, dict):
                description = operation.get("description") or operation.get("summary") or ""
                rows.append(
                    f"<tr><td><b>{escape(method.upper())}</b></td><td><code>{escape(path)}</code></td>"
                    f"<td>{escape(description)}</td></tr>"
                )
    return (
        "<!doctype html><html lang=en><meta charset=utf-8><title>Hansard API</title>"
        f"<style>{STYLE}</style>"
        f"<h1>Hansard API</h1><p>The machine's form: <a href=/schema/openapi.json>openapi.json</a>. "
        "Sockets, <code>/api/v1/ws</code> and <code>/api/v1/ws/{room_id}</code>: "
        "<a href=/asyncapi.json>asyncapi.json</a>.</p>"
        f"<table>{''.join(rows)}</table></html>"
    )


ROUTES: list[BaseRouteHandler] = [schema_page, openapi, read_asyncapi]
