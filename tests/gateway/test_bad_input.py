"""Bad input: every wrong field, type, length, id, token, method, header and JSON is a 4xx problem that says what is
wrong, and leaves nothing half done."""

import json
from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import pytest

from tests.deployments import PASSWORD, Gateway, deployment


@pytest.fixture
async def hansard(database_url: str, redis_url: str) -> AsyncIterator[Gateway]:
    async with deployment(database_url, redis_url) as made:
        yield made


def assert_problem(answer: Any, status: int, code: str, pointer: str | None = None) -> None:
    assert answer.headers["content-type"] == "application/problem+json", answer.text
    body = answer.json()
    assert (answer.status_code, body["status"], body["code"]) == (status, status, code), answer.text
    assert {"type", "title", "detail", "request_id"} <= body.keys()
    assert body["request_id"] == answer.headers["x-request-id"]
    if pointer is not None:
        assert pointer in [error["pointer"] for error in body["errors"]], body
    for secret in ("Traceback", "asyncpg", "SELECT", "/site-packages/"):
        assert secret not in answer.text


DEEP = b'{"content":' + b"[" * 100_000 + b"]" * 100_000 + b"}"

BODIES: list[tuple[str, bytes, int, str, str | None]] = [
    ("not JSON", b"hello", 400, "body.not_json", None),
    ("half a JSON", b'{"content":', 400, "body.not_json", None),
    ("two JSONs", b'{"content":"x"}{"content":"y"}', 400, "body.not_json", None),
    ("not UTF-8", b'{"content":"\xff\xfe"}', 400, "body.not_json", None),
    ("100,000 deep", DEEP, 422, "field.invalid", "/content"),
    ("too large a body", b'{"content":"' + b"x" * 300_000 + b'"}', 413, "body.too_large", None),
    ("10,000 deep", b'{"content":' + b"[" * 10_000 + b"]" * 10_000 + b"}", 422, "field.invalid", "/content"),
    ("10,000 deep, unknown", b'{"x":' + b"[" * 10_000 + b"]" * 10_000 + b"}", 422, "field.unknown", "/x"),
    ("a list", b"[]", 422, "field.invalid", ""),
    ("null", b"null", 422, "field.invalid", ""),
    ("a missing field", b"{}", 422, "field.missing", "/content"),
    ("an unknown field", b'{"content":"x","colour":"red"}', 422, "field.unknown", "/colour"),
    ("a wrong type", b'{"content":7}', 422, "field.invalid", "/content"),
    ("a number too large", b'{"content":1e999}', 422, "field.invalid", "/content"),
    ("a key twice", b'{"content":"x","content":"y"}', 422, "body.duplicate_key", "/content"),
    ("a key twice, escaped", b'{"content":"x","\\u0063ontent":"y"}', 422, "body.duplicate_key", "/content"),
    ("a lone surrogate", b'{"content":"\\ud800"}', 400, "body.not_json", None),
    ("a NUL", b'{"content":"a\\u0000b"}', 422, "field.invalid", "/content"),
    ("a control character", b'{"content":"a\\u001bb"}', 422, "field.invalid", "/content"),
    ("nothing to say", b'{"content":""}', 422, "field.invalid", "/content"),
    ("too long", json.dumps({"content": "x" * 10_001}).encode(), 422, "field.invalid", "/content"),
    ("no UUID", b'{"content":"x","id":"7"}', 422, "field.invalid", "/id"),
    ("an unknown kind", b'{"content":"x","message_type":"poem"}', 422, "field.invalid", "/message_type"),
    ("a system message", b'{"content":"x","message_type":"system"}', 422, "field.invalid", "/message_type"),
    ("an image without a file", b'{"content":"x","message_type":"image"}', 422, "field.invalid", "/file_id"),
    ("a file", b'{"content":"x","message_type":"file","file_id":"%s"}' % str(uuid4()).encode(), 404, "file.not_found", "/file_id"),
    ("a reply to nothing", b'{"content":"x","reply_to":"%s"}' % str(uuid4()).encode(), 422, "message.reply_unknown", "/reply_to"),
    ("empty", b"", 422, "body.missing", None),
]  # fmt: skip


async def test_bodies(hansard: Gateway) -> None:
    ada = await hansard.person()
    room_id = await ada.room()
    position = (await ada.http.get("/meta")).json()["position"]
    for name, body, status, code, pointer in BODIES:
        answer = await ada.http.post(
            f"/rooms/{room_id}/messages", content=body, headers={"Content-Type": "application/json"}
        )
        try:
            assert_problem(answer, status, code, pointer)
        except AssertionError as error:
            raise AssertionError(f"{name}: {error}") from error
    assert (await ada.http.get("/meta")).json()["position"] == position, "nothing half done"


REGISTRATIONS = [
    ({"email": "nobody", "username": "ok1", "password": PASSWORD}, "/email"),
    ({"email": f"{'a' * 250}@x.example", "username": "ok1", "password": PASSWORD}, "/email"),
    ({"email": "a@x.example", "username": "x", "password": PASSWORD}, "/username"),
    ({"email": "a@x.example", "username": "x" * 51, "password": PASSWORD}, "/username"),
    ({"email": "a@x.example", "username": "a b", "password": PASSWORD}, "/username"),
    ({"email": "a@x.example", "username": "ok1", "password": "short"}, "/password"),
    ({"email": "a@x.example", "username": "ok1", "password": "x" * 1_025}, "/password"),
    ({"email": "a@x.example", "username": "ok1", "password": "ä" * 600}, "/password"),
    ({"email": "a@x.example", "username": "ok1", "password": "nul\x00nul\x00"}, "/password"),
    ({"email": None, "username": "ok1", "password": PASSWORD}, "/email"),
    ({"username": "ok1", "password": PASSWORD}, "/email"),
]


async def test_registrations(hansard: Gateway) -> None:
    async with hansard.client() as http:
        for body, pointer in REGISTRATIONS:
            answer = await http.post("/auth/register", json=body)
            assert answer.status_code == 422, body
            assert [error["pointer"] for error in answer.json()["errors"]] == [pointer], body
        assert (await http.get("/meta")).json()["position"] == 0


async def test_queries_and_headers(hansard: Gateway) -> None:
    ada = await hansard.person()
    room_id = await ada.room()
    path = f"/rooms/{room_id}/messages"
    for query, code in [
        ("limit=0", "query.invalid"),
        ("limit=201", "query.invalid"),
        ("limit=many", "query.invalid"),
        ("limit=1e999", "query.invalid"),
        ("limit=5&limit=6", "query.duplicate"),
        ("colour=red", "query.unknown"),
        ("as_of=then", "query.invalid"),
        ("before=-1", "query.invalid"),
        ("before=5&after=6", "query.invalid"),
        ("before=99999999999999999999", "query.invalid"),
        ("cursor=nonsense", "cursor.invalid"),
        ("cursor=%00", "cursor.invalid"),
        ("cursor=gaNhYmM", "cursor.invalid"),
        ("render=pdf", "query.invalid"),
    ]:
        assert_problem(await ada.http.get(f"{path}?{query}"), 422, code)
    rooms = await ada.ask("GET", "/rooms?limit=1", 200)
    assert_problem(await ada.http.get(f"{path}?cursor={rooms['next_cursor']}"), 422, "cursor.invalid")
    for name, value, code in [
        ("Hansard-After", "soon", "header.after"),
        ("Hansard-After", "-1", "header.after"),
        ("Hansard-Reason", "", "reason.invalid"),
        ("Hansard-Reason", "x" * 501, "reason.invalid"),
    ]:
        assert_problem(await ada.http.get("/rooms", headers={name: value}), 422, code)
    message = await ada.say(room_id, "hi")
    patch = f"/messages/{message['id']}"
    assert_problem(
        await ada.http.patch(patch, json={"content": "x"}, headers={"If-Match": "7"}), 422, "header.if_match"
    )
    for key in ("", "x" * 256, "a b"):
        answer = await ada.http.post("/rooms", json={"name": "x"}, headers={"Idempotency-Key": key})
        assert_problem(answer, 422, "idempotency.key_invalid")
    answer = await ada.http.post(path, content=b"content=x", headers={"Content-Type": "text/plain"})
    assert_problem(answer, 415, "body.media_type")


async def test_ids_paths_and_methods(hansard: Gateway) -> None:
    ada = await hansard.person()
    for path in ("/rooms/not-an-id", "/rooms/1", "/messages/%00", "/nothing", "/audit/events/x", "//rooms"):
        answer = await ada.http.get(path)
        assert answer.status_code in (404, 405), (path, answer.status_code)
        assert answer.headers["content-type"] == "application/problem+json"
    answer = await ada.http.put("/rooms")
    assert_problem(answer, 405, "route.method_not_allowed")
    assert "GET" in answer.headers["allow"]
    for path, allowed in (
        (f"/rooms/{uuid4()}", "DELETE, GET, HEAD, OPTIONS, PATCH"),
        ("/files/upload", "OPTIONS, POST"),
        ("/users/me", "DELETE, GET, HEAD, OPTIONS, PUT"),
    ):
        answer = await ada.http.options(path)
        assert (answer.status_code, answer.headers["allow"]) == (204, allowed)
    assert_problem(await ada.http.get(f"/users/{uuid4()}"), 404, "account.not_found")
    assert_problem(await ada.http.get("/users"), 422, "query.invalid")
    assert_problem(await ada.http.get("/users?ids=1,2"), 422, "query.invalid")
    assert_problem(await ada.http.get(f"/users?ids={','.join(str(uuid4()) for _ in range(201))}"), 422, "query.invalid")


async def test_origins(database_url: str, redis_url: str) -> None:
    from tests.deployments import gateway

    async with gateway(database_url, redis_url, origins=("https://chat.example",)) as hansard, hansard.client() as http:
        asked = {"Origin": "https://chat.example", "Access-Control-Request-Method": "POST"}
        answer = await http.options("/rooms", headers=asked)
        assert (answer.status_code, answer.headers["access-control-allow-origin"]) == (204, "https://chat.example")
        answer = await http.options("/rooms", headers=asked | {"Origin": "https://evil.example"})
        assert "access-control-allow-origin" not in answer.headers
        answer = await http.get("/meta", headers={"Origin": "https://chat.example"})
        assert answer.headers["access-control-allow-origin"] == "https://chat.example"
        assert answer.headers["x-content-type-options"] == "nosniff"


async def test_the_schema_describes_every_route(hansard: Gateway) -> None:
    async with hansard.client() as http:
        schema = (await http.get(f"{hansard.base}/schema/openapi.json")).json()
        assert schema["openapi"].startswith("3.1")
        assert {"/api/v1/rooms", "/api/v1/rooms/{room_id}/messages", "/api/v1/audit/events"} <= schema["paths"].keys()
        send = schema["paths"]["/api/v1/rooms/{room_id}/messages"]["post"]
        assert "requestBody" in send
        for path, operations in schema["paths"].items():
            for method, operation in operations.items():
                assert operation.get("description"), f"{method} {path} says nothing"
        page = await http.get(f"{hansard.base}/schema")
        assert page.headers["content-type"].startswith("text/html") and "/api/v1/rooms" in page.text


async def test_registration_can_be_closed(database_url: str, redis_url: str) -> None:
    from tests.deployments import gateway

    async with gateway(database_url, redis_url, registration_open=False) as hansard, hansard.client() as http:
        answer = await http.post(
            "/auth/register", json={"email": "a@b.example", "username": "ab", "password": PASSWORD}
        )
        assert_problem(answer, 403, "account.registration_closed")


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/rooms/{}/messages", {"content": ""}),
        ("PATCH", "/rooms/{}", {"name": ""}),
        ("PUT", "/rooms/{}/read", {"position": "x"}),
        ("POST", "/rooms/{}/leave?surplus=1", None),
        ("DELETE", "/rooms/{}?surplus=1", None),
    ],
)
async def test_who_may_not_is_told_that_before_what_is_wrong_with_the_request(
    hansard: Gateway, method: str, path: str, body: Any
) -> None:
    ada, ben = await hansard.person(), await hansard.person()
    room_id, hidden = await ada.room(), await ada.room(is_private=True)
    assert (await ada.http.request(method, path.format(room_id), json=body)).status_code == 422
    outside = await ben.http.request(method, path.format(room_id), json=body)
    assert (outside.status_code, outside.json()["code"]) == (403, "room.not_a_member")
    unknown = await ben.http.request(method, path.format(hidden), json=body)
    assert (unknown.status_code, unknown.json()["code"]) == (404, "room.not_found")
