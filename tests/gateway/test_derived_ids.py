"""Ids of system messages are known before they are used: no client's message can take one, or be taken for one."""

from collections.abc import AsyncIterator
from uuid import NAMESPACE_URL, UUID, uuid4, uuid5

import pytest

from commands.message import PostMessage
from domain.derived_ids import AHEAD_POSITIONS, DerivedIds
from domain.events import Caller
from domain.ids import MessageId, RoomId, UserId, system_message_id
from tests.deployments import Gateway, Person, deployment
from tests.lines import line


@pytest.fixture
async def hansard(database_url: str, redis_url: str) -> AsyncIterator[Gateway]:
    async with deployment(database_url, redis_url) as made:
        yield made


async def head(hansard: Gateway) -> int:
    return (await hansard.services.record.head()).position


async def test_an_id_that_a_system_message_has_or_will_have_is_refused(hansard: Gateway) -> None:
    ada, ben = await hansard.person(), await hansard.person()
    room_id = await ada.room(ben)
    path, position = f"/rooms/{room_id}/messages", await head(hansard)
    for squatted in (system_message_id(position), *(system_message_id(position + i) for i in (1, 2, 3, 10_000))):
        problem = await ada.ask("POST", path, 422, json={"content": "mine", "id": str(squatted)})
        assert problem["code"] == "message.id_reserved"
        assert [error["pointer"] for error in problem["errors"]] == ["/id"]
    assert await head(hansard) == position
    async with line(hansard, ada, room_id) as adas:
        reply = await adas.ask("send", room_id=room_id, content="mine", message_id=str(system_message_id(position + 1)))
        assert (reply["ok"], reply["error"]["code"], reply["error"]["status"]) == (False, "message.id_reserved", 422)


async def test_any_other_id_may_be_of_version_five(hansard: Gateway) -> None:
    """Who imports derives ids from those of another system, and posts twice under the same."""
    ada = await hansard.person()
    room_id = await ada.room()
    mine = str(uuid5(NAMESPACE_URL, "https://example.com/archive/17"))
    assert (await ada.say(room_id, "old", id=mine))["id"] == mine
    again = await ada.ask("POST", f"/rooms/{room_id}/messages", 200, json={"content": "old", "id": mine})
    assert again["id"] == mine


async def test_who_may_not_post_is_told_that_and_not_whether_an_id_is_taken(hansard: Gateway) -> None:
    ada, eve = await hansard.person(), await hansard.person()
    room_id = await ada.room(is_private=True)
    body = {"content": "mine", "id": str(system_message_id(await head(hansard)))}
    assert (await eve.ask("POST", f"/rooms/{room_id}/messages", 404, json=body))["code"] == "room.not_found"


async def squatted_by(eve: Person, hansard: Gateway, room_id: str, position: int) -> MessageId:
    """Post as one could before ids were looked at, or from very far ahead."""
    message_id = system_message_id(position)
    outcome = await hansard.services.command_bus.do(
        PostMessage(RoomId(UUID(room_id)), message_id, "I am the system"), Caller(user_id=UserId(UUID(eve.id)))
    )
    assert outcome.position < position
    return message_id


async def test_an_id_that_was_squatted_is_the_system_messages_wherever_it_is_looked_up(hansard: Gateway) -> None:
    ada, eve, ben = await hansard.person(), await hansard.person(), await hansard.person()
    room_id = await ada.room(eve)
    position = await head(hansard) + 2
    squatted = await squatted_by(eve, hansard, room_id, position)
    await ada.ask("PUT", f"/rooms/{room_id}/members/{ben.id}", 200, json={"role": "member"})
    assert await head(hansard) == position
    after = {"Hansard-After": str(position)}
    for who in (ada, eve):
        message = await who.ask("GET", f"/messages/{squatted}", 200, headers=after)
        assert (message["message_type"], message["content"]) == ("system", "member.joined")
        history = await who.ask("GET", f"/messages/{squatted}/history", 200)
        assert [(version["position"], version["content"]) for version in history["items"]] == [
            (position, "member.joined")
        ]
        changed = await who.ask("PATCH", f"/messages/{squatted}", 409, json={"content": "I am"})
        assert changed["code"] == "message.system"
        assert (await who.ask("DELETE", f"/messages/{squatted}", 409))["code"] == "message.system"
    async with line(hansard, eve, room_id) as eves:
        for kind, more in (("edit", {"content": "I am"}), ("delete", {})):
            reply = await eves.ask(kind, message_id=str(squatted), **more)
            assert (reply["ok"], reply["error"]["code"]) == (False, "message.system")


def test_the_ids_around_the_head_are_known_exactly_wherever_it_moves() -> None:
    derived = DerivedIds()
    for position in (1, 7, 500, 90_000, 1_000_000, 1_000_001, 3):
        for near in (position, position + 1, position + AHEAD_POSITIONS):
            assert derived.near(system_message_id(near), position)
        assert not derived.near(system_message_id(position + AHEAD_POSITIONS + 1), position)
        assert not derived.near(uuid4(), position)
    assert derived.near(system_message_id(4), 3) and derived.near(system_message_id(3), 2), "a head told late"
