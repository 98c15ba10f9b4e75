"""Bodies: strict JSON. Nothing is converted; unknown fields and keys that stand twice are refused; faults name their field."""

import json
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import msgspec
from litestar import Request
from litestar.exceptions import InternalServerException

from gateway.http.context import context_of
from gateway.http.problems import Problem
from gateway.protocol import faults
from gateway.protocol.faults import FieldError
from gateway.protocol.validation_errors import pointer


async def body_of(request: Request[Any, Any, Any], kind: Any) -> Any:
    """Return a request's JSON body as a value of this type. Raise `Problem`: 400 no JSON, 415, 422 with a pointer."""
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    try:
        raw = await request.body()
    except InternalServerException:  # so Litestar says that the client went away; it is no fault of ours
        raise Problem(400, "request.cut", "The request ended before its body.") from None
    if not raw:
        raise Problem(422, "body.missing", "This route needs a JSON body.", errors=[
            FieldError("", "body.missing", "A JSON object is expected.")])  # fmt: skip
    if media_type != "application/json":
        raise Problem(415, "body.media_type", "The body must be application/json.")
    return strict(raw, kind, context_of(request).policy)


def strict(raw: bytes, kind: Any, policy: Any = None) -> Any:
    """Decode JSON into a type. Raise `Problem` with all faults."""
    try:
        value = _decoder(kind)(raw)
    except msgspec.ValidationError as error:
        _refuse_duplicates(raw)
        raise _field_problem(str(error), faults.of_json(raw, kind, policy)) from None
    except RecursionError:
        raise Problem(400, "body.too_deep", "The JSON is nested too deeply.") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Problem(400, "body.not_json", f"The body is no JSON: {faults.not_json(raw, error)}") from None
    _refuse_duplicates(raw)
    return value


def _refuse_duplicates(raw: bytes) -> None:
    """Raise `Problem` if a key stands twice in one object; msgspec would silently take the last one."""
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
            errors=[FieldError(pointer(twice), "body.duplicate_key", "This key stands twice.")],
        )
    return found


def _field_problem(sentence: str, errors: list[FieldError]) -> Problem:
    """Return the problem of these faults, or of msgspec's sentence if the body cannot be read field by field."""
    errors = errors or [faults.of_sentence(sentence)]
    first = errors[0]
    return Problem(422, first.code, f"{first.pointer or 'The body'}: {first.detail}", errors=errors)


@lru_cache(maxsize=256)
def _decoder(kind: Any) -> Callable[[bytes], Any]:
    return msgspec.json.Decoder(kind).decode
