"""JSON schemas of what routes take and answer, made of the very types that decode and encode it."""

from collections.abc import Iterable
from inspect import cleandoc
from types import NoneType
from typing import Any, get_args, get_origin

import msgspec
from litestar.handlers import HTTPRouteHandler
from msgspec import UNSET, Struct

from domain.text import LINE_PATTERN
from gateway.http.query_parameters import parameters_of

Json = dict[str, Any]

SCHEMAS = "#/components/schemas/"


class Shapes:
    """The schemas of these routes. `components` are those that the others refer to."""

    def __init__(self, handlers: Iterable[HTTPRouteHandler]) -> None:
        handlers = list(handlers)
        bodies = [kind for handler in handlers if (kind := body_of(handler)) is not None]
        answers = [kind for handler in handlers if (kind := answer_of(handler)) not in (None, Any, str)]
        kinds = list(dict.fromkeys([*bodies, *answers]))
        schemas, self.components = msgspec.json.schema_components(kinds, ref_template=SCHEMAS + "{name}")
        self._of = dict(zip(kinds, schemas, strict=True))
        for kind in _structs(answers):
            self.components[_name(kind)]["required"] = always_present(kind)
        for schema in self.components.values():
            if "description" in schema:
                schema["description"] = cleandoc(schema["description"])

    def body(self, handler: HTTPRouteHandler) -> Json | None:
        """Return the schema of the JSON that a route takes, or None if it takes none."""
        kind = body_of(handler)
        return None if kind is None else self._of[kind]

    def answer(self, handler: HTTPRouteHandler) -> Json | None:
        """Return the schema of the JSON that a route answers, or None if it answers none, or something else."""
        kind = answer_of(handler)
        return None if kind in (None, Any, str) else self._of[kind]


def body_of(handler: HTTPRouteHandler) -> Any:
    return None if handler.parsed_data_field is None else handler.parsed_data_field.annotation


def answer_of(handler: HTTPRouteHandler) -> Any:
    """Return the type of a route's answer: None for no body, `Any` for bytes, `str` for a text."""
    (kind,) = get_args(handler.parsed_fn_signature.return_type.annotation)
    return None if kind is NoneType else kind


def queries(handler: HTTPRouteHandler) -> list[Json]:
    """Return the query parameters of a route, as they are checked."""
    return [
        {"name": name, "in": "query", "required": False, "schema": _query(parameter.kind, parameter.default)}
        for name, parameter in parameters_of(handler).items()
    ]


def always_present(kind: type[Struct]) -> list[str]:
    """Return the fields that every encoded value has; msgspec lists those that decoding needs."""
    config = (get_origin(kind) or kind).__struct_config__
    tag = [config.tag_field] if config.tag_field else []
    omits = config.omit_defaults
    fields = msgspec.structs.fields(kind)
    return tag + [field.encode_name for field in fields if field.required or not (omits or field.default is UNSET)]


def _query(kind: Any, default: Any) -> Json:
    schema: Json = msgspec.json.schema(kind)
    if schema.get("type") == "string" and "format" not in schema:
        schema["pattern"] = LINE_PATTERN
    return schema if default is None else {**schema, "default": default}


def _structs(kinds: Iterable[Any]) -> list[Any]:
    """Return every struct that these types are made of, generic ones with their arguments."""
    found: dict[Any, None] = {}
    waiting = list(kinds)
    while waiting:
        kind = waiting.pop()
        if kind in found:
            continue
        origin = get_origin(kind) or kind
        if isinstance(origin, type) and issubclass(origin, Struct):
            found[kind] = None
            waiting += [field.type for field in msgspec.structs.fields(kind)]
        waiting += get_args(kind)
    return list(found)


def _name(kind: Any) -> str:
    """Return msgspec's name of a struct in `components`."""
    (schema,), _ = msgspec.json.schema_components((kind,), ref_template="{name}")
    return str(schema["$ref"])
