"""JSON Schema for people: what type a field has, within which bounds, as Markdown.

It knows as much of JSON Schema as the server's two documents use. A word that it does not know stops the build: a bound
that the page leaves out would be a promise that nobody reads.
"""

import json
import re
from collections.abc import Iterable, Iterator
from typing import Any

Json = dict[str, Any]
NO_PART_OF_AN_ANCHOR = re.compile(r"[^\w-]")
NULL: Json = {"type": "null"}
BOUNDS = {
    "minLength": "at least {} characters",
    "maxLength": "at most {} characters",
    "minimum": "≥ {}",
    "maximum": "≤ {}",
    "minItems": "at least {} items",
    "maxItems": "at most {} items",
    "minProperties": "at least {} entries",
    "maxProperties": "at most {} entries",
    "pattern": "matches `{}`",
}
KNOWN = {
    *BOUNDS,
    *("$ref", "additionalProperties", "anyOf", "const", "default", "description", "enum", "format", "items"),
    *("contentEncoding", "examples", "properties", "propertyNames", "required", "title", "type", "uniqueItems"),
}


class UnknownKeywordError(Exception):
    """A schema uses a keyword that these pages cannot show."""


def name_of(reference: str) -> str:
    """Return the last part of a `$ref`."""
    return reference.rpartition("/")[2]


def linked(name: str) -> str:
    """Return a link to the section of a schema on the same page: its heading's, by the rule of Markdown viewers."""
    return f"[{name}](#{NO_PART_OF_AN_ANCHOR.sub('', name.lower())})"


def type_of(schema: Json) -> str:
    """Return a schema's type and bounds in one phrase; what is described elsewhere is linked."""
    if unknown := schema.keys() - KNOWN:
        raise UnknownKeywordError(f"{sorted(unknown)} in {schema}")
    if "$ref" in schema:
        return linked(name_of(schema["$ref"]))
    return ", ".join([_kind(schema), *(_bounds(schema))])


def _kind(schema: Json) -> str:
    if "const" in schema:
        return f"`{_value(schema['const'])}`"
    if "enum" in schema:
        return " or ".join(f"`{_value(value)}`" for value in schema["enum"])
    if "anyOf" in schema and "properties" not in schema:
        return " or ".join(type_of(choice) for choice in schema["anyOf"])
    kind = str(schema.get("type", "any"))
    if kind == "array":
        return f"list of {type_of(schema.get('items', {}))}"
    if kind == "object" and isinstance(values := schema.get("additionalProperties"), dict):
        return f"object of {type_of(values)}"
    return f"{kind} ({schema['format']})" if "format" in schema else kind


def _bounds(schema: Json) -> Iterator[str]:
    for word, phrase in BOUNDS.items():
        if word in schema:
            yield phrase.format(schema[word])


def _value(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def fields(schema: Json) -> Iterator[str]:
    """Yield a table of an object's fields: name, type, whether it must be there, and what it means."""
    properties = schema.get("properties", {})
    if not properties:
        return
    required = set(schema.get("required", ()))
    rows = [(f"`{name}`", type_of(of), _presence(of, name in required), _said(of)) for name, of in properties.items()]
    yield from table(("field", "type", "", "meaning"), rows)
    if schema.get("additionalProperties") is False:
        yield "Other fields are refused.\n"


def _presence(schema: Json, is_required: bool) -> str:
    if is_required:
        return "required"
    return f"default `{_value(schema['default'])}`" if "default" in schema else "optional"


def _said(schema: Json) -> str:
    choices = [schema, *(choice for choice in schema.get("anyOf", ()) if choice != NULL)]
    return next((choice["description"] for choice in choices if "description" in choice), "")


def table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> Iterator[str]:
    """Yield the lines of a Markdown table; columns that are empty in every row are left out."""
    kept = list(rows)
    columns = [i for i in range(len(head)) if any(row[i] for row in kept)]
    for row in (head, ("---",) * len(head), *kept):
        yield "| " + " | ".join(_cell(row[i]) for i in columns) + " |"
    yield ""


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "\\|").split())


def every(schemas: Json) -> Iterator[str]:
    """Yield a section for each schema, in the order of their names."""
    for name, schema in sorted(schemas.items()):
        yield f"### {name}\n"
        if said := schema.get("description"):
            yield f"{said}\n"
        if "properties" in schema:
            yield from fields(schema)
        else:
            yield f"{type_of(schema)}\n"
