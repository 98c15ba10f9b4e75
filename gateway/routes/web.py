"""The page: its files, and the policy under which a browser runs it. `/` itself is the front page's."""

from typing import Any

from litestar import Request, Response, get
from litestar.handlers import BaseRouteHandler

from adapters.web_files import BASE, IDENTITY, WebFile
from gateway.http.declarations import declare
from gateway.http.problems import not_found
from gateway.http.response_headers import REFUSED
from gateway.services import Services

# Nothing inline, nothing from elsewhere, and no text becomes HTML but through the one policy of `web/trusted.js`. Pictures are
# fetched with a token, and so shown from `blob:`.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' blob:; manifest-src 'self'; "
    "object-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'; "
    "require-trusted-types-for 'script'; trusted-types hansard"
)
PAGE_HEADERS = {
    "Content-Security-Policy": POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Embedder-Policy": "require-corp",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    "Cache-Control": "no-cache",
}
# What push messages wake. Its address stays, since browsers keep a worker by it, and its scope is the whole page.
PUSH_WORKER = "push_worker.js"
PUSH_WORKER_HEADERS = {"Cache-Control": "no-cache", "Service-Worker-Allowed": "/", "Vary": "Accept-Encoding"}
FOR_EVER = {"Cache-Control": "public, max-age=31536000, immutable"}


def page(request: Request[Any, Any, Any], services: Services) -> Response[bytes]:
    """Answer with the page. A browser that has it gets it again when a file of it has changed."""
    assert services.page is not None, "it is asked for where there is one"
    return _answer(
        request, services.page.index, f"{services.page.digest}", PAGE_HEADERS | {"Vary": "Accept, Accept-Encoding"}
    )


@get(BASE + "{asset:path}", include_in_schema=False, opt=declare("deployment.read"))
async def web_file(asset: str, request: Request[Any, Any, Any], services: Services) -> Response[Any]:
    """Return a file of the page. One of another version is sent to the present one: servers are replaced one after another."""
    digest, _, name = asset.removeprefix("/").partition("/")
    if services.page is not None and (digest, name) == (PUSH_WORKER, ""):
        return _answer(request, services.page.files[PUSH_WORKER], services.page.digest, PUSH_WORKER_HEADERS)
    found = None if services.page is None else services.page.files.get(name)
    if services.page is None or found is None:
        raise not_found()
    if digest != services.page.digest:
        address = f"{BASE}{services.page.digest}/{name}"
        return Response(b"", status_code=307, headers={"Location": address, "Cache-Control": "no-store"})
    return _answer(request, found, digest, FOR_EVER | {"Vary": "Accept-Encoding"})


def _answer(request: Request[Any, Any, Any], file: WebFile, digest: str, headers: dict[str, str]) -> Response[bytes]:
    encoding = _encoding(request.headers.get("accept-encoding", ""), file)
    tagged = {**headers, "ETag": f'"{digest}-{encoding}"'}
    if encoding != IDENTITY:
        tagged["Content-Encoding"] = encoding
    return Response(file.forms[encoding], media_type=file.media_type, headers=tagged)


def _encoding(accepted: str, file: WebFile) -> str:
    """Return the shortest form that an Accept-Encoding names (RFC 9110 12.5.3). Weights other than 0 do not matter here."""
    named = set()
    for each in accepted.lower().split(","):
        coding, _, parameters = each.partition(";")
        if not REFUSED.fullmatch(parameters):
            named.add(coding.strip())
    return next((coding for coding in file.forms if coding in named), IDENTITY)


ROUTES: list[BaseRouteHandler] = [web_file]
