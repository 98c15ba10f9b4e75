"""The OpenAPI document: what Litestar knows of the routes, and what it does not: problems, headers, who needs no token.

Litestar describes its own error bodies, which no route of ours answers; they are replaced by one problem for all.
"""

from functools import lru_cache
from typing import Any

from litestar import Litestar

from gateway.problems import MEDIA_TYPE
from gateway.rights import PUBLIC
from gateway.throttling import UNLIMITED

Json = dict[str, Any]

TEXT = {"type": "string"}
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
ANY_PROBLEM: Json = {
    "description": "A problem: the order of checks is 401, 404, 403, 409 or 412, 422.",
    "headers": {"Retry-After": {"description": "With 429 and 503: in how many seconds to try again.", "schema": TEXT}},
    "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
}
RATE_LIMIT: Json = {
    "RateLimit-Policy": {"description": "The quotas: `q` at once, full again after `w` seconds.", "schema": TEXT},
    "RateLimit": {"description": "How they stand: `r` left, full again in `t` seconds.", "schema": TEXT},
}
REQUEST_ID = ("X-Request-Id", "The request's id, given back and recorded; one is made where there is none.")
REASON = ("Hansard-Reason", "Why; recorded. UTF-8 may be percent-encoded.")
AFTER = ("Hansard-After", "Wait, at most 2 s, until this route's tables have passed this position.")
IF_MATCH = ("If-Match", "The ETag of a read; 412 where it is stale.")
KEY = ("Idempotency-Key", "The same key and body give the same answer for 24 hours.")
# Routes that answer with tokens keep no answer.
KEEPS_NOTHING = frozenset({"/api/v1/auth/login", "/api/v1/auth/refresh", "/api/v1/auth/logout", "/api/v1/ws/tickets"})
REFRESH_KEY = ("Idempotency-Key", "The same key and token give the same answer again for ten seconds.")
UPLOAD = "/api/v1/files/upload"
UPLOAD_BODY: Json = {
    "required": True,
    "content": {
        "multipart/form-data": {
            "schema": {
                "type": "object",
                "required": ["file"],
                "properties": {"file": {"type": "string", "format": "binary"}},
                "additionalProperties": False,
            }
        }
    },
}
VERSIONED = ("/api/v1/users/me", "/api/v1/rooms/{room_id}", "/api/v1/messages/{message_id}")


@lru_cache(maxsize=1)
def documented(app: Litestar) -> Json:
    """Return the document of an application. It is made once; nobody changes it."""
    document: Json = app.openapi_schema.to_schema()
    document["components"]["schemas"]["Problem"] = PROBLEM
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            _complete(path, method.upper(), operation)
    return document


def _complete(path: str, method: str, operation: Json) -> None:
    responses = operation["responses"]
    responses.pop("400", None)
    responses["default"] = ANY_PROBLEM
    is_public = (method, path) in PUBLIC
    if is_public:
        operation["security"] = []
    if path == UPLOAD:
        operation["requestBody"] = UPLOAD_BODY
    operation.setdefault("parameters", []).extend(_header(*header) for header in _headers(path, method, is_public))
    if path not in UNLIMITED:
        for response in responses.values():
            response.setdefault("headers", {}).update(RATE_LIMIT)
    if method != "GET":
        for status, response in responses.items():
            if status != "default":
                response.setdefault("headers", {})["Hansard-Position"] = {
                    "description": "The last position that was written.",
                    "schema": {"type": "integer"},
                }


def _headers(path: str, method: str, is_public: bool) -> list[tuple[str, str]]:
    if not path.startswith("/api/"):
        return [REQUEST_ID]
    found = [REQUEST_ID, REASON]
    if method == "GET" and not is_public:
        found.append(AFTER)
    if method == "POST" and path not in KEEPS_NOTHING:
        found.append(KEY)
    if path == "/api/v1/auth/refresh":
        found.append(REFRESH_KEY)
    if method in ("PUT", "PATCH", "DELETE") and path in VERSIONED:
        found.append(IF_MATCH)
    return found


def _header(name: str, description: str) -> Json:
    schema: Json = {"type": "integer", "minimum": 0} if name == AFTER[0] else TEXT
    return {"name": name, "in": "header", "description": description, "required": False, "schema": schema}
