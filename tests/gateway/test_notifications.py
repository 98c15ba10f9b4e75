"""Notifications: who finds what in their inbox, what reading elsewhere does to it, and settings over HTTP."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from adapters.redis.lanes import LanesUnavailableError
from tests.deployments import Gateway, Person, deployment, until
from tests.lines import line


@pytest.fixture
async def hansard(database_url: str, redis_url: str) -> AsyncIterator[Gateway]:
    async with deployment(database_url, redis_url) as made:
        yield made


async def inbox(person: Person, after: int, query: str = "") -> dict[str, Any]:
    """Return somebody's inbox when its tables have passed a position."""
    body: dict[str, Any] = await person.ask("GET", f"/notifications{query}", 200, headers={"Hansard-After": str(after)})
    return body


def kinds(page: dict[str, Any]) -> list[tuple[str, int, bool]]:
    return [(each["kind"], each["position"], each["read"]) for each in page["items"]]


async def want(person: Person, **settings: Any) -> Any:
    return await person.ask("PUT", "/users/me/notifications", 200, json=settings)


async def test_each_finds_what_concerns_them_and_reading_the_room_reads_it(hansard: Gateway) -> None:
    ada, ben, cyd = await hansard.person(), await hansard.person(), await hansard.person()
    await want(cyd, keywords=["Deploy"])
    room_id = await ada.room(ben, cyd)
    direct = (await ada.ask("POST", "/direct", 201, json={"user_ids": [ben.id]}))["id"]
    plain = await ada.say(room_id, "good morning")
    named = await ada.say(room_id, f"@{ben.username} we deploy")
    everybody = await ada.say(room_id, "@room `deploy`")
    private = await ada.say(direct, "psst")
    last = private["position"]
    his = await inbox(ben, last)
    assert [(kind, position) for kind, position, _ in kinds(his)][:3] == [
        ("direct", private["position"]), ("mention", everybody["position"]), ("mention", named["position"]),
    ]  # fmt: skip
    assert [each["kind"] for each in his["items"]][3:] == ["invitation"], "Ada brought him in"
    assert his["unread"] == 4
    found = his["items"][2]
    assert (found["room_id"], found["message_id"], found["actor_id"]) == (room_id, named["id"], ada.id)
    hers = await inbox(cyd, last)
    assert [each["kind"] for each in hers["items"]] == ["mention", "keyword", "invitation"]
    assert hers["items"][1]["position"] == named["position"]
    assert (await inbox(ada, last))["items"] == [], "one's own messages are none"
    assert plain["position"] not in {each["position"] for page in (his, hers) for each in page["items"]}

    answer = await ben.http.put(f"/rooms/{room_id}/read", json={"position": named["position"]})
    his = await inbox(ben, last)
    assert [each["read"] for each in his["items"]] == [False, False, True, True]
    assert his["unread"] == 2
    answer = await ben.http.put("/notifications/read", json={"position": everybody["position"]})
    assert answer.status_code == 204
    his = await inbox(ben, int(answer.headers["Hansard-Position"]))
    assert [each["read"] for each in his["items"]] == [False, True, True, True]
    answer = await ben.http.put("/notifications/read", json={"position": 2**62})
    assert (await inbox(ben, int(answer.headers["Hansard-Position"])))["unread"] == 0


async def test_what_is_deleted_or_not_ones_own_any_more_is_not_shown(hansard: Gateway) -> None:
    ada, ben = await hansard.person(), await hansard.person()
    room_id = await ada.room(ben, is_private=True)
    gone, stays = await ada.say(room_id, f"@{ben.username} one"), await ada.say(room_id, f"@{ben.username} two")
    await ada.ask("DELETE", f"/messages/{gone['id']}", 200)
    his = await inbox(ben, stays["position"] + 1)
    assert his["items"][0]["position"] == stays["position"]
    assert (len(his["items"]), his["unread"]) == (2, 2)
    answer = await ada.http.delete(f"/rooms/{room_id}/members/{ben.id}")
    his = await inbox(ben, int(answer.headers["Hansard-Position"]))
    assert (his["items"], his["unread"]) == ([], 0)


async def test_settings_say_what_comes_and_blocks_keep_it_away(hansard: Gateway) -> None:
    ada, ben = await hansard.person(), await hansard.person()
    room_id = await ada.room(ben)
    before = await ada.say(room_id, f"@{ben.username} one")
    said = await want(ben, rooms={room_id: "none"}, keywords=["Ops", " ops "])
    assert (said["rooms"], said["keywords"], said["default"]) == ({room_id: "none"}, ["Ops"], "mentions")
    await ada.say(room_id, f"@{ben.username} two")
    await want(ben, rooms={})
    after = await ada.say(room_id, f"@{ben.username} three")
    await ben.ask("PUT", f"/users/me/blocks/{ada.id}", 204)
    last = await ada.say(room_id, "@room four")
    his = await inbox(ben, last["position"])
    assert [each["position"] for each in his["items"]][:2] == [after["position"], before["position"]]
    assert (await ben.ask("GET", "/users/me/notifications", 200))["keywords"] == ["Ops"]


async def test_the_inbox_is_paged_and_followed_rooms_are_not_in_it(hansard: Gateway) -> None:
    ada, ben = await hansard.person(), await hansard.person()
    await want(ben, default="all")
    room_id = await ada.room(ben)
    said = [await ada.say(room_id, f"@{ben.username} {n}" if n % 2 else "hello") for n in range(6)]
    first = await inbox(ben, said[-1]["position"], "?limit=2")
    second = await ben.ask("GET", f"/notifications?limit=2&cursor={first['next_cursor']}", 200)
    assert [each["position"] for each in (*first["items"], *second["items"])][:3] == [
        said[n]["position"] for n in (5, 3, 1)
    ]


SENSELESS: list[tuple[Any, str]] = [
    ({"default": "some"}, "/default"),
    ({"more": 1}, "/more"),
    ({"rooms": {"x": "all"}}, "/rooms"),
    ({"keywords": [""]}, "/keywords/0"),
    ({"keywords": ["a\nb"]}, "/keywords/0"),
    ({"quiet": {"from": "22:00", "to": "25:00", "time_zone": "UTC"}}, "/quiet/to"),
    ({"quiet": {"from": "22:00", "to": "22:00", "time_zone": "UTC"}}, "/quiet/to"),
    ({"quiet": {"from": "22:00", "to": "07:00", "time_zone": "Mars/Olympus"}}, "/quiet/time_zone"),
    ({"quiet": {"from": "22:00", "to": "07:00", "time_zone": "UTC", "days": []}}, "/quiet/days"),
    ({"dnd_until": "2026-01-01T00:00:00"}, "/dnd_until"),
]


async def test_settings_that_make_no_sense_are_refused(hansard: Gateway) -> None:
    ada = await hansard.person()
    for body, pointer in SENSELESS:
        refused = await ada.ask("PUT", "/users/me/notifications", 422, json=body)
        assert refused["errors"][0]["pointer"].startswith(pointer), (body, refused)


async def test_who_follows_a_thread_is_told_of_replies_until_they_have_read_it(hansard: Gateway) -> None:
    ada, ben, cyd = await hansard.person(), await hansard.person(), await hansard.person()
    room_id = await ada.room(ben, cyd)
    root = await ben.say(room_id, "a question")
    reply = await ada.say(room_id, "an answer", thread_id=root["id"])
    beside = await cyd.say(room_id, "another", thread_id=root["id"], in_room=True)
    his, hers = await inbox(ben, beside["position"]), await inbox(ada, beside["position"])
    assert [(each["kind"], each["position"], each["thread_id"]) for each in his["items"]][:2] == [
        ("thread", beside["position"], root["id"]), ("thread", reply["position"], root["id"]),
    ]  # fmt: skip
    assert [each["kind"] for each in hers["items"]] == ["thread"], "she replied, and follows it since"
    await ben.ask("PUT", f"/rooms/{room_id}/read", 204, json={"position": beside["position"]})
    his = await inbox(ben, beside["position"])
    assert [each["read"] for each in his["items"]][:2] == [True, False], "the room does not show the first reply"
    answer = await ben.http.put(f"/messages/{root['id']}/thread/read", json={"position": beside["position"]})
    his = await inbox(ben, int(answer.headers["Hansard-Position"]))
    assert [each["read"] for each in his["items"]][:2] == [True, True]
    await ben.http.delete(f"/messages/{root['id']}/thread/follow")
    last = await ada.say(room_id, "one more", thread_id=root["id"])
    assert (await inbox(ben, last["position"]))["items"][0]["position"] == beside["position"]


async def test_sockets_hear_of_each_notification_once_and_of_what_is_read(hansard: Gateway) -> None:
    ada, ben = await hansard.person(), await hansard.person()
    room_id, elsewhere = await ada.room(ben), await ada.room(ben)
    await inbox(ben, 1)
    async with line(hansard, ben, elsewhere) as his, line(hansard, ada, elsewhere) as hers:
        await his.until("live")
        await hers.until("live")
        said = [await ada.say(room_id, f"@{ben.username} {n}") for n in range(3)]
        told = [await his.until("event", event="notification", position=said[0]["position"])]
        told += [await his.until("event", event="notification") for _ in range(2)]
        assert [frame["position"] for frame in told] == [each["position"] for each in said]
        assert {(frame["room_id"], frame["prev"], frame["actor_id"]) for frame in told} == {(None, None, ada.id)}
        assert told[0]["data"] == {
            "position": said[0]["position"], "kind": "mention", "room_id": room_id, "message_id": said[0]["id"],
            "file_id": None, "actor_id": ada.id, "at": said[0]["created_at"], "thread_id": None,
            "read": False,
        }  # fmt: skip
        await ben.ask("PUT", "/notifications/read", 204, json={"position": said[1]["position"]})
        frame = await his.until("event", event="notification.read")
        assert frame["data"]["position"] == said[1]["position"]


async def test_without_redis_sockets_hear_from_the_inbox_itself(hansard: Gateway) -> None:
    ada, ben = await hansard.person(), await hansard.person()
    room_id, elsewhere = await ada.room(ben), await ada.room(ben)
    await inbox(ben, 1)
    follower, lanes = hansard.services.hub._follower, hansard.services.lanes
    async with line(hansard, ben, elsewhere) as his:
        await his.until("live")

        async def away(places: object) -> object:
            raise LanesUnavailableError("Redis does not answer")

        lanes.read = away  # type: ignore[method-assign, assignment]
        await until(is_set(follower.left_lanes))
        said = await ada.say(room_id, f"@{ben.username}")
        await his.until("event", event="notification", position=said["position"])
        del lanes.read
        await until(is_set(follower.left_lanes, wanted=False))
        said = await ada.say(room_id, f"@{ben.username}")
        frame = await his.until("event", event="notification")
        assert frame["position"] == said["position"], "what was heard from the inbox is not heard again"


def is_set(event: asyncio.Event, *, wanted: bool = True) -> Callable[[], Awaitable[bool]]:
    """Return a condition that asks whether an event is set."""

    async def holds() -> bool:
        return event.is_set() is wanted

    return holds
