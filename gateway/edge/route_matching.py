"""Route matching: which route a request is for, according to the very router that will answer it.

Rights, limits and hashing are looked up by the route's method and template, never by the path as a client spelt it: the
router takes `//a/b/` for `/a/b`, and a table of paths does not. Only one spelling of a path is accepted: that of RFC 3986
6.2.2, without empty segments and without a slash at the end.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from litestar import Litestar
from litestar.exceptions import HTTPException
from litestar.handlers import BaseRouteHandler
from litestar.routes import HTTPRoute, WebSocketRoute

from gateway.http.declarations import Declaration, declaration_of

# Only characters that cannot stand for themselves are escaped (not the unreserved ones of 2.3), in capitals, and never a slash
# or a control character. The other characters of a path are those of RFC 3986 3.3.
NEVER_ESCAPED = rb"2[DEF]|3[0-9]|4[1-9A-F]|5[0-9AF]|6[1-9A-F]|7[0-9AEF]|[01]"
SEGMENT = rb"/(?:[A-Za-z0-9\-._~!$&'()*+,;=:@]|%(?!" + NEVER_ESCAPED + rb")[0-9A-F]{2})+"
CANONICAL = re.compile(rb"/|(?:" + SEGMENT + rb")+")
DOT_SEGMENT = re.compile(rb"/\.{1,2}(?:/|$)")
REPLACEMENT = "\ufffd"  # what the server makes of bytes that are no UTF-8
SOCKET = "WS"


class Matched(NamedTuple):
    """A route: its method (`WS` for sockets), its template, and what its handler declares.

    What Litestar makes by itself (OPTIONS, its own document) declares nothing, and is public to nobody.
    """

    method: str
    path: str
    declared: Declaration | None


Table = Mapping[tuple[str, str], Declaration]


class Routes:
    """The routes of an application. Raises `LookupError` if one declares nothing, or if a `published` address has no route."""

    def __init__(self, app: Litestar, published: Iterable[tuple[str, str]] = ()) -> None:
        self._match = app.asgi_router.handle_routing
        self._declared = table_of(app)
        missing = sorted(" ".join(name) for name in published if name not in self._declared)
        if missing:
            raise LookupError(f"No route answers at these addresses: {', '.join(missing)}")

    def of(self, scope: Any) -> Matched | None:
        """Return the route that will answer, or None if there is none. A HEAD without a route of its own is a GET."""
        if not is_canonical(scope):
            return None
        if scope["type"] == "websocket":
            return self._found(SOCKET, None, scope["path"])
        method = scope["method"]
        return self._found(method, method, scope["path"]) or (
            self._found("GET", "GET", scope["path"]) if method == "HEAD" else None
        )

    def _found(self, name: str, method: Any, path: str) -> Matched | None:
        try:
            *_, template = self._match(path=path, method=method)
        except HTTPException:
            return None
        return Matched(name, template, self._declared.get((name, template)))


def is_canonical(scope: Any) -> bool:
    """Return whether a request's path is in its one spelling."""
    written = bytes(scope.get("raw_path") or scope["path"].encode()).partition(b"?")[0]
    return (
        CANONICAL.fullmatch(written) is not None
        and DOT_SEGMENT.search(written) is None
        and REPLACEMENT not in scope["path"]
    )


def table_of(app: Litestar) -> Table:
    """Return what the handlers of an application declare, by method and template, in the order of its routes.

    Raise `LookupError` if a handler of ours declares nothing, or takes a receipt without declaring it.
    """
    found = {(method, path): (handler, declaration_of(handler)) for method, path, handler in _ours(app)}
    silent = sorted(" ".join(name) for name, (_, declared) in found.items() if declared is None)
    if silent:
        raise LookupError(f"These routes declare nothing: {', '.join(silent)}")
    keyed = sorted(" ".join(name) for name, (handler, declared) in found.items() if _takes_receipt(handler, declared))
    if keyed:
        raise LookupError(f"These routes take receipts, and do not declare it: {', '.join(keyed)}")
    return {name: declared for name, (_, declared) in found.items() if declared is not None}


def _takes_receipt(handler: BaseRouteHandler, declared: Declaration | None) -> bool:
    """Return whether a handler takes a receipt without declaring it."""
    is_asked = "receipt" in handler.parsed_fn_signature.parameters
    return is_asked and (declared is None or declared.idempotency != "receipt")


def _ours(app: Litestar) -> Iterator[tuple[str, str, BaseRouteHandler]]:
    """Yield method, template and handler of every route, except those that Litestar makes by itself."""
    for route in app.routes:
        if isinstance(route, HTTPRoute):
            for handler in sorted(route.route_handlers, key=lambda each: sorted(each.http_methods)):
                if not handler.fn.__module__.startswith("litestar."):
                    yield from ((method, route.path_format, handler) for method in sorted(handler.http_methods))
        elif isinstance(route, WebSocketRoute):
            yield SOCKET, route.path_format, route.route_handler
