"""Requests: the order in which faults are told, what a query or cursor may hold, and what every answer leaves behind."""

import re
from base64 import urlsafe_b64encode
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any, cast
from uuid import UUID, uuid4

import httpx
import msgspec
import pytest
import structlog

from commands.account import GrantRole
from domain.events import Caller
from domain.ids import UserId
from domain.ports.record import RecordUnavailableError
from gateway.app import create_app, surface
from tests.deployments import PASSWORD, Gateway, deployment, gateway, projector

PUBLIC = frozenset(name for name, declared in surface().routes.items() if declared.is_public)

WHY = {"Hansard-Reason": "case 7"}
TEXT = {"Content-Type": "text/plain"}
JSON = {"Content-Type": "application/json"}


@pytest.fixture
async def hansard(database_url: str, redis_url: str) -> AsyncIterator[Gateway]:
    async with deployment(database_url, redis_url) as made:
        yield made


def inside(hansard: Gateway, address: str, **parts: Any) -> httpx.AsyncClient:
    """Return a client of the same house with other parts, that comes from this address."""
    transport = httpx.ASGITransport(cast(Any, create_app(replace(hansard.services, **parts))), client=(address, 1))
    return httpx.AsyncClient(transport=transport, base_url="http://inside/api/v1")


# Each request has a fault, and is about a room or message that its caller may not know of.
FAULTS: list[tuple[str, str, dict[str, Any]]] = [
    ("PATCH", "/rooms/{room}", {"json": {"name": "x"}, "headers": {"If-Match": "7"}}),
    ("PATCH", "/rooms/{room}", {"json": {"colour": "red"}}),
    ("DELETE", "/rooms/{room}", {"headers": {"If-Match": "7"}}),
    ("GET", "/rooms/{room}", {"headers": {"Hansard-Reason": "x" * 501}}),
    ("GET", "/rooms/{room}", {"headers": {"Hansard-After": "soon"}}),
    ("GET", "/rooms/{room}", {"headers": {"Hansard-After": "999999"}}),
    ("GET", "/rooms/{room}/messages?cursor=x", {}),
    ("GET", "/rooms/{room}/messages?limit=0", {}),
    ("GET", "/rooms/{room}/messages?before=1&after=2", {}),
    ("GET", "/rooms/{room}/messages?after=999999", {}),
    ("GET", "/rooms/{room}/members?cursor=x", {}),
    ("POST", "/rooms/{room}/messages", {"json": {"content": "x"}, "headers": {"Idempotency-Key": "a b"}}),
    ("POST", "/rooms/{room}/messages", {"content": b"no JSON", "headers": JSON}),
    ("POST", "/rooms/{room}/messages", {"content": b"text", "headers": TEXT}),
    ("POST", "/rooms/{room}/messages", {"json": {"content": ""}}),
    ("POST", "/rooms/{room}/join?x=1", {}),
    ("PUT", "/rooms/{room}/read", {"json": {"position": -1}}),
    ("PUT", "/rooms/{room}/members/{message}", {"json": {"role": "king"}}),
    ("DELETE", "/rooms/{room}/members/{message}?ban=maybe", {}),
    ("GET", "/messages/{message}?render=pdf", {}),
    ("GET", "/messages/{message}/history?x=1", {}),
    ("PATCH", "/messages/{message}", {"json": {"content": 7}}),
    ("DELETE", "/messages/{message}", {"headers": {"If-Match": "7"}}),
]


async def test_a_fault_in_a_request_tells_a_stranger_nothing_of_a_private_room(hansard: Gateway) -> None:
    ada, eve = await hansard.person(), await hansard.person()
    room_id = await ada.room(is_private=True)
    message_id = (await ada.say(room_id, "secret"))["id"]
    for method, path, options in FAULTS:
        there = await eve.http.request(method, path.format(room=room_id, message=message_id), **options)
        nowhere = await eve.http.request(method, path.format(room=uuid4(), message=uuid4()), **options)
        assert there.status_code == nowhere.status_code == 404, (method, path, options, there.text)
        assert there.json()["code"] == nowhere.json()["code"], path


async def test_who_may_not_hears_that_before_what_is_wrong_with_the_request(hansard: Gateway) -> None:
    ada, ben = await hansard.person(), await hansard.person()
    room_id = await ada.room(ben)
    said = await ada.say(room_id, "mine")
    bad_match, bad_reason = {"If-Match": "7"}, {"Hansard-Reason": "%ff"}
    asked: list[tuple[str, str, str, dict[str, Any]]] = [
        (f"/rooms/{room_id}", "DELETE", "room.role_too_low", {"headers": bad_match}),
        (f"/rooms/{room_id}", "PATCH", "room.role_too_low", {"json": {"name": 7}}),
        (f"/messages/{said['id']}", "PATCH", "message.not_yours", {"json": {"content": 7}}),
        (f"/messages/{said['id']}", "DELETE", "message.not_yours", {"headers": bad_match}),
        ("/audit/events", "GET", "auth.role_needed", {"headers": bad_reason}),
        ("/audit/events?cursor=x", "GET", "auth.role_needed", {}),
        ("/audit/events/1?x=1", "GET", "auth.role_needed", {}),
    ]
    for path, method, code, options in asked:
        assert (await ben.ask(method, path, 403, **options))["code"] == code, path
    await ada.ask("PATCH", f"/messages/{said['id']}", 422, json={"content": 7})
    (system,) = [m for m in (await ada.ask("GET", f"/rooms/{room_id}/messages", 200))["items"] if not m["sender_id"]]
    await ada.ask("GET", f"/messages/{system['id']}?render=pdf", 422)
    assert (await ada.ask("PATCH", f"/messages/{system['id']}", 409, json={"content": 7}))["code"] == "message.system"
    await ada.ask("DELETE", f"/messages/{said['id']}", 200)
    assert (await ada.ask("PATCH", f"/messages/{said['id']}", 409, json={"content": 7}))["code"] == "message.deleted"
    await ada.ask("DELETE", f"/rooms/{room_id}", 204)
    gone = await ada.ask("POST", f"/rooms/{room_id}/messages", 409, json={"content": 7})
    assert gone["code"] == "room.archived"


async def test_closed_registration_is_said_before_what_is_wrong_with_the_body(
    database_url: str, redis_url: str
) -> None:
    async with gateway(database_url, redis_url, registration_open=False) as hansard, hansard.client() as http:
        answer = await http.post("/auth/register", json={"colour": "red"})
        assert (answer.status_code, answer.json()["code"]) == (403, "account.registration_closed")


async def test_a_query_is_written_as_its_type_is(hansard: Gateway) -> None:
    ada = await hansard.person()
    room_id = await ada.room()
    await hansard.services.command_bus.do(GrantRole(UserId(UUID(ada.id)), "auditor"), Caller())
    for path, name in [
        ("/users?username=%00", "username"),
        ("/users?ids=%00", "ids"),
        ("/rooms?q=%00", "q"),
        ("/rooms?joined=null", "joined"),
        (f"/rooms/{room_id}/messages?limit=5.0", "limit"),
        (f"/rooms/{room_id}/messages?limit=%2B5", "limit"),
        (f"/rooms/{room_id}/messages?limit=%EF%BC%95", "limit"),
        (f"/rooms/{room_id}/messages?before=null", "before"),
        ("/audit/events?type=%00", "type"),
        ("/audit/events?actor=null", "actor"),
        ("/audit/events?from=5", "from"),
        ("/audit/events?from=2026-01-01T00:00:00", "from"),
        ("/audit/events?from=0001-01-01T00:00:00%2B14:00", "from"),
        ("/audit/events?to=9999-12-31T23:59:59-14:00", "to"),
    ]:
        body = await ada.ask("GET", path, 422, headers=WHY)
        assert body["code"] == "query.invalid", path
        assert [error["pointer"] for error in body["errors"]] == [f"?{name}"], path


async def test_a_cursor_that_was_made_up_is_refused(hansard: Gateway) -> None:
    ada = await hansard.person()
    room_id = await ada.room()
    record = UUID((await ada.http.get("/meta")).json()["record"]).bytes[:6]

    def packed(*parts: Any) -> bytes:
        return msgspec.msgpack.encode((record, *parts))

    for path, raw in [
        ("/rooms", packed("rooms", 2**64 - 1, uuid4())),
        ("/rooms", packed("rooms", -1, uuid4())),
        ("/rooms", packed("rooms", 1)),
        ("/rooms", b"\x91" * 3_000),
        ("/rooms", b"\x81\x01" * 3_000),
        ("/rooms", b"\xdd\xff\xff\xff\xff"),
        (f"/rooms/{room_id}/members", packed("members", 2**63, uuid4())),
        (f"/rooms/{room_id}/messages", packed("messages", "after", 2**64 - 1)),
        (f"/rooms/{room_id}/messages", packed("messages", "sideways", 1)),
    ]:
        cursor = urlsafe_b64encode(raw).rstrip(b"=").decode()
        assert (await ada.ask("GET", f"{path}?cursor={cursor}", 422))["code"] == "cursor.invalid", raw[:40]
    foreign = urlsafe_b64encode(msgspec.msgpack.encode((b"others", "rooms", 1, uuid4()))).rstrip(b"=").decode()
    assert (await ada.ask("GET", f"/rooms?cursor={foreign}", 409))["code"] == "record_changed"


async def test_a_place_beyond_the_end_of_the_record_is_no_empty_page(hansard: Gateway) -> None:
    ada = await hansard.person()
    room_id = await ada.room()
    said = await ada.say(room_id, "last")
    path = f"/rooms/{room_id}/messages"
    for place in ("after", "around"):
        assert (await ada.ask("GET", f"{path}?{place}={said['position'] + 1}", 409))["code"] == "record_changed"
    assert (await ada.ask("GET", f"{path}?after={said['position']}", 200))["items"] == []
    [found] = (await ada.ask("GET", f"{path}?around={said['position']}", 200))["items"]
    assert found == {**said, "reactions": [], "pinned": False}
    await hansard.services.command_bus.do(GrantRole(UserId(UUID(ada.id)), "auditor"), Caller())
    assert (await ada.ask("GET", "/audit/events?after=999999", 409, headers=WHY))["code"] == "record_changed"


async def test_a_strangers_idempotency_key_is_of_their_address(hansard: Gateway) -> None:
    key = {"Idempotency-Key": "register"}

    def body(name: str) -> dict[str, str]:
        return {"email": f"{name}@example.com", "username": name, "password": PASSWORD}

    async with inside(hansard, "192.0.2.1") as one, inside(hansard, "192.0.2.2") as other:
        first = await one.post("/auth/register", json=body("ada"), headers=key)
        again = await one.post("/auth/register", json=body("ada"), headers=key)
        assert (first.status_code, again.status_code, again.content) == (201, 201, first.content)
        assert (await one.post("/auth/register", json=body("eve"), headers=key)).status_code == 422
        assert (await other.post("/auth/register", json=body("ben"), headers=key)).status_code == 201


async def test_strangers_read_their_own_writes_too(database_url: str, redis_url: str) -> None:
    async with gateway(database_url, redis_url) as hansard:  # nobody projects
        ada, nobody = await hansard.person(), hansard.client()
        asked = await ada.http.request("DELETE", "/users/me", json={"password": PASSWORD})
        path, after = f"/erasures/{asked.json()['erasure_id']}", {"Hansard-After": asked.headers["Hansard-Position"]}
        assert (await nobody.get(path)).json()["code"] == "erasure.not_found"
        answers = [await nobody.get(path, headers={"Hansard-After": each}) for each in (*after.values(), "999999", "x")]
        codes = [(answer.status_code, answer.json()["code"]) for answer in answers]
        assert codes == [(503, "projection.behind"), (409, "record_changed"), (422, "header.after")]
        assert (await nobody.get("/meta", headers=after)).status_code == 200, "it is in no read table"
        async with projector(database_url, redis_url):
            assert (await nobody.get(path, headers=after)).json()["status"] == "running"


async def test_a_change_that_the_tables_do_not_show_yet_is_no_unknown_room(database_url: str, redis_url: str) -> None:
    async with gateway(database_url, redis_url) as hansard:  # nobody projects
        ada = await hansard.person()
        room_id = await ada.room()
        answer = await ada.http.patch(f"/rooms/{room_id}", json={"name": "New"})
        assert (answer.status_code, answer.json()["code"]) == (503, "projection.behind")
        assert answer.headers["retry-after"] == "1"
        assert int(answer.headers["hansard-position"]) == (await hansard.services.record.head()).position


class BrokenRecord:
    """A record that fails in a way that nobody foresaw."""

    async def head(self) -> None:
        raise ValueError("a secret of the inside")


async def test_an_accident_is_logged_under_the_id_that_is_told_and_tells_nothing_else(hansard: Gateway) -> None:
    trace = "0af7651916cd43dd8448eb211c80319c"
    headers = {"X-Request-Id": "mine-1", "traceparent": f"00-{trace}-b7ad6b7169203331-01"}
    processors = [structlog.contextvars.merge_contextvars]
    async with inside(hansard, "192.0.2.1", record=BrokenRecord()) as http:
        with structlog.testing.capture_logs(processors) as logged:
            answer = await http.get("/meta", headers=headers)
            await http.get(
                "/meta", headers={"X-Request-Id": "mine-2", "traceparent": f"00-{'0' * 32}-b7ad6b7169203331-01"}
            )
    assert (answer.status_code, answer.json()["code"]) == (500, "server.error")
    assert (answer.json()["request_id"], answer.headers["x-request-id"]) == ("mine-1", "mine-1")
    assert "secret" not in answer.text
    first, second = [line for line in logged if line["event"] == "internal error"]
    assert (first["request_id"], first["trace_id"]) == ("mine-1", trace)
    assert second["request_id"] == "mine-2" and "trace_id" not in second


async def test_metrics_count_answers_by_route_and_not_by_address(hansard: Gateway) -> None:
    ada = await hansard.person()
    room_id = await ada.room()
    await ada.ask("GET", f"/rooms/{room_id}", 200)
    for _ in range(2):
        await ada.ask("GET", f"/rooms/{uuid4()}", 404)
    async with hansard.client() as stranger:
        await stranger.request("PROPFIND", f"/rooms/{room_id}")
        text = (await stranger.get(f"{hansard.base}/metrics")).text
    counted = {line.rpartition(" ")[0]: line.rpartition(" ")[2] for line in text.splitlines() if line[0] != "#"}
    route = 'hansard_http_requests_total{method="GET",route="/api/v1/rooms/{room_id}"'
    assert counted[f'{route},status="200"}}'] == "1.0"
    assert counted[f'{route},status="404"}}'] == "2.0"
    assert counted['hansard_http_requests_total{method="other",route="",status="401"}'] == "1.0"
    assert float(counted["hansard_record_position"]) == (await hansard.services.record.head()).position
    assert room_id not in text and "PROPFIND" not in text


class AwayRecord:
    """A record whose Postgres does not answer."""

    async def head(self) -> None:
        raise RecordUnavailableError("Postgres does not answer.")


async def test_metrics_are_told_while_postgres_is_away(hansard: Gateway) -> None:
    ada = await hansard.person()
    async with hansard.client() as http, inside(hansard, "192.0.2.1", record=AwayRecord()) as away:
        whole = (await http.get(f"{hansard.base}/metrics")).text
        answer = await away.get("http://inside/metrics")
        again = (await http.get(f"{hansard.base}/metrics")).text
    assert answer.status_code == 200
    assert ada.id not in answer.text
    assert 'hansard_http_requests_total{method="POST",route="/api/v1/auth/login",status="200"} 1.0\n' in answer.text
    assert "hansard_postgres_answers 0.0\n" in answer.text
    for text in (whole, again):
        assert "hansard_postgres_answers 1.0\n" in text
        assert re.search(r"^hansard_record_position [1-9]", text, re.MULTILINE)
    assert "\nhansard_record_position " not in answer.text


async def test_the_schema_says_what_litestar_does_not_know(hansard: Gateway) -> None:
    async with hansard.client() as http:
        schema = (await http.get(f"{hansard.base}/schema/openapi.json")).json()
    assert set(schema["components"]["schemas"]["Problem"]["required"]) >= {"type", "status", "code", "request_id"}
    for path, operations in schema["paths"].items():
        for method, operation in operations.items():
            is_public = ("GET" if method == "head" else method.upper(), path) in PUBLIC
            assert (operation.get("security") == []) == is_public, (method, path)
            refused = {status: answer for status, answer in operation["responses"].items() if status >= "400"}
            assert "422" in refused and ("401" in refused or is_public), (method, path)
            for status, answer in refused.items():
                if (path, status) != ("/readyz", "503") and method != "head":
                    assert list(answer["content"]) == ["application/problem+json"], (method, path, status)
    login = schema["components"]["schemas"]["LoginBody"]
    assert login["additionalProperties"] is False, "unknown fields are refused"
    assert "content" not in schema["paths"]["/api/v1/auth/logout"]["post"]["responses"]["204"]
    limit = next(p for p in schema["paths"]["/api/v1/rooms"]["get"]["parameters"] if p["name"] == "limit")
    assert (limit["schema"]["minimum"], limit["schema"]["maximum"], limit["schema"]["default"]) == (1, 200, 50)
    paths = schema["paths"]

    def headers(path: str, method: str) -> set[str]:
        return {each["name"] for each in paths[path][method]["parameters"] if each["in"] == "header"}

    assert "Idempotency-Key" in headers("/api/v1/rooms/{room_id}/messages", "post")
    assert "Idempotency-Key" not in headers("/api/v1/auth/login", "post")
    assert "If-Match" in headers("/api/v1/messages/{message_id}", "patch")
    assert "Hansard-After" in headers("/api/v1/rooms", "get")
    assert "Hansard-Position" in paths["/api/v1/rooms"]["post"]["responses"]["201"]["headers"]
