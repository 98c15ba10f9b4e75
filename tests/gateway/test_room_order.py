"""The list of rooms: that of the last message posted stands first, whatever becomes of older ones."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from domain.bounds import PAGE_ITEMS_MAX
from tests.deployments import Gateway, Person, deployment


@pytest.fixture
async def hansard(database_url: str, redis_url: str) -> AsyncIterator[Gateway]:
    async with deployment(database_url, redis_url) as made:
        yield made


async def order(person: Person, limit: int = PAGE_ITEMS_MAX) -> list[str]:
    """Return the ids of all rooms as the list's pages show them."""
    found: list[str] = []
    cursor: dict[str, Any] = {}
    while True:
        page = await person.ask("GET", "/rooms", 200, params={"limit": limit, **cursor})
        found += [room["id"] for room in page["items"]]
        if page["next_cursor"] is None:
            return found
        cursor = {"cursor": page["next_cursor"]}


async def test_rooms_are_in_the_order_of_their_last_message(hansard: Gateway) -> None:
    ada, ben = await hansard.person(), await hansard.person()
    first, second, third = [await ada.room(name=f"Room {i}") for i in range(3)]
    assert await order(ada) == [third, second, first], "where nothing was posted, the latest opened first"
    old = [await ada.say(room_id, "old") for room_id in (first, second, third)]
    assert await order(ada) == [third, second, first]
    await ada.ask("PATCH", f"/messages/{old[0]['id']}", 200, json={"content": "edited"})
    await ada.ask("DELETE", f"/messages/{old[1]['id']}", 200)
    for limit in (1, 2, PAGE_ITEMS_MAX):
        assert await order(ada, limit) == [third, second, first]
    await ada.say(first, "new")
    assert await order(ada) == [first, third, second]
    joined = await ben.http.post(f"/rooms/{second}/join")  # a system message is one too
    await ada.ask("GET", "/rooms", 200, headers={"Hansard-After": joined.headers["Hansard-Position"]})
    for limit in (1, 2, PAGE_ITEMS_MAX):
        assert await order(ada, limit) == [second, first, third]
    [room, *_] = (await ada.ask("GET", "/rooms", 200))["items"]
    assert room["last_message"]["content"] == "member.joined"


async def test_a_member_may_leave_an_archived_room(hansard: Gateway) -> None:
    ada, ben, another = [await hansard.person() for _ in range(3)]
    room_id = await ada.room(ben)
    await ada.ask("PUT", f"/rooms/{room_id}/members/{another.id}", 200, json={"role": "owner"})
    await ada.ask("DELETE", f"/rooms/{room_id}", 204)
    await ben.ask("POST", f"/rooms/{room_id}/leave", 204)
    room = await ben.ask("GET", f"/rooms/{room_id}", 200)
    assert (room["my_role"], room["is_archived"], room["member_count"]) == (None, True, 2)
    await another.ask("POST", f"/rooms/{room_id}/leave", 204)
    assert (await ben.ask("POST", f"/rooms/{room_id}/join", 409))["code"] == "room.archived"
    assert (await ada.ask("POST", f"/rooms/{room_id}/leave", 409))["code"] == "room.last_owner"
