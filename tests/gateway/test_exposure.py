"""Exposure: which fields are told and taken, what is recorded of who comes and goes, and what is not there to be found."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from typing import Any, cast
from uuid import UUID, uuid4

import httpx
import pytest

from adapters.postgres.audit_index import Filter
from gateway.app import create_app
from tests.deployments import PASSWORD, Gateway, deployment
from tests.gateway.test_bad_input import assert_problem
from tests.gateway.test_security import counted

PUBLIC_PART = {"id", "username", "avatar_url", "created_at"}
PROFILE = PUBLIC_PART | {"email", "is_active", "is_verified", "updated_at"}
# What each route about who somebody is takes, and nothing beside it: no hint, no secret question, no role.
TAKEN = {
    "/auth/register": {"email", "username", "password"},
    "/auth/login": {"email", "password"},
    "/auth/refresh": {"refresh_token"},
    "/auth/verify-email": {"token"},
    "/auth/password/forgot": {"email"},
    "/auth/password/reset": {"token", "password"},
    "/auth/password": {"current_password", "new_password"},
    "/users/me": {"username", "avatar_url"},
}


@pytest.fixture
async def hansard(database_url: str, redis_url: str) -> AsyncIterator[Gateway]:
    async with deployment(database_url, redis_url) as made:
        yield made


async def test_one_is_told_of_others_no_more_than_their_public_part(hansard: Gateway) -> None:
    ada, ben = await hansard.person(), await hansard.person()
    room_id = await ada.room(ben)
    said = await ben.say(room_id, "hello")
    after = {"Hansard-After": str(said["position"])}
    assert (await ada.ask("GET", f"/users/{ben.id}", 200, headers=after)).keys() == PUBLIC_PART
    for query in (f"username={ben.username}", f"ids={ben.id}"):
        (found,) = (await ada.ask("GET", f"/users?{query}", 200))["items"]
        assert found.keys() == PUBLIC_PART
    assert (await ada.ask("GET", "/users/me", 200)).keys() - {"version"} == PROFILE
    everything = [
        (await ada.http.get(path)).text
        for path in (
            f"/rooms/{room_id}",
            f"/rooms/{room_id}/members",
            f"/rooms/{room_id}/messages",
            "/rooms",
            "/users/me",
        )
    ]
    for text in everything:
        assert ben.email not in text and "hash" not in text and "argon2" not in text


async def test_what_the_routes_of_accounts_take(hansard: Gateway) -> None:
    async with hansard.client() as http:
        document = (await http.get(f"{hansard.base}/schema/openapi.json")).json()
    taken = {}
    for path in TAKEN:
        operation = next(
            document["paths"][f"/api/v1{path}"][m] for m in ("post", "put") if m in document["paths"][f"/api/v1{path}"]
        )
        shape = operation["requestBody"]["content"]["application/json"]["schema"]
        shape = document["components"]["schemas"][shape["$ref"].rpartition("/")[2]] if "$ref" in shape else shape
        taken[path] = set(shape["properties"])
    assert taken == TAKEN


async def test_fields_that_are_not_ones_own_to_set_are_refused(hansard: Gateway) -> None:
    ada = await hansard.person()
    position = (await hansard.services.record.head()).position
    for field, value in (
        ("email", "eve@example.com"), ("is_active", True), ("is_verified", True), ("id", str(uuid4())), ("role", "admin"),
        ("roles", ["auditor"]), ("hashed_password", "x"), ("created_at", "2020-01-01T00:00:00Z"), ("version", 9),
    ):  # fmt: skip
        body: dict[str, Any] = {"username": "another", field: value}
        assert_problem(await ada.http.put("/users/me", json=body), 422, "field.unknown", f"/{field}")
    for field in ("owner_id", "created_at", "archived", "member_count"):
        assert_problem(await ada.http.post("/rooms", json={"name": "x", field: "y"}), 422, "field.unknown", f"/{field}")
    assert (await hansard.services.record.head()).position == position
    room_id = await ada.room()
    position = (await hansard.services.record.head()).position
    for field in ("sender_id", "position", "created_at", "is_edited", "room_id"):
        answer = await ada.http.post(f"/rooms/{room_id}/messages", json={"content": "x", field: "y"})
        assert_problem(answer, 422, "field.unknown", f"/{field}")
    assert (await hansard.services.record.head()).position == position


async def test_a_new_record_knows_nobody(hansard: Gateway) -> None:
    assert (await hansard.services.record.head()).position == 0
    async with hansard.client() as http:
        for name in ("root", "admin", "sa", "hansard", "test", "administrator", "guest"):
            for email in (f"{name}@example.com", f"{name}@localhost.local"):
                for password in (name, "password", "hansard-hansard"):
                    answer = await http.post("/auth/login", json={"email": email, "password": password})
                    assert_problem(answer, 401, "auth.bad_credentials")


async def test_there_is_nothing_to_be_found_beside_the_api(hansard: Gateway) -> None:
    ada = await hansard.person()
    async with httpx.AsyncClient(base_url=hansard.base, headers={"Authorization": f"Bearer {ada.token}"}) as http:
        for path in (
            "/.git/config", "/.git/HEAD", "/.svn/entries", "/.env", "/", "/static/", "/files/", "/api/v1/", "/debug",
            "/schema/of-litestar", "/schema/swagger", "/schema/redoc", "/admin", "/server-status", "/pyproject.toml", "/api/v1/files/",
        ):  # fmt: skip
            answer = await http.get(path)
            assert_problem(answer, 404, "route.not_found")
        for method in ("TRACE", "TRACK", "CONNECT", "DEBUG", "PROPFIND"):
            answer = await http.request(method, "/api/v1/users/me", headers={"X-Canary": "an echo"})
            assert answer.status_code in (400, 404, 405), method
            assert "an echo" not in answer.text and ada.token not in answer.text


async def test_what_machines_read_can_be_switched_off(hansard: Gateway) -> None:
    closed = replace(hansard.services, policy=replace(hansard.services.policy, schema_on=False, metrics_on=False))
    transport = httpx.ASGITransport(cast(Any, create_app(closed)), client=("192.0.2.1", 1))
    async with httpx.AsyncClient(transport=transport, base_url="http://inside") as http:
        for path in ("/schema", "/schema/openapi.json", "/asyncapi.json", "/metrics"):
            assert_problem(await http.get(path), 404, "route.not_found")
    async with hansard.client() as http:
        for path in ("/schema", "/schema/openapi.json", "/asyncapi.json", "/metrics"):
            assert (await http.get(f"{hansard.base}{path}")).status_code == 200


SMUGGLED = b"GET /api/v1/users/me HTTP/1.1\r\nHost: x\r\n\r\n"
CHUNKED = b"0\r\n\r\n"
AMBIGUOUS = [
    b"Content-Length: 6\r\nTransfer-Encoding: chunked",
    b"Transfer-Encoding: chunked\r\nContent-Length: 6",
    b"Content-Length: 5\r\nContent-Length: 6",
    b"Content-Length: +5",
    b"Content-Length: 5, 5",
    b"Transfer-Encoding: xchunked",
    b"Transfer-Encoding: chunked, identity",
    b"Transfer-Encoding : chunked",
    b"Transfer-Encoding:\x0bchunked",
    b"X: y\nTransfer-Encoding: chunked",
    b"Content-Length: 5\r\n Transfer-Encoding: chunked",
]


@pytest.mark.parametrize("headers", AMBIGUOUS, ids=ascii)
async def test_a_request_whose_end_is_told_in_two_ways_smuggles_none_in(hansard: Gateway, headers: bytes) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", hansard.port)
    head = b"POST /api/v1/auth/login HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    writer.write(head + headers + b"\r\n\r\n" + CHUNKED + SMUGGLED)
    writer.write_eof()
    async with asyncio.timeout(30):
        answers = await reader.read()
    writer.close()
    assert answers.count(b"HTTP/1.1 ") == 1, answers
    assert answers.startswith(b"HTTP/1.1 4"), answers


async def test_who_comes_and_goes_is_on_the_record(hansard: Gateway) -> None:
    agent = {"User-Agent": "a phone"}
    ada = await hansard.person()
    async with hansard.client(**agent) as http:
        login = {"email": ada.email, "password": PASSWORD}
        tokens = (await http.post("/auth/login", json=login)).json()
        await http.post("/auth/refresh", json={"refresh_token": tokens["refresh_token"]})
        await http.post("/auth/refresh", json={"refresh_token": tokens["refresh_token"]})
        other = (await http.post("/auth/login", json=login)).json()
        signed = {"Authorization": f"Bearer {other['access_token']}"}
        change = {"current_password": PASSWORD, "new_password": "another horse battery"}
        assert (await http.put("/auth/password", json=change, headers=signed)).status_code == 204
        assert (await http.post("/auth/logout", headers=signed)).status_code == 204
    page = await hansard.services.audit.page(Filter(subject=UUID(ada.id)), after=0, limit=100)
    told = [entry for entry in page.entries if entry.type not in ("session.listed", "session.unlisted")]
    entries = [(entry.type, entry.data.get("reason")) for entry in told]
    assert entries == [
        ("account.registered", None),
        ("session.opened", None),
        ("session.opened", None),
        ("session.refreshed", None),
        ("session.ended", "reuse"),
        ("session.opened", None),
        ("account.password_changed", None),
        ("session.ended", "password_changed"),
        ("session.ended", "logout"),
    ]
    for entry in told[2:]:
        assert (entry.address, entry.agent) == ("127.0.0.1", "a phone")
        assert entry.correlation and entry.recorded_at.utcoffset() == timedelta(0)
    assert {entry.actor for entry in told[-3:]} == {UUID(ada.id)}


async def test_who_looks_for_what_is_not_theirs_is_counted(hansard: Gateway) -> None:
    """A private room answers as one that is not there; that somebody asks for many such is on the record all the same."""
    ada, eve = await hansard.person(), await hansard.person()
    room_id = await ada.room(is_private=True)
    said = await ada.say(room_id, "secret")
    await counted(hansard)
    for path in (f"/rooms/{room_id}", f"/rooms/{uuid4()}", f"/messages/{said['id']}", f"/files/{uuid4()}"):
        await eve.ask("GET", path, 404)
    await eve.ask("GET", "/nowhere", 404)
    await eve.ask("GET", f"/users/{uuid4()}", 404)
    who = UUID(eve.id)
    assert await counted(hansard) == {
        ("room.not_found", who, None): 2,
        ("message.not_found", who, None): 1,
        ("file.not_found", who, None): 1,
    }
