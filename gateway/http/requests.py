"""Requests: what may come in. Strict JSON, known query parameters, and headers that mean what they say.

All of it happens before a route's function runs. A fault in a body, query or header of a route about a room or message
is told only to those who may know of it: the route's `admit` is asked first (CONTRACT, order of checks).
"""

import re
from collections.abc import Collection
from datetime import UTC, datetime
from functools import lru_cache, partial
from hashlib import sha256
from hmac import digest as hmac
from types import NoneType, UnionType
from typing import Annotated, Any, NamedTuple, Union, get_args, get_origin
from uuid import UUID

import msgspec
from litestar import Request, Response
from litestar.handlers import BaseRouteHandler
from msgspec import Meta
from msgspec.structs import replace

from domain.bounds import AGENT_CHARS_MAX, IDEMPOTENCY_KEY_CHARS_MAX, REASON_CHARS_MAX
from domain.errors import Invalid
from domain.events import Caller
from domain.ports import Access, Receipt
from domain.text import LINE_BREAKING
from gateway.http import faults
from gateway.http.bodies import body_of
from gateway.http.declarations import declaration_of
from gateway.http.preconditions import listed, versions_of
from gateway.http.problems import FieldError, Problem, allowed_at, behind, record_changed
from gateway.services import House

RESERVED = frozenset({"request", "scope", "data", "house", "caller", "receipt", "if_match"})
PATH_PARAMETER = re.compile(r"\{(\w+):")
VISIBLE = re.compile(r"[\x21-\x7e]+")
WHOLE = re.compile(r"-?[0-9]{1,19}")


async def check(request: Request[Any, Any, Any]) -> Response[None] | None:
    """Litestar's `before_request`: judge query, headers and body, wait for `Hansard-After`. OPTIONS is answered here."""
    if request.method == "OPTIONS":
        return Response(None, status_code=204, headers={"Allow": allowed_at(request)})  # Litestar's own leaves some out
    handler: BaseRouteHandler = request.scope["route_handler"]
    try:
        _check_query(request, handler)
        _check_headers(request, handler)
        if handler.parsed_data_field is not None:
            body = request._json = await body_of(request, handler.parsed_data_field.annotation)
            # Asked where the body is refused for one field: then all are told (gateway/http/problems.py).
            request.scope["state"]["faults"] = partial(faults.of_body, body, request.app.state.house.terms)
        if request.method in ("GET", "HEAD") and "access" in request.scope["state"]:
            await _catch_up(request)
    except (Problem, Invalid):
        await _admit(request, handler)
        raise
    return None


def caller_of(request: Request[Any, Any, Any]) -> Caller:
    """Return on whose behalf a request comes, and all that the record keeps of that."""
    return replace(_who(request), reason=_reason(request))


async def receipt_of(request: Request[Any, Any, Any]) -> Receipt | None:
    """Return what the request's Idempotency-Key stands for; None where there is none. A stranger is their address.

    Of a body with a secret in it the rest is digested: nothing is kept of what a route declares as `secrets`.
    """
    if idempotency_key(request) is None:
        return None
    body = await request.body()
    declared = declaration_of(request.scope["route_handler"])
    return receipt_for(request, _without(body, declared.secrets if declared else ()), before=sha256(body).digest())


def receipt_for(request: Request[Any, Any, Any], said: bytes, *, before: bytes | None = None) -> Receipt | None:
    """Return the same for a request whose body is not kept; `said` is all that it said. What is kept of that is an HMAC:
    whoever reads the table and guesses a body cannot tell that it was this one. `before` is what earlier releases kept."""
    key = idempotency_key(request)
    if key is None:
        return None
    house: House = request.app.state.house
    caller = _who(request)
    whose = str(caller.user_id) if caller.user_id else f"stranger {caller.address}"
    scope = "\n".join((whose, request.method, request.url.path, key))
    return Receipt(sha256(scope.encode()).digest(), hmac(house.receipts_secret, said, "sha256"), before)


def _without(body: bytes, secrets: Collection[str]) -> bytes:
    """Return a body of JSON, which was judged already, without these of its fields."""
    if not secrets:
        return body
    fields: dict[str, Any] = msgspec.json.decode(body)
    return msgspec.json.encode({name: value for name, value in fields.items() if name not in secrets})


def require_key(request: Request[Any, Any, Any]) -> None:
    """Refuse an Idempotency-Key that cannot be one, before a long body is read."""
    idempotency_key(request)


def idempotency_key(request: Request[Any, Any, Any]) -> str | None:
    """Return the Idempotency-Key; None where there is none."""
    key = request.headers.get("idempotency-key")
    if key is not None and (not VISIBLE.fullmatch(key) or len(key) > IDEMPOTENCY_KEY_CHARS_MAX):
        raise Problem(422, "idempotency.key_invalid", "An Idempotency-Key has 1 to 255 visible ASCII characters.")
    return key


def versions_asked(request: Request[Any, Any, Any]) -> frozenset[int] | None:
    """Return the versions that If-Match asks for; None for any (no header, or `*`)."""
    tags = listed(request.scope["headers"], b"if-match")
    return None if tags is None else versions_of(tags)


def require_reason(caller: Caller) -> None:
    """Refuse a request that reads somebody else's data without saying why."""
    if not caller.reason:
        raise Problem(422, "reason.missing", "Say why in the header Hansard-Reason: it is recorded.")


def _check_query(request: Request[Any, Any, Any], handler: BaseRouteHandler) -> None:
    known = parameters_of(handler)
    seen: set[str] = set()
    for name, value in request.query_params.multi_items():
        if name not in known:
            raise _query_problem(name, "query.unknown", "This query parameter is not known here.")
        if name in seen:
            raise _query_problem(name, "query.duplicate", "This query parameter stands twice.")
        seen.add(name)
        if name != "cursor":
            _check_value(name, value, known[name])
    declared = declaration_of(handler)
    if "cursor" in seen and declared is not None and declared.cursor is not None:
        house: House = request.app.state.house
        declared.cursor(request.query_params["cursor"], house.record_id)


def _check_value(name: str, value: str, parameter: "Parameter") -> None:
    """Refuse what is not written as its type is: no `5.0` for a number, no number for a time, no `null`."""
    if found := LINE_BREAKING.search(value):
        raise _query_problem(name, "query.invalid", f"Character U+{ord(found[0]):04X} is not allowed.")
    if parameter.base is int and not WHOLE.fullmatch(value):
        raise _query_problem(name, "query.invalid", "This is not a whole number.")
    try:
        read = msgspec.convert(value, parameter.kind, strict=parameter.base not in (int, bool))
        if isinstance(read, datetime):
            read.astimezone(UTC)
    except (msgspec.ValidationError, ValueError) as error:
        said = faults.told(faults.placed(str(error))[1])
        raise _query_problem(name, "query.invalid", said) from None
    except OverflowError:
        raise _query_problem(name, "query.invalid", "This time is out of range.") from None


def _check_headers(request: Request[Any, Any, Any], handler: BaseRouteHandler) -> None:
    """Refuse headers that cannot be read, of those that this route's function asks for."""
    asked = handler.parsed_fn_signature.parameters
    if "caller" in asked:
        _reason(request)
    if "receipt" in asked:
        idempotency_key(request)
    if "if_match" in asked:
        versions_asked(request)


def _query_problem(name: str, code: str, detail: str) -> Problem:
    return Problem(422, code, f"?{name}: {detail}", errors=[FieldError(f"?{name}", code, detail)])


class Parameter(NamedTuple):
    """A query parameter: its type without None (absent is absent, not `null`), that without its bounds, its default."""

    kind: Any
    base: Any
    default: Any


@lru_cache(maxsize=512)
def parameters_of(handler: BaseRouteHandler) -> dict[str, Parameter]:
    """Return the query parameters of a route by name, from its function's signature."""
    in_path = {name for path in handler.paths for name in PATH_PARAMETER.findall(path)}
    found = {}
    for name, field in handler.parsed_fn_signature.parameters.items():
        if name not in RESERVED and name not in in_path:
            alias = getattr(field.kwarg_definition, "query", None)
            found[alias or name] = _parameter(field.raw, field.default if field.has_default else None)
    return found


def _parameter(kind: Any, default: Any) -> Parameter:
    bounds = []
    while True:
        if get_origin(kind) is Annotated:
            kind, *more = get_args(kind)
            bounds += [bound for bound in more if isinstance(bound, Meta)]
        elif get_origin(kind) in (Union, UnionType):
            kind, *others = (part for part in get_args(kind) if part is not NoneType)
            assert not others, "a query parameter has one type"
        else:
            return Parameter(Annotated[(kind, *bounds)] if bounds else kind, kind, default)


async def _admit(request: Request[Any, Any, Any], handler: BaseRouteHandler) -> None:
    declared = declaration_of(handler)
    if declared is not None and declared.admit is not None:
        await declared.admit(request.app.state.house, _who(request), dict(request.path_params))


async def _catch_up(request: Request[Any, Any, Any]) -> None:
    """Wait for `Hansard-After`, and shortly for the caller's own last write."""
    house: House = request.app.state.house
    text = request.headers.get("hansard-after")
    if text is None:
        await house.reads.wait_for_own(request.scope["state"]["access"].user_id)
        return
    if not re.fullmatch(r"\d{1,18}", text):
        raise Problem(422, "header.after", "Hansard-After is a position: a whole number.")
    position = int(text)
    groups = ("live", "message_html") if request.query_params.get("render") == "html" else ("live",)
    for group in groups:
        if await house.reads.wait(position, group=group, seconds=0):
            continue
        if position > (await house.record.head()).position:
            raise record_changed()
        if not await house.reads.wait(position, group=group):
            raise behind()


def _who(request: Request[Any, Any, Any]) -> Caller:
    """Return the caller but for the reason, which may not be readable."""
    access: Access | None = request.scope["state"].get("access")
    agent = _text(request.headers.get("user-agent", ""))
    return Caller(
        user_id=access.user_id if access else None,
        session_id=access.session_id if access else None,
        correlation=request.scope["state"]["request_id"],
        address=request.client.host if request.client else None,
        agent=LINE_BREAKING.sub(" ", agent)[:AGENT_CHARS_MAX] or None,
    )


def _reason(request: Request[Any, Any, Any]) -> str | None:
    """Return Hansard-Reason, in UTF-8, so that any language can say why."""
    given = request.headers.get("hansard-reason")
    if given is None:
        return None
    reason = _text(given).strip()
    if not reason or len(reason) > REASON_CHARS_MAX or LINE_BREAKING.search(reason):
        raise Problem(422, "reason.invalid", f"Hansard-Reason is 1 to {REASON_CHARS_MAX} visible characters.")
    return reason


def _text(header: str) -> str:
    """Return what a header says: UTF-8 where it is that, else Latin-1 as it came; percent signs are percent signs."""
    try:
        return header.encode("latin-1").decode()
    except UnicodeError:
        return header


def uuid_of(text: str, name: str) -> UUID:
    """Return a query's id, or refuse it by name."""
    try:
        return UUID(text)
    except ValueError:
        raise _query_problem(name, "query.invalid", "This is not a UUID.") from None
