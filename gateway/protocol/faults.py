"""Faults: everything that is wrong with what a client sent, in our own words, each with the field that is to blame.

msgspec stops at the first fault and names types of Python. Here each field of a body is checked by itself: against its type,
and by the function that its annotation names for what no type can say (`CHECK` in `extra` of its `Meta`).
"""

from collections.abc import Callable, Iterator
from typing import Annotated, Any, get_args, get_origin

import msgspec
from msgspec import UNSET, Meta, Struct

from domain.errors import InvalidError
from gateway.protocol.validation_errors import (
    DETAIL_CHARS_MAX,
    HALF_SURROGATE,
    HALF_SURROGATE_DETAIL,
    field_error,
    located,
    pointer,
    reworded,
)

CHECK = "check"
FAULTS_MAX = 50


class FieldError(Struct, frozen=True):
    """What is wrong with one field; `pointer` is a JSON pointer (RFC 6901) into the body, or `?name` for a query."""

    pointer: str
    code: str
    detail: str


def of_sentence(sentence: str) -> FieldError:
    """Return msgspec's one fault, for a body that cannot be read field by field."""
    return FieldError(*field_error(sentence))


def not_json(raw: bytes, error: Exception) -> str:
    """Return why this is not acceptable JSON."""
    if isinstance(error, UnicodeDecodeError):
        return "It is not UTF-8."
    try:
        msgspec.json.decode(HALF_SURROGATE.sub(r"\\ufffd", raw.decode()))
    except UnicodeDecodeError:
        return "It is not UTF-8."
    except (msgspec.DecodeError, RecursionError):
        sentence = str(error)
        if sentence == "Input data was truncated":
            return "It ends too early."
        return f"{sentence[:1].upper()}{sentence[1:DETAIL_CHARS_MAX]}."
    return HALF_SURROGATE_DETAIL


def of_json(raw: bytes, kind: Any, policy: Any) -> list[FieldError]:
    """Return all faults of a body that is not a value of this type, or none if it cannot be read field by field."""
    try:
        body = msgspec.json.decode(raw)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        return []
    if not isinstance(body, dict) or not (isinstance(kind, type) and issubclass(kind, Struct)):
        return []
    found: list[FieldError] = []
    for field in msgspec.structs.fields(kind):
        at = pointer(field.encode_name)
        if field.encode_name in body:
            found += _of_value(body.pop(field.encode_name), field.type, at, policy)
        elif field.required:
            found.append(FieldError(at, "field.missing", "This field is needed."))
    unknown = (FieldError(pointer(name), "field.unknown", "This field is not known here.") for name in body)
    return [*found, *unknown][:FAULTS_MAX]


def of_body(body: Any, policy: Any) -> list[FieldError]:
    """Return all faults that the checks of its fields find in a decoded body."""
    found: list[FieldError] = []
    for field in msgspec.structs.fields(type(body)) if isinstance(body, Struct) else ():
        found += _checked(getattr(body, field.name), field.type, pointer(field.encode_name), policy)
    return found


def _of_value(value: Any, kind: Any, at: str, policy: Any) -> list[FieldError]:
    try:
        read = msgspec.convert(value, kind)
    except (msgspec.ValidationError, RecursionError) as error:
        below, what = located(str(error))
        return [FieldError(at + below, "field.invalid", reworded(what))]
    return _checked(read, kind, at, policy)


def _checked(value: Any, kind: Any, at: str, policy: Any) -> list[FieldError]:
    if value is None or value is UNSET:
        return []
    for check in _checks(kind):
        try:
            check(value, policy)
        except InvalidError as fault:
            return [FieldError(at, fault.code, fault.detail)]
    return []


def _checks(kind: Any) -> Iterator[Callable[[Any, Any], None]]:
    if get_origin(kind) is Annotated:
        yield from (
            check
            for each in kind.__metadata__
            if isinstance(each, Meta) and (check := (each.extra or {}).get(CHECK)) is not None
        )
    for part in get_args(kind):
        yield from _checks(part)
