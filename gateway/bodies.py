"""Bodies: strict JSON. Nothing is converted, no field is unknown, no key stands twice, and a fault names its field."""

import json
import re
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import msgspec
from litestar import Request
from litestar.exceptions import InternalServerException

from gateway.problems import FieldError, Problem

ISSUE = re.compile(r"^(?P<what>.*?)(?: - at `(?P<path>[^`]*)`)?$", re.DOTALL)
UNKNOWN_FIELD = re.compile(r"Object contains unknown field `(?P<name>.*)`$", re.DOTALL)
MISSING_FIELD = re.compile(r"Object missing required field `(?P<name>.*)`$", re.DOTALL)


async def body_of(request: Request[Any, Any, Any], kind: Any) -> Any:
    """Return a request's JSON body as a value of this type. Raises `Problem`: 400 no JSON, 415, 422 with a pointer."""
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    try:
        raw = await request.body()
    except InternalServerException:  # Litestar's word for a client that went away: nobody's fault here
        raise Problem(400, "request.cut", "The request ended before its body.") from None
    if not raw:
        raise Problem(422, "body.missing", "This route needs a JSON body.", errors=[
            FieldError("", "body.missing", "A JSON object is expected.")])  # fmt: skip
    if media_type != "application/json":
        raise Problem(415, "body.media_type", "The body must be application/json.")
    return strict(raw, kind)


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
