"""Validation errors: msgspec's sentences about a wrong field, in words that know nothing of Python.

Bodies of requests (`gateway/protocol/faults.py`) and frames of sockets (`gateway/protocol/parsing.py`) are refused in the same
words and with the same codes.
"""

import re
from typing import NamedTuple

DETAIL_CHARS_MAX = 300
# Of a surrogate pair, alone or not: JSON's grammar allows half of one (RFC 8259 8.2), UTF-8 does not.
HALF_SURROGATE = re.compile(r"\\u[dD][89a-fA-F][0-9a-fA-F]{2}")
HALF_SURROGATE_DETAIL = "A text holds half of a surrogate pair."
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


class FieldFault(NamedTuple):
    """What is wrong with one field; `pointer` is a JSON pointer (RFC 6901)."""

    pointer: str
    code: str
    detail: str


def reworded(sentence: str) -> str:
    """Return msgspec's sentence about a fault, without its location, in our words."""
    for pattern, detail in SENTENCES:
        if pattern.fullmatch(sentence):
            return detail
    found = EXPECTED.fullmatch(sentence)
    if found is None:
        return OTHERWISE
    kinds, got, of_length, sign, bound, _ = found.groups()
    kind = " or ".join(KINDS.get(each, "something else") for each in kinds.split(" | "))
    if got is not None:
        return f"This is to be {kind}, not {KINDS.get(got, 'something else')}."
    if sign is None:
        return f"This is to be {kind} of another form."
    number = int(bound) if bound.lstrip("-").isdecimal() else int(float(bound))  # 2**63 - 1 is no float
    count = f"{BOUNDS.get(sign, sign)} {number:,}"
    if not of_length:
        return f"This is to be {count}."
    return f"This has {count} {'characters' if kinds.startswith('str') else 'items'}."


def field_error(sentence: str) -> FieldFault:
    """Return msgspec's one fault, for a body or frame that cannot be read field by field."""
    for pattern, code, detail in OF_FIELD:  # about the value itself: these sentences name no location
        if found := pattern.fullmatch(sentence):
            return FieldFault(pointer(found[1]), code, detail)
    at, what = located(sentence)
    return FieldFault(at, "field.invalid", reworded(what))


def pointer(name: str) -> str:
    """Return the JSON pointer (RFC 6901) of a field; a name that a client made up is cut."""
    return "/" + name[:DETAIL_CHARS_MAX].replace("~", "~0").replace("/", "~1")


def located(sentence: str) -> tuple[str, str]:
    """Split msgspec's sentence into the JSON pointer of the fault and the rest."""
    issue = PLACE.fullmatch(sentence)
    assert issue is not None, "every sentence has this form"
    return "".join(pointer(part) for part in re.findall(r"\w+", issue["path"] or "")), issue["what"]
