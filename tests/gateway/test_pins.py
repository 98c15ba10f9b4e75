"""Pins: what a room keeps at hand, in which order, and how many."""

from collections.abc import AsyncIterator
from uuid import UUID

import pytest

from commands.message import PostMessage
from commands.pin import PinMessage
from domain.bounds import PINS_MAX
from domain.errors import TooManyPinsError
from domain.events import Caller
from domain.ids import MessageId, RoomId, UserId
from projections.message_pages import PAGE_TEXT_BYTES_MAX
from tests.deployments import Gateway, Person, deployment
from tests.lines import line


@pytest.fixture
async def hansard(database_url: str, redis_url: str) -> AsyncIterator[Gateway]:
    async with deployment(database_url, redis_url) as made:
        yield made


async def pinned(person: Person, room_id: str, position: str) -> list[str]:
    page = await person.ask("GET", f"/rooms/{room_id}/pins", 200, headers={"Hansard-After": position})
    assert page["next_cursor"] is None and all(item["pinned"] and item["reactions"] == [] for item in page["items"])
    return [item["content"] for item in page["items"]]


async def change(person: Person, method: str, path: str) -> str:
    answer = await person.http.request(method, path)
    assert answer.status_code < 300, answer.text
    return str(answer.headers["Hansard-Position"])


async def test_what_was_pinned_last_comes_first_and_everybody_hears_of_it(hansard: Gateway) -> None:
    ada, ben = await hansard.person(), await hansard.person()
    room_id = await ada.room(ben)
    one, two, three = [(await ben.say(room_id, text))["id"] for text in ("one", "two", "three")]
    async with line(hansard, ben, room_id) as his:
        await his.until("live")
        for message_id in (two, one, three, two):
            await change(ada, "PUT", f"/messages/{message_id}/pin")
        position = await change(ada, "DELETE", f"/messages/{three}/pin")
        assert await pinned(ben, room_id, position) == ["one", "two"]
        shown = {
            item["content"]: item.get("pinned")
            for item in (await ben.ask("GET", f"/rooms/{room_id}/messages", 200))["items"]
        }
        assert shown == {"one": True, "two": True, "three": False, "member.joined": False}
        position = await change(ada, "PUT", f"/messages/{three}/pin")
        assert await pinned(ben, room_id, position) == ["three", "one", "two"]
        await change(ben, "DELETE", f"/messages/{one}")
        told = await his.events(7)
    assert [(each["event"], each["data"].get("message_id")) for each in told] == [
        ("message.pinned", two), ("message.pinned", one), ("message.pinned", three), ("message.unpinned", three),
        ("message.pinned", three), ("message.deleted", None), ("message.unpinned", one),
    ]  # fmt: skip
    assert await pinned(ben, room_id, str(told[-1]["position"])) == ["three", "two"]
    assert (await ada.ask("PUT", f"/messages/{one}/pin", 409))["code"] == "message.deleted"


async def test_long_pins_come_on_several_pages_which_go_on_where_the_last_one_ended(hansard: Gateway) -> None:
    ada = await hansard.person()
    room_id, do = RoomId(UUID(await ada.room())), hansard.services.command_bus.do
    caller, count = Caller(user_id=UserId(UUID(ada.id))), 60
    for n in range(count):
        message_id = MessageId(UUID(int=1_000 + n))
        await do(PostMessage(room_id, message_id, f"{n} " + "ü" * 9_990), caller)
        position = (await do(PinMessage(message_id), caller)).position
    found: list[str] = []
    cursor, pages = "", 0
    while cursor is not None:
        page = await ada.ask("GET", f"/rooms/{room_id}/pins{cursor}", 200, headers={"Hansard-After": str(position)})
        assert sum(len(each["content"].encode()) for each in page["items"]) <= PAGE_TEXT_BYTES_MAX
        found += [each["content"].split()[0] for each in page["items"]]
        cursor, pages = page["next_cursor"] and f"?cursor={page['next_cursor']}", pages + 1
    assert found == [str(n) for n in reversed(range(count))] and pages == 2
    refusal = await ada.ask("GET", f"/rooms/{room_id}/pins?cursor=nonsense", 422)
    assert refusal["code"] == "cursor.invalid"


async def test_who_joined_later_sees_only_the_pins_of_what_they_may_read(hansard: Gateway) -> None:
    ada, ben = await hansard.person(), await hansard.person()
    room_id = await ada.room()
    await ada.ask("PATCH", f"/rooms/{room_id}", 200, json={"history": "joined"})
    old = await ada.say(room_id, "of before")
    await change(ada, "PUT", f"/messages/{old['id']}/pin")
    await ben.ask("POST", f"/rooms/{room_id}/join", 200)
    said = await ada.say(room_id, "of now")
    position = await change(ada, "PUT", f"/messages/{said['id']}/pin")
    await change(ada, "DELETE", f"/messages/{old['id']}/pin")
    position = await change(ada, "PUT", f"/messages/{old['id']}/pin")
    assert await pinned(ada, room_id, position) == ["of before", "of now"]
    assert await pinned(ben, room_id, position) == ["of now"]
    async with line(hansard, ben, room_id, "?after=0") as his:
        assert [each["event"] for each in await his.events(3)] == ["member.joined", "message.posted", "message.pinned"]
        await his.live()  # of what came before nothing is told


async def test_a_room_has_a_hundred_pins_and_a_deleted_message_makes_room(hansard: Gateway) -> None:
    ada = await hansard.person()
    room_id, do = RoomId(UUID(await ada.room())), hansard.services.command_bus.do
    caller = Caller(user_id=UserId(UUID(ada.id)))
    ids = [MessageId(UUID(int=n)) for n in range(1, PINS_MAX + 2)]
    for message_id in ids:
        await do(PostMessage(room_id, message_id, "keep"), caller)
    for message_id in ids[:-1]:
        await do(PinMessage(message_id), caller)
    with pytest.raises(TooManyPinsError):
        await do(PinMessage(ids[-1]), caller)
    await change(ada, "DELETE", f"/messages/{ids[0]}")
    position = await change(ada, "PUT", f"/messages/{ids[-1]}/pin")
    assert len(await pinned(ada, str(room_id), position)) == PINS_MAX
