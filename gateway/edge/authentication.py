"""Authentication: the outermost ASGI application. Nobody passes without a valid token, unless the route declares itself
to be public (`gateway/http/declarations.py`).

It judges by the route that the router will answer with, and takes a path in its one spelling only
(`gateway/edge/route_matching.py`). A request that passes carries an `Access` in its scope. Sockets show their credentials
themselves (`gateway/sockets/connection.py`), by the same rules.
"""

from collections.abc import Callable
from time import perf_counter
from typing import Any

import structlog
from litestar.types import ASGIApp

from adapters.prometheus.gateway import HttpMetrics
from domain.errors import BadTokenError, BusyError, DomainError, LimitExceededError, PlainConnectionError
from domain.ports.credentials import Access, Passwords
from domain.quotas import of_address
from gateway.edge import cors, rate_limits
from gateway.edge.client_address import Proxies
from gateway.edge.outgoing_answer import OutgoingAnswer
from gateway.edge.problem_answers import refuse_handshake, send_problem
from gateway.edge.rate_limits import Throttle
from gateway.edge.refusal_log import Refusals
from gateway.edge.request_ids import request_id_of, trace_of
from gateway.edge.route_matching import Matched, Routes, is_canonical
from gateway.edge.sessions import Sessions
from gateway.http.context import SERVICES
from gateway.http.error_mapping import problem_of
from gateway.http.preconditions import conditional, listed
from gateway.http.problems import Problem, not_found
from gateway.http.response_headers import FRONT_PAGE, wants_page, with_browser_headers, without_body

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
Refused = DomainError | Problem


class Authentication:
    """In front of all routes."""

    def __init__(
        self,
        app: ASGIApp,
        routes: Routes,
        services: object,
        sessions: Sessions,
        origins: tuple[str, ...],
        metrics: HttpMetrics,
        throttle: Throttle,
        proxies: Proxies,
        refusals: Refusals,
        passwords: Passwords,
        *,
        tls_only: bool = False,
    ) -> None:
        """`services` are what the routes work with: they find them in the scope."""
        self._tls_only = tls_only
        self._refusals = refusals
        self._passwords = passwords
        self._app = app
        self._routes = routes
        self._services = services
        self._sessions = sessions
        self._metrics = metrics
        self._throttle = throttle
        self._proxies = proxies
        self._origins = frozenset(origin.encode() for origin in origins)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        is_secure, address = self._proxies.is_secure(scope), self._proxies.client(scope)
        scope["client"] = None if address is None else (address, 0)  # from here on there is no other address
        scope.setdefault("state", {})["request_id"] = request_id_of(dict(scope["headers"]))
        scope["state"]["is_secure"] = is_secure
        scope["state"][SERVICES] = self._services
        send = with_browser_headers(send, is_secure)
        route = self._routes.of(scope)
        is_too_plain = self._tls_only and not is_secure and not _is_unlimited(route)
        if scope["type"] == "websocket":
            await self._connect(scope, receive, send, is_routed=route is not None, is_too_plain=is_too_plain)
        else:
            await self._answer(scope, receive, send, route, is_too_plain=is_too_plain)

    async def _answer(self, scope: Any, receive: Any, send: Any, route: Matched | None, *, is_too_plain: bool) -> None:
        """Have a request answered by its route, or refuse it."""
        headers, request_id = dict(scope["headers"]), scope["state"]["request_id"]
        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(request_id=request_id, **trace_of(headers))
        origin = headers.get(b"origin")
        listed_origin = origin if origin in self._origins else None
        if cors.is_preflight(scope["method"], headers):
            await cors.answer_preflight(send, listed_origin)
            return
        if scope["method"] == "HEAD":
            send = without_body(send)
            scope = {**scope, "method": "GET" if route is None else route.method}  # a copy: the server goes by its own
        if route is not None and route.path == FRONT_PAGE and not wants_page(_accept(headers)):
            route = None  # there is nothing for machines
        count = self._counter(scope["method"], "" if route is None else route.path)
        answer: Any = OutgoingAnswer(
            receive, send, scope, request_id, listed_origin, count=count, refusals=self._refusals
        )
        if scope["method"] in ("GET", "HEAD"):
            expected, known = (listed(scope["headers"], name) for name in (b"if-match", b"if-none-match"))
            answer = conditional(answer, expected, known, request_id)
        if self._is_flooded(scope, route):
            await send_problem(answer, problem_of(BusyError()), request_id)
        elif (refused := await self._judge(scope, headers, route, is_too_plain=is_too_plain)) is not None:
            scope["state"]["refused"] = refused.code
            await send_problem(answer, problem_of(refused), request_id)
        else:
            await self._app(scope, receive, answer)

    def _is_flooded(self, scope: Any, route: Matched | None) -> bool:
        """Return whether too much hashing waits for this address already.

        It is asked before everything else: a flood costs neither a query nor a count, so those who chat do not feel it.
        """
        if route is None or route.declared is None or not route.declared.hashes_password:
            return False
        return self._passwords.is_full_for(of_address(_address_of(scope)))

    async def _judge(
        self, scope: Any, headers: dict[bytes, bytes], route: Matched | None, *, is_too_plain: bool
    ) -> Refused | None:
        """Return why a request is refused, or None if it may pass. Then its scope holds the `Access` of its token, if any."""
        declared = None if route is None else route.declared
        access: Access | None = None
        refused: Refused | None = None
        if is_too_plain:
            refused = PlainConnectionError()
        elif declared is None or not declared.is_public:
            access, refused = self._authenticate(scope, headers)
        # Without a valid token the address is limited: guessing tokens is a request as well.
        allowance = await self._throttle.take(scope, declared, access)
        return refused if allowance.ok else LimitExceededError(allowance.retry_after_seconds)

    def _authenticate(self, scope: Any, headers: dict[bytes, bytes]) -> tuple[Access | None, Refused | None]:
        """Return the access of a request's token, and why it is refused nevertheless."""
        try:
            access = scope["state"]["access"] = self._sessions.authenticate(bearer(headers))
        except DomainError as refusal:
            return None, refusal
        return access, None if is_canonical(scope) else not_found()

    def _counter(self, method: str, route: str) -> Callable[[int], None]:
        """Return what counts the answer to a request that begins now. `route` is "" where there is none."""
        began, named = perf_counter(), method if method in METHODS else "other"
        return lambda status: self._metrics.answered(named, route, status, perf_counter() - began)

    async def _connect(self, scope: Any, receive: Any, send: Any, *, is_routed: bool, is_too_plain: bool) -> None:
        """Let a socket's handshake pass, at most so many of an address. Its credentials are judged later."""
        allowance = await self._throttle.take_connect(scope)
        refused: DomainError | None = None
        if not allowance.ok:
            refused = LimitExceededError(allowance.retry_after_seconds)
        elif is_too_plain:
            refused = PlainConnectionError()
        if refused is not None:
            problem = problem_of(refused)
            self._refusals.note(problem.status, refused.code, None, _address_of(scope))
        elif not is_routed:
            problem = Problem(404, "route.not_found", "There is no socket at this address.")
        else:
            await self._app(scope, receive, send)
            return
        await refuse_handshake(send, problem, scope["state"]["request_id"], rate_limits.headers(allowance.quota_states))


def bearer(headers: dict[bytes, bytes]) -> str:
    """Return the token of an Authorization header (RFC 6750). Raise `BadTokenError` if there is none."""
    scheme, _, token = headers.get(b"authorization", b"").decode("latin-1").partition(" ")
    if scheme.lower() != "bearer" or not token:
        raise BadTokenError
    return token.strip()


def _is_unlimited(route: Matched | None) -> bool:
    return route is not None and route.declared is not None and route.declared.is_unlimited


def _address_of(scope: Any) -> str | None:
    return scope["client"][0] if scope["client"] else None


def _accept(headers: dict[bytes, bytes]) -> str:
    return headers.get(b"accept", b"").decode("latin-1")
