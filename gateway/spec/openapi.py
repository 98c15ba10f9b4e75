"""The OpenAPI document: of Litestar's only the frame. What routes take and answer is made of the types that decode and
encode it (`gateway/spec/json_schemas.py`); which problems, headers and credentials belong to them stands here.

`make schema` holds the server to it.
"""

from functools import lru_cache
from http import HTTPStatus
from typing import Any

from litestar import Litestar
from litestar.handlers import HTTPRouteHandler
from litestar.routes import HTTPRoute

from domain.bounds import IDEMPOTENCY_KEY_CHARS_MAX
from gateway.edge.rate_limits import UNLIMITED
from gateway.edge.rights import PUBLIC
from gateway.http.problems import MEDIA_TYPE, TITLES
from gateway.routes.message import SendBody
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
ETAG: Json = {"ETag": {"description": "The version, in quotation marks.", "schema": TEXT}}
UNCHANGED: Json = {"description": "It is what If-None-Match names", "headers": ETAG}
KEY_SCHEMA: Json = {**TEXT, "pattern": "^[!-~]+$", "minLength": 1, "maxLength": IDEMPOTENCY_KEY_CHARS_MAX}
KEY = ("Idempotency-Key", "The same key and body give the same answer for 24 hours.", KEY_SCHEMA)
REFRESH_KEY = ("Idempotency-Key", "The same key and token give the same answer again for ten seconds.", KEY_SCHEMA)
REFRESH = "/api/v1/auth/refresh"
OF_CREDENTIALS = frozenset({"/api/v1/auth/login", REFRESH})
NEEDS_REASON = "/api/v1/audit/"
UPLOAD = "/api/v1/files/upload"
UPLOAD_BODY: Json = {
    "required": True,
    "content": {
        "multipart/form-data": {
            "schema": {
                "type": "object",
                "required": ["file"],
                "properties": {"file": {"type": "string", "format": "binary", "minLength": 1}},
                "additionalProperties": False,
            }
        }
    },
}
# A text is not empty and has no file; an image or file has one, and its caption may be empty.
BY_KIND: Json = {
    "anyOf": [
        {
            "properties": {
                "message_type": {"const": "text"},
                "content": {"minLength": 1},
                "file_id": {"type": "null"},
            }
        },
        {
            "properties": {"message_type": {"enum": ["image", "file"]}, "file_id": {"type": "string"}},
            "required": ["message_type", "file_id"],
        },
    ]
}
# Whose answers have an ETag (`tests/gateway/test_rfc9110.py` holds this to what is answered).
TAGGED = frozenset({"/api/v1/rooms/{room_id}", "/api/v1/messages/{message_id}", "/api/v1/users/me"})
DOWNLOADS = ("/content", "/variants/{name}")
MESSAGES = "/api/v1/rooms/{room_id}/messages"
READY = "/readyz"
# Whose answer's `id` is which parameter of other paths.
NAMES = {
    ("POST", "/api/v1/rooms"): "room_id",
    ("POST", MESSAGES): "message_id",
    ("POST", UPLOAD): "file_id",
    ("POST", "/api/v1/auth/register"): "user_id",
}
CLOSABLE = ("/metrics", "/api/v1/auth/register")


@lru_cache(maxsize=1)
def documented(app: Litestar) -> Json:
    """Return the document of an application. It is made once; nobody changes it."""
    document: Json = app.openapi_schema.to_schema()
    routes = [route for route in app.routes if isinstance(route, HTTPRoute)]
    described = [
        (route.path_format, handler)
        for route in routes
        for handler in route.route_handlers
        if route.path_format in document["paths"] and "OPTIONS" not in handler.http_methods
    ]
    shapes = Shapes(handler for _, handler in described)
    shapes.components[SendBody.__name__] |= BY_KIND
    document["components"]["schemas"] = {**shapes.components, "Problem": PROBLEM}
    for path, handler in described:
        for method in handler.http_methods:
            _complete(path, method, handler, document["paths"][path][method.lower()], shapes)
    for (made_by, path), parameter in NAMES.items():
        _link(document["paths"], document["paths"][path][made_by.lower()], parameter)
    for operations in document["paths"].values():
        if "get" in operations:
            operations["head"] = _headed(operations["get"])
    return document


def _headed(operation: Json) -> Json:
    """Return what HEAD is where GET is this: the same, without bodies (`gateway/edge/authentication.py` sees to it)."""
    bare = {
        status: {name: said for name, said in answer.items() if name not in ("content", "links")}
        for status, answer in operation["responses"].items()
    }
    return {**operation, "operationId": f"{operation['operationId']}Head", "responses": bare}


def _link(paths: Json, operation: Json, parameter: str) -> None:
    """Say where the `id` that an operation answers with is good for."""
    links = {
        target["summary"]: {"operationId": target["operationId"], "parameters": {parameter: "$response.body#/id"}}
        for path, targets in paths.items()
        if f"{{{parameter}}}" in path
        for target in targets.values()
    }
    made = next(status for status in operation["responses"] if status in ("201", "202"))
    operation["responses"][made]["links"] = links


def _complete(path: str, method: str, handler: HTTPRouteHandler, operation: Json, shapes: Shapes) -> None:
    """Say of an operation what it takes and answers, instead of what Litestar thinks."""
    is_public = (method, path) in PUBLIC
    if is_public:
        operation["security"] = []
    in_path = [each for each in operation.get("parameters", ()) if each["in"] == "path"]
    headers = [_header(path, *header) for header in _headers(path, method, handler, is_public=is_public)]
    operation["parameters"] = [*in_path, *queries(handler), *headers]
    body = shapes.body(handler)
    if body is not None:
        operation["requestBody"] = {"required": True, "content": {"application/json": {"schema": body}}}
    elif path == UPLOAD:
        operation["requestBody"] = UPLOAD_BODY
    answers = _answers(path, method, handler, shapes)
    for status in sorted(_refused_with(path, method, operation, is_public=is_public)):
        answers.setdefault(str(status), _problem(status))
    if (method, path) not in UNLIMITED:
        for answer in answers.values():
            answer.setdefault("headers", {}).update(RATE_LIMIT)
    operation["responses"] = answers


def _answers(path: str, method: str, handler: HTTPRouteHandler, shapes: Shapes) -> Json:
    """Return what is answered when all is well, by status."""
    kind, status = answer_of(handler), str(handler.status_code)
    content: Json = {"application/json": {"schema": shapes.answer(handler)}}
    if kind is str:
        content = {"text/plain": {"schema": TEXT}}
    if kind is Any:
        content = {"*/*": {"schema": {}}}
    answer: Json = {"description": HTTPStatus(int(status)).phrase}
    if kind is not None and method != "HEAD":
        answer["content"] = content
    if method not in ("GET", "HEAD"):
        answer["headers"] = dict(POSITION)
    found = {status: answer}
    if method == "GET" and path in TAGGED:
        answer["headers"] = dict(ETAG)
        found["304"] = dict(UNCHANGED)
    if path == MESSAGES and method == "POST":
        found["200"] = {**answer, "description": "It was posted already, under this id."}
    if path.endswith(DOWNLOADS):
        found |= {"206": {**answer, "description": "A part of it"}, "304": {"description": "Unchanged"}}
        found["307"] = {"description": "Its bytes are at this address, for a short while"}
    if path == READY:
        found["503"] = {**answer, "description": "Not ready"}
    return found


def _refused_with(path: str, method: str, operation: Json, *, is_public: bool) -> set[int]:
    """Return the statuses of an operation's problems. A query parameter that is not known is 422 everywhere."""
    is_of_api, has_body = path.startswith("/api/"), "requestBody" in operation
    found = {422, 503} if is_of_api else {422}
    if (method, path) not in UNLIMITED:
        found.add(429)
    if not is_public:
        found |= {401, 403, 404, 409}
    if has_body:
        found |= {400, 409, 413, 415}
    if path in OF_CREDENTIALS:
        found |= {401, 403}
    if path == UPLOAD:
        found.add(408)
    if path in CLOSABLE:
        found |= {403, 404}
    if path.endswith(DOWNLOADS):
        found.add(416)
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


def _headers(path: str, method: str, handler: HTTPRouteHandler, *, is_public: bool) -> list[tuple[str, str, Json]]:
    asked = handler.parsed_fn_signature.parameters
    found = [REQUEST_ID]
    if "caller" in asked:
        found.append(REASON)
    if method in ("GET", "HEAD") and not is_public:
        found.append(AFTER)
    if "receipt" in asked or path == UPLOAD:
        found.append(KEY)
    if path == REFRESH:
        found.append(REFRESH_KEY)
    is_tagged = method in ("GET", "HEAD") and (path in TAGGED or path.endswith(DOWNLOADS))
    if "if_match" in asked or is_tagged:
        found.append(IF_MATCH)
    if is_tagged:
        found.append(IF_NONE_MATCH)
    return found


def _header(path: str, name: str, description: str, schema: Json) -> Json:
    is_needed = name == REASON[0] and path.startswith(NEEDS_REASON)
    return {"name": name, "in": "header", "description": description, "required": is_needed, "schema": schema}
