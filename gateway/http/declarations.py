"""Declarations: all that the server must know of a route before it runs, on its handler and nowhere else.

A handler is marked, `@post("/rooms", opt=declare("room.open", idempotency="receipt"))`. Rights, quotas, hashing and the
documents are derived of the marks when the application is made (`gateway/edge/route_matching.py`); a handler without one
is refused then. Who may ask without a token follows from the operations (`domain/rights.py`).
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
QuotaName = Literal["registrations", "logins", "sends", "uploads"]
# Refuses whoever may not do this here; asked before a fault in a request is told. Takes the services, the caller, the path.
Admit = Callable[[Any, Caller, dict[str, Any]], Awaitable[None]]
# `receipt`: the same key and body give the same answer for 24 h. `token`: the same key and token do, for ten seconds.
Idempotency = Literal["receipt", "token"]
Json = dict[str, Any]


class Described(Struct, frozen=True, kw_only=True):
    """What the OpenAPI document says of a route that no type says.

    `makes`: which path parameter of other routes the answer's `id` is. `form`: the request body where it is not JSON.
    `narrowed`: what the body's schema has beside its fields. `answers`: further statuses that answer the same body.
    """

    makes: str | None = None
    has_version: bool = False
    is_download: bool = False
    needs_reason: bool = False
    form: Json | None = None
    narrowed: Json | None = None
    answers: Mapping[int, str] = {}
    refused_with: frozenset[int] = frozenset()


class Declaration(Struct, frozen=True, kw_only=True):
    """A route. Of several operations it is the first where the request says nothing else (a room, a file, a role).

    `quotas` are taken beside `requests`, which every route takes but the unlimited. `cursor` reads this list's cursors.
    `secrets` are the fields of the body of which nothing is kept.
    """

    operations: tuple[Operation, ...]
    quotas: tuple[QuotaName, ...] = ()
    is_unlimited: bool = False
    hashes_password: bool = False
    idempotency: Idempotency | None = None
    admit: Admit | None = None
    cursor: Callable[[str, RecordId], Any] | None = None
    secrets: tuple[str, ...] = ()
    described: Described = Described()

    @property
    def is_public(self) -> bool:
        """Whether strangers are answered."""
        return all(map(authorization.is_public, self.operations))


def declare(*operations: Operation, **more: Any) -> dict[str, Any]:
    """Return the `opt` of a handler that is these operations; `more` are the fields of `Declaration`."""
    assert operations, "a route is some operation"
    return {DECLARED: Declaration(operations=operations, **more)}


def declaration_of(handler: BaseRouteHandler) -> Declaration | None:
    """Return what a handler is marked with; None where it is not."""
    found: Declaration | None = handler.opt.get(DECLARED)
    return found
