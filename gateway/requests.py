"""Requests: what may come in. Strict JSON, known query parameters, and headers that mean what they say.

All of it happens before a route's function runs. A fault in a body or query of a route about a room or message is told
only to those who may know of it: the route's `admit` is asked first (CONTRACT, order of checks).
"""

import json
import re
from collections.abc import Awaitable, Callable
from functools import lru_cache
from hashlib import sha256
from typing import Any
from urllib.parse import unquote
from uuid import UUID

import msgspec
from litestar import Request
from litestar.handlers import BaseRouteHandler

from commands.desk import Work
from domain.facts import Caller
from domain.limits import AGENT_CHARS_MAX, IDEMPOTENCY_KEY_CHARS_MAX, REASON_CHARS_MAX
from domain.ports import Access, Receipt
from domain.refusals import Invalid
from domain.text import LINE_BREAKING
from gateway.house import House
from gateway.problems import FieldError, Problem, behind, record_changed

Admit = Callable[[Work, dict[str, Any]], Awaitable[None]]
RESERVED = frozenset({"request", "data", "house", "caller", "receipt", "if_match"})
ISSUE = re.compile(r"^(?P<what>.*?)(?: - at `(?P<path>[^`]*)`)?$", re.DOTALL)
UNKNOWN_FIELD = re.compile(r"Object contains unknown field `(?P<name>.*)`$", re.DOTALL)
MISSING_FIELD = re.compile(r"Object missing required field `(?P<name>.*)`$", re.DOTALL)
PATH_PARAMETER = re.compile(r"\{(\w+):")
VISIBLE = re.compile(r"[\x21-\x7e]+")


async def check(request: Request[Any, Any, Any]) -> None:
    """Litestar's `before_request`: judge query and body, wait for `Hansard-After`."""
    handler: BaseRouteHandler = request.scope["route_handler"]
    try:
        _check_query(request, handler)
        if handler.parsed_data_field is not None:
            request._json = await _body(request, handler.parsed_data_field.annotation)
    except (Problem, Invalid) as fault:
        if getattr(fault, "status", 422) == 422:
            await _admit(request, handler)
        raise
    if request.method == "GET" and "access" in request.scope["state"]:
        await _catch_up(request)


def caller_of(request: Request[Any, Any, Any]) -> Caller:
    """Return on whose behalf a request comes, and all that the record keeps of that."""
    access: Access | None = request.scope["state"].get("access")
    agent = request.headers.get("user-agent", "")
    return Caller(
        user_id=access.user_id if access else None,
        session_id=access.session_id if access else None,
        correlation=request.scope["state"]["request_id"],
        address=request.client.host if request.client else None,
        agent=LINE_BREAKING.sub(" ", agent)[:AGENT_CHARS_MAX] or None,
        reason=_reason(request),
    )


async def receipt_of(request: Request[Any, Any, Any]) -> Receipt | None:
    """Return what the request's Idempotency-Key stands for; None where there is none."""
    key = request.headers.get("idempotency-key")
    if key is None:
        return None
    if not VISIBLE.fullmatch(key) or len(key) > IDEMPOTENCY_KEY_CHARS_MAX:
        raise Problem(422, "idempotency.key_invalid", "An Idempotency-Key has 1 to 255 visible ASCII characters.")
    access: Access | None = request.scope["state"].get("access")
    scope = "\n".join((str(access.user_id) if access else "", request.method, request.url.path, key))
    return Receipt(sha256(scope.encode()).digest(), sha256(await request.body()).digest())


def version_of(request: Request[Any, Any, Any]) -> int | None:
    """Return the version that If-Match asks for; None for any (no header, or `*`)."""
    text = request.headers.get("if-match")
    if text is None or text.strip() == "*":
        return None
    found = re.fullmatch(r'"(\d{1,9})"', text.strip())
    if not found:
        raise Problem(422, "header.if_match", 'If-Match is the ETag that a read answered: "<version>".')
    return int(found[1])


def require_reason(caller: Caller) -> None:
    """Refuse a request that reads somebody else's data without saying why."""
    if not caller.reason:
        raise Problem(422, "reason.missing", "Say why in the header Hansard-Reason: it is recorded.")


def strict(raw: bytes, kind: Any) -> Any:
    """Decode JSON into a type: nothing converted, no unknown field, no key twice. Raises `Problem`."""
    try:
        value = _decoder(kind)(raw)
    except msgspec.ValidationError as error:
        _refuse_duplicates(raw)
        raise _field_problem(str(error)) from None
    except RecursionError:
        raise Problem(400, "body.too_deep", "The JSON is nested too deeply.") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Problem(400, "body.not_json", f"The body is no JSON: {error}.") from None
    _refuse_duplicates(raw)
    return value


async def _body(request: Request[Any, Any, Any], kind: Any) -> Any:
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    raw = await request.body()
    if not raw:
        raise Problem(422, "body.missing", "This route needs a JSON body.", errors=[
            FieldError("", "body.missing", "A JSON object is expected.")])  # fmt: skip
    if media_type != "application/json":
        raise Problem(415, "body.media_type", "The body must be application/json.")
    return strict(raw, kind)


def _refuse_duplicates(raw: bytes) -> None:
    """Refuse a key that stands twice in one object; msgspec takes the last one silently."""
    try:
        json.loads(raw, object_pairs_hook=_without_duplicates)
    except (ValueError, RecursionError):
        return  # what is no JSON was refused already


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise Problem(
            422,
            "body.duplicate_key",
            "A key stands twice in one object.",
            errors=[FieldError(_pointer(twice), "body.duplicate_key", "This key stands twice.")],
        )
    return found


def _field_problem(said: str) -> Problem:
    """Turn msgspec's sentence (`Expected `str`, got `int` - at `$.name``) into a problem with a pointer."""
    issue = ISSUE.match(said)
    what, path = (issue["what"], issue["path"]) if issue else (said, None)
    pointer = "".join(_pointer(part) for part in re.findall(r"[^.\[\]]+", (path or "$").removeprefix("$")))
    code, detail = "field.invalid", what
    if found := UNKNOWN_FIELD.search(what):
        pointer, code, detail = pointer + _pointer(found["name"]), "field.unknown", "This field is not known here."
    elif found := MISSING_FIELD.search(what):
        pointer, code, detail = pointer + _pointer(found["name"]), "field.missing", "This field is needed."
    return Problem(422, code, f"{pointer or 'The body'}: {detail}", errors=[FieldError(pointer, code, detail)])


def _pointer(name: str) -> str:
    return "/" + name.replace("~", "~0").replace("/", "~1")


@lru_cache(maxsize=256)
def _decoder(kind: Any) -> Callable[[bytes], Any]:
    return msgspec.json.Decoder(kind).decode


def _check_query(request: Request[Any, Any, Any], handler: BaseRouteHandler) -> None:
    known = _query_types(handler)
    seen: set[str] = set()
    for name, value in request.query_params.multi_items():
        if name not in known:
            raise _query_problem(name, "query.unknown", "This query parameter is not known here.")
        if name in seen:
            raise _query_problem(name, "query.duplicate", "This query parameter stands twice.")
        seen.add(name)
        try:
            msgspec.convert(value, known[name], strict=False)
        except (msgspec.ValidationError, ValueError) as error:
            raise _query_problem(name, "query.invalid", str(error)) from None


def _query_problem(name: str, code: str, detail: str) -> Problem:
    return Problem(422, code, f"?{name}: {detail}", errors=[FieldError(f"?{name}", code, detail)])


@lru_cache(maxsize=512)
def _query_types(handler: BaseRouteHandler) -> dict[str, Any]:
    """Return the query parameters of a route by name, from its function's signature."""
    in_path = {name for path in handler.paths for name in PATH_PARAMETER.findall(path)}
    types = {}
    for name, field in handler.parsed_fn_signature.parameters.items():
        if name not in RESERVED and name not in in_path:
            alias = getattr(field.kwarg_definition, "query", None)
            types[alias or name] = field.raw
    return types


async def _admit(request: Request[Any, Any, Any], handler: BaseRouteHandler) -> None:
    admit: Admit | None = handler.opt.get("admit")
    if admit is not None:
        house: House = request.app.state.house
        path = dict(request.path_params)
        await house.desk.admit(lambda work: admit(work, path), caller_of(request))


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


def _reason(request: Request[Any, Any, Any]) -> str | None:
    """Return Hansard-Reason; percent-encoded UTF-8 is decoded, so that any language can say why."""
    given = request.headers.get("hansard-reason")
    if given is None:
        return None
    try:
        reason = unquote(given, errors="strict").strip()
    except UnicodeDecodeError:
        reason = ""
    if not reason or len(reason) > REASON_CHARS_MAX or LINE_BREAKING.search(reason):
        raise Problem(422, "reason.invalid", f"Hansard-Reason is 1 to {REASON_CHARS_MAX} visible characters.")
    return reason


def uuid_of(text: str, name: str) -> UUID:
    """Return a query's id, or refuse it by name."""
    try:
        return UUID(text)
    except ValueError:
        raise _query_problem(name, "query.invalid", "This is not a UUID.") from None
