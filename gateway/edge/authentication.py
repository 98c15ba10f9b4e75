"""The door: who may come in. In front of everything else, and shut unless a route declares itself to be public
(`gateway/http/declarations.py`).

It goes by the route that the router will answer with, and takes a path in its one spelling (`gateway/edge/route_matching.py`). What it
lets in carries an `Access` in its scope. Sockets show their credentials themselves (`gateway/sockets/connection.py`), by the same rules.
"""

import asyncio
import re
import secrets
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from time import perf_counter
from typing import Any

import structlog
from litestar.types import ASGIApp

from adapters.prometheus.gateway import HttpMetrics
from domain.bounds import ACCESS_SECONDS, CLOCK_LEEWAY_SECONDS
from domain.errors import (
    BadTokenError,
    BusyError,
    DomainError,
    LimitExceededError,
    PlainConnectionError,
    SessionRevokedError,
)
from domain.ids import SessionId, UserId
from domain.ports.clock import Clock
from domain.ports.credentials import Access, Passwords, Tokens
from domain.ports.database import Db
from domain.quotas import of_address
from gateway.edge import rate_limits
from gateway.edge.client_address import Proxies
from gateway.edge.rate_limits import Throttle
from gateway.edge.refusal_log import Refusals
from gateway.edge.route_matching import Routes, is_canonical
from gateway.http import problems
from gateway.http.preconditions import conditional, listed
from gateway.http.response_headers import FRONT_PAGE, bodiless, completed, wants_page
from gateway.server.http1 import LINGER_BYTES
from projections import sessions, users

LINGER_SECONDS = 10.0

# What pages of listed origins may read of an answer, and send.
EXPOSED = (
    b"Accept-Ranges, Allow, Content-Disposition, Content-Range, ETag, Hansard-Position, Idempotency-Replayed, Last-Modified, "
    b"X-Request-Id, Retry-After, RateLimit, RateLimit-Policy"
)
TAKEN = (
    b"Authorization, Content-Type, Idempotency-Key, If-Match, If-None-Match, If-Modified-Since, If-Unmodified-Since, "
    b"If-Range, Range, Hansard-After, Hansard-Reason, X-Request-Id, traceparent"
)
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
REQUEST_ID = re.compile(rb"[A-Za-z0-9\-_.:/+=]{1,128}")
# W3C Trace Context, version 00: the trace's id goes into every line that is logged for the request.
TRACEPARENT = re.compile(rb"00-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")


class Sessions:
    """Which sessions have ended and which accounts are shut: told by the control lane, read again from the tables."""

    def __init__(self, db: Db, tokens: Tokens, now: Clock) -> None:
        self._db = db
        self._tokens = tokens
        self._now = now
        self._ended: set[SessionId] = set()
        self._shut: set[UserId] = set()

    def authenticate(self, token: str) -> Access:
        """Return what a bearer token says. Raises `BadTokenError`, or `SessionRevokedError` for one that was good."""
        access = self._tokens.read(token, self._now())
        if access.session_id in self._ended or access.user_id in self._shut:
            raise SessionRevokedError
        return access

    def is_over(self, access: Access) -> bool:
        """Whether an access that was good is so no more (its age aside)."""
        return access.session_id in self._ended or access.user_id in self._shut

    def end(self, session_id: SessionId) -> None:
        self._ended.add(session_id)

    def is_shut(self, user_id: UserId) -> bool:
        return user_id in self._shut

    def shut(self, user_id: UserId) -> None:
        self._shut.add(user_id)

    def reopen(self, user_id: UserId) -> None:
        self._shut.discard(user_id)

    async def reload(self) -> None:
        """Read anew what the tables say; a session that ended longer ago than any token lives is forgotten."""
        life = timedelta(seconds=ACCESS_SECONDS + 2 * CLOCK_LEEWAY_SECONDS + 60)
        told = self._ended
        # By the earlier of two clocks: `ended_at` is the database's, and what a token says is ours.
        now = min(self._now(), await sessions.clock(self._db))
        self._ended = await sessions.ended_since(self._db, now - life)
        self._ended |= told if len(told) < 100_000 else set()
        self._shut = await users.inactive(self._db)
        await self._tokens.reload()


class Authentication:
    """The outermost ASGI application."""

    def __init__(
        self,
        app: ASGIApp,
        routes: Routes,
        known: Sessions,
        origins: tuple[str, ...],
        metrics: HttpMetrics,
        throttle: Throttle,
        proxies: Proxies,
        refusals: Refusals,
        passwords: Passwords,
        *,
        tls_only: bool = False,
    ) -> None:
        self._tls_only = tls_only
        self._refusals = refusals
        self._passwords = passwords
        self._app = app
        self._routes = routes
        self._known = known
        self._metrics = metrics
        self._throttle = throttle
        self._proxies = proxies
        self._origins = frozenset(origin.encode() for origin in origins)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        is_secure = self._proxies.is_secure(scope)
        address = self._proxies.client(scope)
        scope["client"] = None if address is None else (address, 0)  # from here on there is no other address
        headers = dict(scope["headers"])
        request_id = _request_id(headers)
        scope.setdefault("state", {})["request_id"] = request_id
        send = completed(send, is_secure)
        route = self._routes.of(scope)
        declared = route.declared if route is not None else None
        is_refused = self._tls_only and not is_secure and not (declared is not None and declared.is_unlimited)
        if scope["type"] == "websocket":
            await self._connect(scope, receive, send, is_known=route is not None, is_refused=is_refused)
            return
        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(request_id=request_id, **_trace(headers))
        origin = headers.get(b"origin")
        allowed = origin if origin in self._origins else None
        if scope["method"] == "OPTIONS" and origin and b"access-control-request-method" in headers:
            await _preflight(send, allowed)
            return
        if scope["method"] == "HEAD":
            send = bodiless(send)
            scope = {**scope, "method": "GET" if route is None else route.method}  # a copy: the server goes by its own
        if route is not None and route.path == FRONT_PAGE and not wants_page(_accept(headers)):
            route = declared = None  # there is nothing for machines
        count = self._counter(scope["method"], "" if route is None else route.path)
        outward: Any = _Outward(receive, send, scope, request_id, allowed, count, self._refusals)
        if scope["method"] in ("GET", "HEAD"):
            expected, known = (listed(scope["headers"], name) for name in (b"if-match", b"if-none-match"))
            outward = conditional(outward, expected, known, request_id)
        access: Access | None = None
        refused: DomainError | problems.Problem | None = None
        if declared is not None and declared.hashes_password and self._passwords.is_full_for(of_address(address)):
            # A flood costs neither a query nor a count: those who talk meanwhile must not feel it.
            await _refuse(outward, BusyError(), request_id)
            return
        if is_refused:
            refused = PlainConnectionError()
        elif declared is None or not declared.is_public:
            try:
                access = scope["state"]["access"] = self._known.authenticate(bearer(headers))
            except DomainError as refusal:
                refused = refusal
            else:
                refused = None if is_canonical(scope) else problems.not_found()
        # Whoever is not known is limited by address: guessing tokens is a request as well.
        allowance = await self._throttle.take(scope, declared, access)
        if not allowance.ok:
            refused = LimitExceededError(allowance.retry_after_seconds)
        if refused is not None:
            scope["state"]["refused"] = refused.code
            await _refuse(outward, refused, request_id)
            return
        await self._app(scope, receive, outward)

    def _counter(self, method: str, route: str) -> Callable[[int], None]:
        """Return what counts the answer to a request that begins now; a route that there is not is named by nothing."""
        began, named = perf_counter(), method if method in METHODS else "other"
        return lambda status: self._metrics.answered(named, route, status, perf_counter() - began)

    async def _connect(self, scope: Any, receive: Any, send: Any, *, is_known: bool, is_refused: bool) -> None:
        """Let a socket's handshake pass, at most so many of an address; its credentials are judged behind this door."""
        allowance = await self._throttle.take_connect(scope)
        refused: DomainError | None = None
        if not allowance.ok:
            refused = LimitExceededError(allowance.retry_after_seconds)
        elif is_refused:
            refused = PlainConnectionError()
        problem: problems.Problem
        if refused is not None:
            problem = problems.problem_of(refused)
            self._refusals.note(problem.status, refused.code, None, scope["client"][0] if scope["client"] else None)
        elif not is_known:
            problem = problems.Problem(404, "route.not_found", "There is no socket at this address.")
        else:
            await self._app(scope, receive, send)
            return
        headers = [*_problem_headers(problem), *rate_limits.headers(allowance.standings)]
        await send({"type": "websocket.http.response.start", "status": problem.status, "headers": headers})
        body = problems.rendered(problem, scope["state"]["request_id"])
        await send({"type": "websocket.http.response.body", "body": body})


def bearer(headers: dict[bytes, bytes]) -> str:
    """Return the token of an Authorization header (RFC 6750). Raises `BadTokenError` when there is none."""
    scheme, _, token = headers.get(b"authorization", b"").decode("latin-1").partition(" ")
    if scheme.lower() != "bearer" or not token:
        raise BadTokenError
    return token.strip()


class _Outward:
    """Adds to every answer what every answer has, and counts it; sees it arrive where the connection closes after it."""

    def __init__(
        self,
        receive: Any,
        send: Any,
        scope: Any,
        request_id: str,
        origin: bytes | None,
        count: Callable[[int], None],
        refusals: Refusals,
    ) -> None:
        self._receive = receive
        self._send = send
        self._closes = False
        self._scope = scope
        self._count = count
        self._refusals = refusals
        self.headers = [(b"x-request-id", request_id.encode())]
        if origin:
            self.headers += [
                (b"access-control-allow-origin", origin),
                (
                    b"access-control-expose-headers",
                    EXPOSED,
                ),
                (b"vary", b"Origin"),
            ]

    async def __call__(self, message: Any) -> None:
        if message["type"] == "http.response.start":
            told = rate_limits.headers(self._scope["state"].get("standings", ()))
            headers = [*message.get("headers", ()), *self.headers, *told]
            if (kind := self._scope["state"].get("refused")) is not None:
                self._note(message["status"], kind)
            self._count(message["status"])
            # Who was too slow (408) is let go at once.
            self._closes = (b"connection", b"close") in headers and message["status"] != 408
            message = {**message, "headers": headers}
        elif self._closes and not message.get("more_body"):
            await self._send({**message, "more_body": True})
            await _linger(self._receive)
            message = {"type": "http.response.body", "body": b""}
        await self._send(message)

    def _note(self, status: int, kind: str) -> None:
        access, client = self._scope["state"].get("access"), self._scope["client"]
        self._refusals.note(status, kind, access.user_id if access else None, client[0] if client else None)


async def _linger(receive: Any) -> None:
    """Read the rest of a body and forget it: to close on unread bytes would take the answer back (RFC 9112, 9.6)."""
    left = LINGER_BYTES
    with suppress(TimeoutError):
        async with asyncio.timeout(LINGER_SECONDS):
            while left > 0 and (message := await receive()).get("more_body"):
                left -= len(message["body"])


async def _refuse(send: Any, refusal: DomainError | problems.Problem, request_id: str) -> None:
    problem = problems.problem_of(refusal)
    body = problems.rendered(problem, request_id)
    headers = [*_problem_headers(problem), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": problem.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def _problem_headers(problem: problems.Problem) -> list[tuple[bytes, bytes]]:
    named = ((name.lower().encode(), value.encode()) for name, value in problem.headers.items())
    return [(b"content-type", problems.MEDIA_TYPE.encode()), *named]


async def _preflight(send: Any, origin: bytes | None) -> None:
    headers = [(b"vary", b"Origin"), (b"content-length", b"0")]
    if origin:
        headers += [
            (b"access-control-allow-origin", origin),
            (b"access-control-allow-methods", b"GET, HEAD, POST, PUT, PATCH, DELETE"),
            (
                b"access-control-allow-headers",
                TAKEN,
            ),
            (b"access-control-max-age", b"600"),
        ]
    await send({"type": "http.response.start", "status": 204, "headers": headers})
    await send({"type": "http.response.body", "body": b""})


def _accept(headers: dict[bytes, bytes]) -> str:
    return headers.get(b"accept", b"").decode("latin-1")


def _trace(headers: dict[bytes, bytes]) -> dict[str, str]:
    found = TRACEPARENT.fullmatch(headers.get(b"traceparent", b""))
    return {"trace_id": found[1].decode()} if found else {}


def _request_id(headers: dict[bytes, bytes]) -> str:
    given = headers.get(b"x-request-id", b"")
    return given.decode() if REQUEST_ID.fullmatch(given) else secrets.token_hex(16)
