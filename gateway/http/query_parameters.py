"""Query parameters: only those of the handler's signature, each at most once, and spelt as its type is."""

import re
from datetime import UTC, datetime
from functools import lru_cache
from types import NoneType, UnionType
from typing import Annotated, Any, NamedTuple, Union, get_args, get_origin
from uuid import UUID

import msgspec
from litestar import Request
from litestar.handlers import BaseRouteHandler
from msgspec import Meta

from domain.text import LINE_BREAKING
from gateway.http.context import context_of
from gateway.http.declarations import declaration_of
from gateway.http.problems import Problem
from gateway.protocol.faults import FieldError
from gateway.protocol.validation_errors import located, reworded

RESERVED = frozenset({"request", "scope", "data", "services", "caller", "receipt", "if_match"})
PATH_PARAMETER = re.compile(r"\{(\w+):")
WHOLE, LONG = re.compile(r"-?[0-9]{1,19}"), re.compile(r"-?[0-9]{20,}")


class Parameter(NamedTuple):
    """A query parameter: its type without None (it is absent, never `null`), the same without bounds, and its default."""

    kind: Any
    base: Any
    default: Any


def check_query(request: Request[Any, Any, Any], handler: BaseRouteHandler) -> None:
    known = parameters_of(handler)
    seen: set[str] = set()
    for name, value in request.query_params.multi_items():
        if name not in known:
            raise query_problem(name, "query.unknown", "This query parameter is not known here.")
        if name in seen:
            raise query_problem(name, "query.duplicate", "This query parameter stands twice.")
        seen.add(name)
        if name != "cursor":
            _check_value(name, value, known[name])
    declared = declaration_of(handler)
    if "cursor" in seen and declared is not None and declared.cursor is not None:
        declared.cursor(request.query_params["cursor"], context_of(request).record_id)


def _check_value(name: str, value: str, parameter: Parameter) -> None:
    """Raise `Problem` unless a value is spelt as its type is: no `5.0` for a number, no number for a time, no `null`."""
    if found := LINE_BREAKING.search(value):
        raise query_problem(name, "query.invalid", f"Character U+{ord(found[0]):04X} is not allowed.")
    if parameter.base is int and not WHOLE.fullmatch(value):
        is_long = LONG.fullmatch(value) is not None
        detail = "This number is out of range." if is_long else "This is not a whole number."
        raise query_problem(name, "query.invalid", detail)
    try:
        read = msgspec.convert(value, parameter.kind, strict=parameter.base not in (int, bool))
        if isinstance(read, datetime):
            read.astimezone(UTC)
    except (msgspec.ValidationError, ValueError) as error:
        detail = reworded(located(str(error))[1])
        raise query_problem(name, "query.invalid", detail) from None
    except OverflowError:
        raise query_problem(name, "query.invalid", "This time is out of range.") from None


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


def uuid_of(text: str, name: str) -> UUID:
    """Return an id in a query. Raise `Problem`, which names the parameter, if it is not a UUID."""
    try:
        return UUID(text)
    except ValueError:
        raise query_problem(name, "query.invalid", "This is not a UUID.") from None


def query_problem(name: str, code: str, detail: str) -> Problem:
    return Problem(422, code, f"?{name}: {detail}", errors=[FieldError(f"?{name}", code, detail)])
