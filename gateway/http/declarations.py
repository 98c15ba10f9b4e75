"""Declarations: all that the server must know of a route before it runs. They stand on its handler, and nowhere else.

A handler is marked: `@post("/rooms", opt=declare("room.open", idempotency="receipt"))`. Rights, quotas, hashing and the
documents are derived from the marks when the application is made (`gateway/edge/route_matching.py`); a handler without a
mark is refused then. Who may ask without a token follows from the operations (`domain/rights.py`).
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Literal

from litestar.handlers import BaseRouteHandler
from msgspec import Struct

from domain import authorization
from domain.events import Caller
from domain.ids import RecordId
from domain.rights import Operation

DECLARED = "declared"
QuotaName = Literal["registrations", "logins", "sends", "uploads", "pushes"]
# Raises `DomainError` if the caller may not do this; called before a fault in a request is reported. Takes the services, the
# caller and the path's parameters.
Admit = Callable[[Any, Caller, dict[str, Any]], Awaitable[None]]
# `receipt`: the same key and body get the same answer for 24 h. `token`: the same key and token do for ten seconds.
Idempotency = Literal["receipt", "token"]
Json = dict[str, Any]


class Described(Struct, frozen=True, kw_only=True):
    """What the OpenAPI document says of a route beyond its types.

    `makes` is the path parameter of other routes that the answer's `id` is good for. `form` is the request body if it is not
    JSON. `narrowed` is added to the schema of the body. `answers` are further statuses with the same body. `takes_cookie`: by a header, a browser may have its refresh token in a cookie.
    """

    makes: str | None = None
    has_version: bool = False
    is_download: bool = False
    takes_cookie: bool = False
    needs_reason: bool = False
    form: Json | None = None
    narrowed: Json | None = None
    answers: Mapping[int, str] = {}
    refused_with: frozenset[int] = frozenset()


class Declaration(Struct, frozen=True, kw_only=True):
    """What a route is. Of several operations it is the first, unless the request makes it another (by a room, a file, a role).

    `quotas` are taken beside `requests`, which every route takes that is not unlimited. `cursor` reads the cursors of this
    list. `secrets` are fields of the body that are never kept. `reads` are the groups of read tables that a reader of their own
    writes waits for: `live`, where nothing is said and not everybody may ask.
    """

    operations: tuple[Operation, ...]
    quotas: tuple[QuotaName, ...] = ()
    is_unlimited: bool = False
    hashes_password: bool = False
    idempotency: Idempotency | None = None
    admit: Admit | None = None
    cursor: Callable[[str, RecordId], Any] | None = None
    secrets: tuple[str, ...] = ()
    reads: tuple[str, ...] | None = None
    described: Described = Described()

    @property
    def is_public(self) -> bool:
        """Whether no token is needed."""
        return all(map(authorization.is_public, self.operations))

    @property
    def waits_for(self) -> tuple[str, ...]:
        """The groups of read tables that `Hansard-After` waits for."""
        if self.reads is not None:
            return self.reads
        return () if self.is_public else ("live",)


def declare(*operations: Operation, **more: Any) -> dict[str, Any]:
    """Return the `opt` of a handler for these operations. `more` are the other fields of `Declaration`."""
    assert operations, "a route has an operation"
    return {DECLARED: Declaration(operations=operations, **more)}


def declaration_of(handler: BaseRouteHandler) -> Declaration | None:
    """Return a handler's declaration, or None if it has none."""
    found: Declaration | None = handler.opt.get(DECLARED)
    return found
