"""Faults: all that is wrong with what a client sent, in words of ours, each with the field that is to blame.

msgspec stops at the first fault and names types of Python. Here each field of a body is judged by itself, by the same
types, and by the check that its annotation names for what no type can say (`CHECK` in `extra` of its `Meta`).
"""

import re
from collections.abc import Callable, Iterator
from typing import Annotated, Any, get_args, get_origin

import msgspec
from msgspec import UNSET, Meta, Struct

from domain.errors import Invalid

CHECK = "check"
FAULTS_MAX = 50
DETAIL_CHARS_MAX = 300
# Of a surrogate pair, alone or not: JSON's grammar allows half of one (RFC 8259 8.2), UTF-8 does not.
HALF = re.compile(r"\\u[dD][89a-fA-F][0-9a-fA-F]{2}")
HALF_SAID = "A text holds half of a surrogate pair."
PLACE = re.compile(r"(?P<what>.*?)(?: - at (?:`key` in )?`\$?(?P<path>[^`]*)`)?", re.DOTALL)
KINDS = {
    "str": "a text", "int": "a whole number", "float": "a number", "bool": "true or false", "null": "null",
    "object": "an object", "array": "a list", "uuid": "a UUID", "datetime": "a time",
}  # fmt: skip
EXPECTED = re.compile(r"Expected `([^`]*)`(?:, got `([^`]*)`| (of length )?([<>=]+) (-?[\d.]+)|(.*))", re.DOTALL)
BOUNDS = {">=": "at least", "<=": "at most", ">": "more than", "<": "less than", "==": "exactly"}
SENTENCES = (
    (re.compile(r"Invalid UUID"), "This is not a UUID."),
    (re.compile(r"Invalid RFC3339.*"), "This is not a time as RFC 3339 writes it."),
    (re.compile(r"Invalid (?:enum )?value .*", re.DOTALL), "This is none of the values that are known here."),
    (re.compile(r"Number out of range|Integer value out of range"), "This number is out of range."),
    (re.compile(r"Object contains unknown field .*", re.DOTALL), "A field of it is not known here."),
    (re.compile(r"Object missing required field .*", re.DOTALL), "A field of it is missing."),
)
OF_FIELD = (
    (re.compile(r"Object contains unknown field `(.*)`", re.DOTALL), "field.unknown", "This field is not known here."),
    (re.compile(r"Object missing required field `(.*)`", re.DOTALL), "field.missing", "This field is needed."),
)
OTHERWISE = "This is not as it should be."


class FieldError(Struct, frozen=True):
    """What is wrong with one field; `pointer` is a JSON pointer (RFC 6901) into the body, or `?name` for a query."""

    pointer: str
    code: str
    detail: str


def told(sentence: str) -> str:
    """Return msgspec's sentence of a fault, without its place, in words that know nothing of Python."""
    for pattern, said in SENTENCES:
        if pattern.fullmatch(sentence):
            return said
    found = EXPECTED.fullmatch(sentence)
    if found is None:
        return OTHERWISE
    kinds, got, of_length, sign, bound, _ = found.groups()
    kind = " or ".join(KINDS.get(each, "something else") for each in kinds.split(" | "))
    if got is not None:
        return f"This is to be {kind}, not {KINDS.get(got, 'something else')}."
    if sign is None:
        return f"This is to be {kind} of another form."
    count = f"{BOUNDS.get(sign, sign)} {int(float(bound)):,}"
    if not of_length:
        return f"This is to be {count}."
    return f"This has {count} {'characters' if kinds.startswith('str') else 'items'}."


def of_sentence(sentence: str) -> FieldError:
    """Return msgspec's one fault, where a body or frame cannot be read field by field."""
    for pattern, code, said in OF_FIELD:  # of the value itself: these sentences name no place
        if found := pattern.fullmatch(sentence):
            return FieldError(pointer(found[1]), code, said)
    at, what = placed(sentence)
    return FieldError(at, "field.invalid", told(what))


def not_json(raw: bytes, error: Exception) -> str:
    """Return why this is no JSON that is taken."""
    if isinstance(error, UnicodeDecodeError):
        return "It is not UTF-8."
    try:
        msgspec.json.decode(HALF.sub(r"\\ufffd", raw.decode()))
    except UnicodeDecodeError:
        return "It is not UTF-8."
    except (msgspec.DecodeError, RecursionError):
        said = str(error)
        if said == "Input data was truncated":
            return "It ends too early."
        return f"{said[:1].upper()}{said[1:DETAIL_CHARS_MAX]}."
    return HALF_SAID


def of_json(raw: bytes, kind: Any, terms: Any) -> list[FieldError]:
    """Return all faults of a body that is no value of this type; none where it cannot be read field by field."""
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
            found += _of_value(body.pop(field.encode_name), field.type, at, terms)
        elif field.required:
            found.append(FieldError(at, "field.missing", "This field is needed."))
    unknown = (FieldError(pointer(name), "field.unknown", "This field is not known here.") for name in body)
    return [*found, *unknown][:FAULTS_MAX]


def of_body(body: Any, terms: Any) -> list[FieldError]:
    """Return all faults that the checks of its fields find in a body that was read."""
    found: list[FieldError] = []
    for field in msgspec.structs.fields(type(body)) if isinstance(body, Struct) else ():
        found += _checked(getattr(body, field.name), field.type, pointer(field.encode_name), terms)
    return found


def pointer(name: str) -> str:
    """Return the JSON pointer (RFC 6901) of a field; a name of a client's making is cut."""
    return "/" + name[:DETAIL_CHARS_MAX].replace("~", "~0").replace("/", "~1")


def placed(sentence: str) -> tuple[str, str]:
    """Return where a fault is, as a JSON pointer, and msgspec's sentence without that."""
    issue = PLACE.fullmatch(sentence)
    assert issue is not None, "every sentence has this form"
    return "".join(pointer(part) for part in re.findall(r"\w+", issue["path"] or "")), issue["what"]


def _of_value(value: Any, kind: Any, at: str, terms: Any) -> list[FieldError]:
    try:
        read = msgspec.convert(value, kind)
    except (msgspec.ValidationError, RecursionError) as error:
        below, what = placed(str(error))
        return [FieldError(at + below, "field.invalid", told(what))]
    return _checked(read, kind, at, terms)


def _checked(value: Any, kind: Any, at: str, terms: Any) -> list[FieldError]:
    if value is None or value is UNSET:
        return []
    for check in _checks(kind):
        try:
            check(value, terms)
        except Invalid as fault:
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
