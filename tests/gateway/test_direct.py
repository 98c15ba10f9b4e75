"""Direct rooms: one for the same people, whoever asks first, and nobody else's; and blocking."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import pytest

from tests.deployments import Gateway, Person, deployment
from tests.lines import line


@pytest.fixture
async def hansard(database_url: str, redis_url: str) -> AsyncIterator[Gateway]:
    async with deployment(database_url, redis_url) as made:
        yield made


async def direct(person: Person, *others: Person) -> tuple[int, dict[str, Any]]:
    answer = await person.http.post("/direct", json={"user_ids": [other.id for other in others]})
    return answer.status_code, answer.json()


async def test_the_same_people_have_one_room_whoever_asks_first(hansard: Gateway) -> None:
    ada, ben, cyd = [await hansard.person() for _ in range(3)]
    answers = await asyncio.gather(*(direct(*both) for both in ((ada, ben), (ben, ada)) * 4))
    assert len({room["id"] for _, room in answers}) == 1, "also of those who ask at once"
    assert sorted(status for status, _ in answers) == [200] * 7 + [201]
    for _, room in answers:
        assert (room["kind"], room["is_private"], room["my_role"], room["member_count"], room["name"]) == (
            "direct", True, "member", 2, "",
        )  # fmt: skip
    status, group = await direct(cyd, ada, ben)
    assert (status, group["member_count"]) == (201, 3) and group["id"] != answers[0][1]["id"]
    assert await direct(ben, cyd, ada, ben) == (200, {**group, "version": group["version"]})
    listed = (await ben.ask("GET", "/rooms", 200))["items"]
    assert {room["id"]: (room["kind"], room["last_message"]) for room in listed} == {
        group["id"]: ("direct", None), answers[0][1]["id"]: ("direct", None),
    }  # fmt: skip


async def test_a_direct_room_is_nobody_elses_and_nobody_comes_or_goes(hansard: Gateway) -> None:
    ada, ben, cyd = [await hansard.person() for _ in range(3)]
    async with line(hansard, ben) as his:
        await his.until("hello")
        _, room = await direct(ada, ben)
        own = await his.until("event", event="member.joined", room_id=None)
    assert own["data"] == {
        "room_id": room["id"], "user_id": ben.id, "role": "member", "by": ada.id, "is_direct": True,
    }  # fmt: skip
    path = f"/rooms/{room['id']}"
    said = await ada.say(room["id"], "between us")
    for method, way in (
        ("GET", path),
        ("GET", f"{path}/messages"),
        ("POST", f"{path}/join"),
        ("GET", f"{path}/members"),
    ):
        assert (await cyd.ask(method, way, 404))["code"] == "room.not_found"
    assert (await cyd.ask("GET", f"/messages/{said['id']}", 404))["code"] == "message.not_found"
    assert room["id"] not in [each["id"] for each in (await cyd.ask("GET", "/rooms", 200))["items"]]
    for person in (ada, ben):
        assert (await person.ask("POST", f"{path}/leave", 409))["code"] == "room.direct"
        for other in (cyd, ben, ada):
            asked = {"json": {"role": "member"}}
            assert (await person.ask("PUT", f"{path}/members/{other.id}", 403, **asked))["code"] == "room.role_too_low"
            assert (await person.ask("DELETE", f"{path}/members/{other.id}", 403))["code"] == "room.role_too_low"
        assert (await person.ask("PATCH", path, 403, json={"name": "Ours"}))["code"] == "room.role_too_low"
        assert (await person.ask("DELETE", path, 403))["code"] == "room.role_too_low"
    seen = await ben.ask("GET", path, 200)
    assert (seen["unread"], seen["last_message"]["content"], seen["kind"]) == (1, "between us", "direct")


async def test_of_whom_and_with_how_many_one_may_ask(hansard: Gateway) -> None:
    ada, ben = await hansard.person(), await hansard.person()
    assert (await ada.ask("POST", "/direct", 422, json={"user_ids": [ada.id]}))["errors"][0]["pointer"] == "/user_ids"
    many = [str(uuid4()) for _ in range(10)]
    assert (await ada.ask("POST", "/direct", 422, json={"user_ids": many}))["errors"][0]["pointer"] == "/user_ids"
    assert (await ada.ask("POST", "/direct", 422, json={"user_ids": []}))["errors"][0]["pointer"] == "/user_ids"
    assert (await ada.ask("POST", "/direct", 404, json={"user_ids": [ben.id, many[0]]}))["code"] == "account.not_found"


async def test_who_is_blocked_opens_no_direct_room_and_writes_in_none_of_both(hansard: Gateway) -> None:
    ada, ben, cyd = [await hansard.person() for _ in range(3)]
    await ada.ask("PUT", f"/users/me/blocks/{ben.id}", 204)
    await ada.ask("PUT", f"/users/me/blocks/{ben.id}", 204)
    assert await ada.ask("GET", "/users/me/blocks", 200) == {"items": [{"user_id": ben.id}], "next_cursor": None}
    assert (await ben.ask("GET", "/users/me/blocks", 200))["items"] == []
    for others in ([ada.id], [ada.id, cyd.id]):
        assert (await ben.ask("POST", "/direct", 403, json={"user_ids": others}))["code"] == "direct.blocked"
    status, room = await direct(ada, ben)
    assert status == 201, "who blocks may still write first"
    assert (await ben.ask("POST", f"/rooms/{room['id']}/messages", 403, json={"content": "?"}))[
        "code"
    ] == "direct.blocked"
    async with line(hansard, ben) as his:
        await his.until("hello")
        assert (await his.ask("send", room_id=room["id"], content="?"))["error"]["code"] == "direct.blocked"
    await ada.say(room["id"], "hear me out")
    assert (await direct(ben, ada))[0] == 200, "what is there is shown, and read"
    await ada.ask("DELETE", f"/users/me/blocks/{ben.id}", 204)
    await ben.say(room["id"], "I hear")
    assert (await ada.ask("PUT", f"/users/me/blocks/{ada.id}", 422))["code"] == "block.oneself"
    assert (await ada.ask("PUT", f"/users/me/blocks/{uuid4()}", 404))["code"] == "account.not_found"
