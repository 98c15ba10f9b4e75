"""The front page: what a browser sees at `/`. For everybody who does not ask for HTML there is nothing at this address.

It is the page (`web/`), unless operators have switched it off or have it elsewhere (`HANSARD_WEB`).
"""

from base64 import b64encode
from hashlib import sha256
from html import escape
from typing import Any

from litestar import Request, Response, get
from litestar.handlers import BaseRouteHandler

from gateway.http.declarations import declare
from gateway.http.problems import not_found
from gateway.http.response_headers import FRONT_PAGE, wants_page
from gateway.routes import web
from gateway.services import Services

STYLE = "body{font:16px/1.5 system-ui;margin:4rem auto;max-width:40rem;padding:0 1rem}"
POLICY = (
    f"default-src 'none'; style-src 'sha256-{b64encode(sha256(STYLE.encode()).digest()).decode()}'; object-src 'none'; "
    "frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
)


@get(FRONT_PAGE, include_in_schema=False, opt=declare("deployment.read"))
async def front_page(request: Request[Any, Any, Any], services: Services) -> Response[bytes]:
    """Answer with the page, or say what this is on one that loads nothing."""
    if not wants_page(request.headers.get("accept", "")):
        raise not_found()
    if services.page is not None:
        return web.page(request, services)
    if services.policy.web_url:
        return Response(b"", status_code=307, headers={"Location": services.policy.web_url, "Vary": "Accept"})
    links = (
        "<ul><li><a href=/schema>The API, for people</a>"
        "<li><a href=/schema/openapi.json>OpenAPI</a>, and <a href=/asyncapi.json>AsyncAPI</a> of the sockets</ul>"
        if services.policy.schema_on
        else ""
    )
    page = (
        "<!doctype html><html lang=en><meta charset=utf-8>"
        "<meta name=viewport content='width=device-width'><title>Hansard</title>"
        f"<style>{STYLE}</style><h1>Hansard</h1><p>This is a server of Hansard {escape(services.policy.version)}: team chat in "
        "which every change is an event on a provable record. It is talked to by programs, below <code>/api/v1</code>; a "
        f"client of yours is what you use it with.</p>{links}</html>"
    )
    headers = {"Content-Security-Policy": POLICY, "Vary": "Accept"}
    return Response(page.encode(), media_type="text/html", headers=headers)


ROUTES: list[BaseRouteHandler] = [front_page]
