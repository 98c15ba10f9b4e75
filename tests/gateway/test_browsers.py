"""Browsers: what a page of another site cannot have them do here, and what they are told with every answer."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any
from uuid import UUID, uuid4

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from commands.account import GrantRole
from domain.account import ACCOUNT_ROLES
from domain.events import Caller
from domain.ids import UserId
from gateway.app import API, surface
from tests.deployments import Gateway, deployment
from tests.files.test_downloads import completed
from tests.gateway.test_bad_input import assert_problem

PUBLIC = frozenset(name for name, declared in surface().routes.items() if declared.is_public)

CHAT = "https://chat.example.com"
# Content types that a page of any site may send without asking first (Fetch, CORS-safelisted request headers).
SIMPLE = ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=b", "")
WRITING = frozenset({"POST", "PUT", "PATCH", "DELETE"})


@pytest.fixture
async def hansard(database_url: str, redis_url: str) -> AsyncIterator[Gateway]:
    async with deployment(database_url, redis_url, origins=(CHAT,)) as made:
        yield made


def routes() -> Iterator[tuple[str, str, Any]]:
    """Tell method, path with made-up ids, and handler of every route of the API."""
    for handler in API:
        for path in handler.paths:
            for method in sorted(getattr(handler, "http_methods", ())):
                parts = [str(uuid4()) if part.startswith("{") and "uuid" in part else part for part in path.split("/")]
                concrete = "/".join(parts).replace("{position:int}", "1").replace("{name:str}", "preview")
                yield str(method), concrete, handler


async def test_every_answer_has_what_browsers_must_be_told_once(hansard: Gateway) -> None:
    ada = await hansard.person()
    asked = {"Origin": CHAT, "Access-Control-Request-Method": "POST"}
    async with hansard.client() as http:
        answers = [
            await http.get("/meta"),
            await http.get("/users/me"),
            await http.get("/nowhere"),
            await http.options("/rooms", headers=asked),
            await http.options("/rooms", headers=asked | {"Origin": "https://evil.example"}),
            await http.get(f"{hansard.base}/schema"),
            await http.get(f"{hansard.base}/metrics"),
            await http.post("/auth/login", json={"email": ada.email, "password": "wrong wrong"}),
            await ada.http.get("/rooms"),
            await ada.http.post("/auth/logout"),
        ]
    told = [(str(answer.url), answer.headers.multi_items()) for answer in answers]
    for query, headers in (("", {"Authorization": "Bearer x"}), ("?x=1", {}), ("", {"Origin": "https://evil.example"})):
        with pytest.raises(InvalidStatus) as refused:
            async with connect(f"ws://127.0.0.1:{hansard.port}/api/v1/ws{query}", additional_headers=headers):
                pass
        told.append(
            (f"socket{query}", [(name.lower(), value) for name, value in refused.value.response.headers.raw_items()])
        )
    for url, items in told:
        said: dict[str, list[str]] = {}
        for name, value in items:
            said.setdefault(name, []).append(value)
        assert said["x-content-type-options"] == ["nosniff"], url
        assert (said["referrer-policy"], said["x-frame-options"]) == (["no-referrer"], ["DENY"]), url
        assert said["cross-origin-resource-policy"] == ["same-origin"] and said["cache-control"] == ["no-store"], url
        (policy,) = said["content-security-policy"]
        directives = {part.strip() for part in policy.split(";")}
        assert {
            f"{name} 'none'" for name in ("default-src", "object-src", "base-uri", "frame-ancestors")
        } <= directives, url
        assert "unsafe" not in policy, url
        assert "set-cookie" not in said, "nothing is kept in cookies, so none can be sent along by another site's page"
        assert not {"server", "x-powered-by"} & said.keys()
        if (kind := said.get("content-type", [""])[0]).startswith("text/"):
            assert kind.endswith("charset=utf-8"), url


async def test_text_says_that_it_is_utf_8(hansard: Gateway) -> None:
    ada = await hansard.person()
    file_id = await completed(hansard, ada, "just words – in UTF-8".encode(), "words.txt")
    answer = await ada.http.get(f"/files/{file_id}/content")
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    assert answer.headers["content-disposition"].startswith("attachment; ")


async def test_what_is_no_http_is_answered_with_the_same_headers(hansard: Gateway) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", hansard.port)
    writer.write(b"NONSENSE\r\n\r\n")
    async with asyncio.timeout(20):
        answer = (await reader.read()).lower()
    assert answer.startswith(b"http/1.1 400 ") and b"x-content-type-options: nosniff" in answer
    writer.close()


async def test_no_form_of_another_site_is_taken_for_a_request(hansard: Gateway) -> None:
    """A route with a body takes JSON (the upload: a token beside its form); a page that may send either was asked by CORS."""
    ada = await hansard.person()
    for role in ACCOUNT_ROLES:  # what is wrong with a request is for those who may make one
        await hansard.services.command_bus.do(GrantRole(UserId(UUID(ada.id)), role), Caller())
    position = (await hansard.services.record.head()).position
    walked = 0
    async with hansard.client() as stranger:
        for method, path, handler in routes():
            if method not in WRITING:
                continue
            for kind in SIMPLE:
                headers = {"Content-Type": kind, "Origin": "https://evil.example"}
                body = b'{"email":"eve@example.com","username":"eve","password":"correct horse battery"}'
                answer = await stranger.request(method, path, content=body, headers=headers)
                if path.startswith("/mail/"):  # RFC 8058 sends a form: a token that was mailed is asked for
                    assert_problem(answer, 422, "mail.unsubscribe_invalid")
                elif (method, f"/api/v1{path}") in PUBLIC:
                    assert_problem(answer, 415, "body.media_type")
                else:
                    assert answer.status_code == 401, (method, path)
                assert "access-control-allow-origin" not in answer.headers
                walked += 1
            if handler.parsed_data_field is not None and "{" not in "".join(handler.paths):
                answer = await ada.http.request(method, path, content=b"{}", headers={"Content-Type": "text/plain"})
                assert_problem(answer, 415, "body.media_type")
    assert walked > 80
    assert (await hansard.services.record.head()).position == position, "and nothing was written"


async def test_reading_changes_nothing_and_nothing_makes_a_reading_of_a_change(hansard: Gateway) -> None:
    ada = await hansard.person()
    room_id = await ada.room()
    said = await ada.say(room_id, "hello")
    position = (await hansard.services.record.head()).position
    for method, path, _ in routes():
        for known in (path, path.replace(path.split("/")[2] if path.count("/") > 1 else "-", room_id)):
            if method == "GET":
                assert (await ada.http.get(known, headers={"Hansard-After": "0"})).status_code < 500, known
    override = {"X-HTTP-Method-Override": "DELETE", "X-HTTP-Method": "DELETE", "X-Method-Override": "DELETE"}
    await ada.ask("GET", f"/messages/{said['id']}", 200, headers=override)
    await ada.ask("GET", f"/messages/{said['id']}?_method=DELETE", 422)
    assert (await hansard.services.record.head()).position == position
