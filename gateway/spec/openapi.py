"""The OpenAPI document. Litestar makes the frame of it; what routes take and answer is made of the types that decode and
encode it (`gateway/spec/json_schemas.py`); their problems, headers and credentials are added here.

`make schema` tests the server against it.
"""

from collections.abc import Mapping
from functools import lru_cache
from http import HTTPStatus
from typing import Any

from litestar import Litestar
from litestar.handlers import HTTPRouteHandler
from litestar.routes import HTTPRoute

from gateway.http.declarations import Declaration, Described, declaration_of
from gateway.http.idempotency import IDEMPOTENCY_KEY_CHARS_MAX
from gateway.http.problems import MEDIA_TYPE, TITLES
from gateway.spec.json_schemas import SCHEMAS, Json, Shapes, answer_of, queries

TEXT: Json = {"type": "string"}
PROBLEM: Json = {
    "type": "object",
    "description": "RFC 9457. `code` is stable; `errors` says which fields are to blame, and why.",
    "required": ["type", "title", "status", "detail", "code", "request_id"],
    "properties": {
        "type": {"type": "string", "format": "uri"},
        "title": TEXT,
        "status": {"type": "integer"},
        "detail": TEXT,
        "code": TEXT,
        "request_id": TEXT,
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["pointer", "code", "detail"],
                "properties": {
                    "pointer": {"type": "string", "description": "A JSON pointer into the body, or `?name`."},
                    "code": TEXT,
                    "detail": TEXT,
                },
            },
        },
    },
}
RETRY_AFTER: Json = {"Retry-After": {"description": "In how many seconds to try again.", "schema": {"type": "integer"}}}
RATE_LIMIT: Json = {
    "RateLimit-Policy": {"description": "The quotas: `q` at once, full again after `w` seconds.", "schema": TEXT},
    "RateLimit": {"description": "How they stand: `r` left, full again in `t` seconds.", "schema": TEXT},
}
POSITION: Json = {
    "Hansard-Position": {"description": "The last position that was written.", "schema": {"type": "integer"}}
}
REQUEST_ID = ("X-Request-Id", "The request's id, given back and recorded; one is made where there is none.", TEXT)
REASON = (
    "Hansard-Reason",
    "Why; recorded. UTF-8 may be percent-encoded.",
    {**TEXT, "minLength": 1, "format": "reason"},
)
AFTER = (
    "Hansard-After",
    "Wait, at most 2 s, until this route's tables have passed this position.",
    {"type": "integer", "minimum": 0, "maximum": 10**18 - 1},
)
IF_MATCH = ("If-Match", "ETags of reads, or `*`; 412 where none is the present one.", {**TEXT, "format": "etag"})
IF_NONE_MATCH = (
    "If-None-Match",
    "ETags of reads, or `*`; 304 where one is the present one.",
    {**TEXT, "format": "etag"},
)
# What a part of a path may be, where no type says it.
IN_PATH: Mapping[str, Json] = {
    "emoji": {**TEXT, "format": "emoji", "minLength": 1, "description": "One emoji of Unicode, percent-encoded."}
}
ETAG: Json = {"ETag": {"description": "The version, in quotation marks.", "schema": TEXT}}
UNCHANGED: Json = {"description": "It is what If-None-Match names", "headers": ETAG}
KEY_SCHEMA: Json = {**TEXT, "pattern": "^[!-~]+$", "minLength": 1, "maxLength": IDEMPOTENCY_KEY_CHARS_MAX}
KEY = ("Idempotency-Key", "The same key and body give the same answer for 24 hours.", KEY_SCHEMA)
SESSION = (
    "Hansard-Session",
    "For pages of this server's own origin: the refresh token is in a cookie that scripts cannot read, and in no body.",
    {**TEXT, "enum": ["cookie"]},
)
REFRESH_KEY = ("Idempotency-Key", "The same key and token give the same answer again for ten seconds.", KEY_SCHEMA)


@lru_cache(maxsize=1)
def documented(app: Litestar) -> Json:
    """Return the document of an application. It is made once, and must not be changed."""
    document: Json = app.openapi_schema.to_schema()
    routes = [route for route in app.routes if isinstance(route, HTTPRoute)]
    described = [
        (route.path_format, handler)
        for route in routes
        for handler in route.route_handlers
        if route.path_format in document["paths"] and "OPTIONS" not in handler.http_methods
    ]
    shapes = Shapes(handler for _, handler in described)
    for _, handler in described:
        if (narrowed := declared_of(handler).described.narrowed) is not None:
            shapes.components[handler.parsed_data_field.annotation.__name__] |= narrowed  # type: ignore[union-attr]
    document["components"]["schemas"] = {**shapes.components, "Problem": PROBLEM}
    for path, handler in described:
        for method in handler.http_methods:
            _complete(
                method, handler, document["paths"][path][method.lower()], shapes, is_of_api=path.startswith("/api/")
            )
    for path, handler in described:
        if (parameter := declared_of(handler).described.makes) is not None:
            for method in handler.http_methods:
                _link(document["paths"], document["paths"][path][method.lower()], parameter)
    for operations in document["paths"].values():
        if "get" in operations:
            operations["head"] = _headed(operations["get"])
    return document


def _headed(operation: Json) -> Json:
    """Return the HEAD of a GET: the same without bodies (`gateway/edge/authentication.py`)."""
    bare = {
        status: {name: value for name, value in answer.items() if name not in ("content", "links")}
        for status, answer in operation["responses"].items()
    }
    return {**operation, "operationId": f"{operation['operationId']}Head", "responses": bare}


def _link(paths: Json, operation: Json, parameter: str) -> None:
    """Link an operation to those that take the `id` which it answers."""
    links = {
        target["summary"]: {"operationId": target["operationId"], "parameters": {parameter: "$response.body#/id"}}
        for path, targets in paths.items()
        if f"{{{parameter}}}" in path
        for method, target in targets.items()
        if method != "head"  # it says what GET says, under an id that is made last
    }
    made = next(status for status in operation["responses"] if status in ("201", "202"))
    operation["responses"][made]["links"] = links


def declared_of(handler: HTTPRouteHandler) -> Declaration:
    declared = declaration_of(handler)
    assert declared is not None, "a route that declares nothing is refused when the application is made"
    return declared


def _complete(method: str, handler: HTTPRouteHandler, operation: Json, shapes: Shapes, *, is_of_api: bool) -> None:
    """Replace what Litestar says of an operation by what it takes and answers."""
    declared = declared_of(handler)
    if declared.is_public:
        operation["security"] = []
    in_path = [
        {**each, "schema": IN_PATH.get(each["name"], each["schema"])}
        for each in operation.get("parameters", ())
        if each["in"] == "path"
    ]
    headers = [_header(*header, declared) for header in _headers(method, handler, declared)]
    operation["parameters"] = [*in_path, *queries(handler), *headers]
    body = shapes.body(handler)
    if body is not None:
        operation["requestBody"] = {"required": True, "content": {"application/json": {"schema": body}}}
    elif declared.described.form is not None:
        operation["requestBody"] = declared.described.form
    answers = _answers(method, handler, declared.described, shapes)
    for status in sorted(_refused_with(method, operation, declared, is_of_api=is_of_api)):
        answers.setdefault(str(status), _problem(status))
    if not declared.is_unlimited:
        for answer in answers.values():
            answer.setdefault("headers", {}).update(RATE_LIMIT)
    operation["responses"] = answers


def _answers(method: str, handler: HTTPRouteHandler, described: Described, shapes: Shapes) -> Json:
    """Return the answers that are no problems, by status."""
    status = str(handler.status_code)
    answer: Json = {"description": HTTPStatus(int(status)).phrase}
    if answer_of(handler) is not None and method != "HEAD":
        answer["content"] = _content(handler, shapes)
    if method not in ("GET", "HEAD"):
        answer["headers"] = dict(POSITION)
    found = {status: answer}
    if described.has_version:
        answer["headers"] = dict(ETAG)
        found["304"] = dict(UNCHANGED)
    found |= {str(status): {**answer, "description": value} for status, value in described.answers.items()}
    if described.is_download:
        found |= {"206": {**answer, "description": "A part of it"}, "304": {"description": "Unchanged"}}
        found["307"] = {"description": "Its bytes are at this address, for a short while"}
    return found


def _content(handler: HTTPRouteHandler, shapes: Shapes) -> Json:
    kind = answer_of(handler)
    if kind is str:
        return {"text/plain": {"schema": TEXT}}
    if kind is Any:
        return {"*/*": {"schema": {}}}
    return {"application/json": {"schema": shapes.answer(handler)}}


def _refused_with(method: str, operation: Json, declared: Declaration, *, is_of_api: bool) -> set[int]:
    """Return the statuses of an operation's problems. An unknown query parameter is 422 everywhere."""
    found = {422, 503} if is_of_api else {422}
    found |= declared.described.refused_with
    if not declared.is_unlimited:
        found.add(429)
    if not declared.is_public:
        found |= {401, 403, 404, 409}
    if "requestBody" in operation:
        found |= {400, 409, 413, 415}
    if declared.described.is_download:
        found.add(416)
    if method in ("GET", "HEAD") and declared.waits_for:
        found.add(409)
    if method in ("GET", "HEAD") or any(each["name"] == IF_MATCH[0] for each in operation["parameters"]):
        found.add(412)
    return found


def _problem(status: int) -> Json:
    problem: Json = {
        "description": TITLES[status],
        "content": {MEDIA_TYPE: {"schema": {"$ref": f"{SCHEMAS}Problem"}}},
    }
    if status in (429, 503):
        problem["headers"] = dict(RETRY_AFTER)
    return problem


def _headers(method: str, handler: HTTPRouteHandler, declared: Declaration) -> list[tuple[str, str, Json]]:
    parameters, described = handler.parsed_fn_signature.parameters, declared.described
    is_read, is_tagged = method in ("GET", "HEAD"), described.has_version or described.is_download
    found = [
        (REQUEST_ID, True),
        (REASON, "caller" in parameters),
        (AFTER, is_read and bool(declared.waits_for)),
        (KEY, declared.idempotency == "receipt"),
        (SESSION, described.takes_cookie),
        (REFRESH_KEY, declared.idempotency == "token"),
        (IF_MATCH, "if_match" in parameters or is_tagged),
        (IF_NONE_MATCH, is_tagged),
    ]
    return [header for header, is_taken in found if is_taken]


def _header(name: str, description: str, schema: Json, declared: Declaration) -> Json:
    is_needed = name == REASON[0] and declared.described.needs_reason
    return {"name": name, "in": "header", "description": description, "required": is_needed, "schema": schema}
