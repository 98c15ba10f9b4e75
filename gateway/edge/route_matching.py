"""Matching: which route a request is for, asked of the very router that will answer it.

Rights, limits and hashing are looked up by the route's method and template, never by the path as somebody spelt it: the
router takes `//a/b/` for `/a/b`, and a table of paths does not. What has more than one spelling is no address here: a
path is written as RFC 3986 6.2.2 normalises it, without empty segments and without a slash behind.
"""

import re
from collections.abc import Iterable
from typing import Any, NamedTuple

from litestar import Litestar
from litestar.exceptions import HTTPException
from litestar.routes import HTTPRoute, WebSocketRoute

# Escapes are of what may not stand as it is (not of 2.3's unreserved characters), in capitals; none is of a slash or of a
# control character. What else may stand in a path is RFC 3986 3.3's.
NEVER_ESCAPED = rb"2[DEF]|3[0-9]|4[1-9A-F]|5[0-9AF]|6[1-9A-F]|7[0-9AEF]|[01]"
SEGMENT = rb"/(?:[A-Za-z0-9\-._~!$&'()*+,;=:@]|%(?!" + NEVER_ESCAPED + rb")[0-9A-F]{2})+"
CANONICAL = re.compile(rb"/|(?:" + SEGMENT + rb")+")
DOT_SEGMENT = re.compile(rb"/\.{1,2}(?:/|$)")
REPLACEMENT = "\ufffd"  # what the server makes of bytes that are no UTF-8
SOCKET = "WS"


class Matched(NamedTuple):
    """A route: its method (`WS` for sockets) and its template, as the tables name it."""

    method: str
    path: str


class Routes:
    """The routes of an application. A table that names one which is not there is refused when the gateway starts."""

    def __init__(self, app: Litestar, *tables: Iterable[tuple[str, str]]) -> None:
        self._match = app.asgi_router.handle_routing
        there = set(_routes(app))
        missing = sorted({name for table in tables for name in table} - there)
        if missing:
            raise LookupError(f"These are no routes: {', '.join(map(' '.join, missing))}")

    def of(self, scope: Any) -> Matched | None:
        """Return the route that will answer; a HEAD that has none of its own is a GET. None where there is none."""
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
        return Matched(name, template)


def is_canonical(scope: Any) -> bool:
    """Whether a request's path is written in the one way that it can be."""
    written = bytes(scope.get("raw_path") or scope["path"].encode()).partition(b"?")[0]
    return (
        CANONICAL.fullmatch(written) is not None
        and DOT_SEGMENT.search(written) is None
        and REPLACEMENT not in scope["path"]
    )


def _routes(app: Litestar) -> Iterable[tuple[str, str]]:
    for route in app.routes:
        if isinstance(route, HTTPRoute):
            yield from ((method, route.path_format) for method in route.methods)
        elif isinstance(route, WebSocketRoute):
            yield SOCKET, route.path_format
