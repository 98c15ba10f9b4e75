"""Reactions: who may give them, what everybody reads and hears of them, and that counts are those of the record."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from random import Random
from typing import Any
from urllib.parse import quote

import pytest

from domain.reaction import ReactionAdded, ReactionRemoved
from tests.deployments import Gateway, Person, deployment
from tests.lines import line

THUMB, HEART, PARTY = "👍", "❤️", "🎉"


@pytest.fixture
async def hansard(database_url: str, redis_url: str) -> AsyncIterator[Gateway]:
    async with deployment(database_url, redis_url) as made:
        yield made


async def react(person: Person, message_id: str, emoji: str, *, method: str = "PUT") -> int:
    """Give an emoji, or take it back; answers the position."""
    answer = await person.http.request(method, f"/messages/{message_id}/reactions/{quote(emoji)}")
    assert answer.status_code == 204, answer.text
    return int(answer.headers["Hansard-Position"])


async def shown(person: Person, room_id: str, message_id: str, position: int) -> list[tuple[str, int, bool]]:
    """Return a message's reactions as somebody reads them: in the page, alone, and with HTML alike."""
    after = {"Hansard-After": str(position)}
    page = await person.ask("GET", f"/rooms/{room_id}/messages", 200, headers=after)
    html = await person.ask("GET", f"/rooms/{room_id}/messages?render=html", 200)
    [found], [other] = ([item for item in said["items"] if item["id"] == message_id] for said in (page, html))
    alone = await person.ask("GET", f"/messages/{message_id}", 200)
    assert found["reactions"] == other["reactions"] == alone["reactions"]
    return [(each["emoji"], each["count"], each["me"]) for each in alone["reactions"]]


async def test_reactions_are_counted_by_emoji_and_told_to_the_room(hansard: Gateway) -> None:
    ada, ben = await hansard.person(), await hansard.person()
    room_id = await ada.room(ben)
    said, plain = await ada.say(room_id, "hello"), await ada.say(room_id, "unmoved")
    async with line(hansard, ben, room_id) as his:
        await his.until("live")
        await react(ada, said["id"], THUMB)
        first = await react(ben, said["id"], "❤")
        await react(ada, said["id"], HEART)
        assert await react(ada, said["id"], HEART) > first, "again is silence, and answers where that stands"
        last = await react(ada, said["id"], THUMB, method="DELETE")
        told = await his.events(4)
    assert [
        (each["event"], each["data"]["emoji"], each["data"]["count"], each["data"]["user_id"]) for each in told
    ] == [
        ("reaction.added", THUMB, 1, ada.id),
        ("reaction.added", HEART, 1, ben.id),
        ("reaction.added", HEART, 2, ada.id),
        ("reaction.removed", THUMB, 0, ada.id),
    ]
    assert {each["data"]["posted_position"] for each in told} == {said["position"]}
    assert [each["prev"] for each in told[1:]] == [each["position"] for each in told[:-1]]
    assert await shown(ada, room_id, said["id"], last) == [(HEART, 2, True)]
    assert await shown(ben, room_id, plain["id"], last) == []
    page = await ben.ask("GET", f"/messages/{said['id']}/reactions?limit=1", 200)
    following = await ben.ask("GET", f"/messages/{said['id']}/reactions?cursor={page['next_cursor']}", 200)
    assert [(each["emoji"], each["user_id"]) for each in (*page["items"], *following["items"])] == [
        (HEART, ben.id), (HEART, ada.id),
    ]  # fmt: skip
    assert following["next_cursor"] is None
    await react(ben, said["id"], THUMB)
    last = await react(ben, said["id"], HEART, method="DELETE")
    assert await shown(ben, room_id, said["id"], last) == [(HEART, 1, False), (THUMB, 1, True)]


async def test_a_deleted_message_shows_no_reaction_and_gets_none(hansard: Gateway) -> None:
    ada, ben = await hansard.person(), await hansard.person()
    room_id = await ada.room(ben)
    said = await ada.say(room_id, "hello")
    await react(ben, said["id"], THUMB)
    gone = await ada.http.delete(f"/messages/{said['id']}")
    assert await shown(ben, room_id, said["id"], int(gone.headers["Hansard-Position"])) == []
    assert await ben.ask("GET", f"/messages/{said['id']}/reactions", 200) == {"items": [], "next_cursor": None}
    assert (await ben.ask("PUT", f"/messages/{said['id']}/reactions/{quote(HEART)}", 409))["code"] == "message.deleted"


async def test_what_came_before_ones_joining_is_not_told_by_its_reactions_either(hansard: Gateway) -> None:
    ada, ben = await hansard.person(), await hansard.person()
    room_id = await ada.room()
    await ada.ask("PATCH", f"/rooms/{room_id}", 200, json={"history": "joined"})
    old = await ada.say(room_id, "of before")
    await ben.ask("POST", f"/rooms/{room_id}/join", 200)
    async with line(hansard, ben, room_id) as his:
        await his.until("live")
        await react(ada, old["id"], THUMB)
        said = await ada.say(room_id, "of now")
        position = await react(ada, said["id"], THUMB)
        live = await his.events(2)
    async with line(hansard, ben, room_id, "?after=0") as his:  # so far back that the record is read
        joined, *replayed = await his.events(3)
    assert joined["event"] == "member.joined"
    for told in (live, replayed):
        assert [(each["event"], each["position"]) for each in told] == [
            ("message.posted", said["position"]), ("reaction.added", position),
        ]  # fmt: skip
    for path, method in ((f"/reactions/{quote(THUMB)}", "PUT"), ("/reactions", "GET")):
        assert (await ben.ask(method, f"/messages/{old['id']}{path}", 404))["code"] == "message.not_found"


async def test_however_many_react_at_once_counts_are_those_of_the_record(hansard: Gateway) -> None:
    people = [await hansard.person() for _ in range(4)]
    room_id = await people[0].room(*people[1:])
    said = [(await people[0].say(room_id, f"{n}"))["id"] for n in range(2)]
    chance = Random(7)

    async def fidget(person: Person) -> int:
        last = 0
        for _ in range(12):
            emoji, method = chance.choice((THUMB, HEART, PARTY)), chance.choice(("PUT", "PUT", "DELETE"))
            last = max(last, await react(person, chance.choice(said), emoji, method=method))
        return last

    last = max(await asyncio.gather(*map(fidget, people)))
    events: list[Any] = [each.event for each in await hansard.services.record.after(0, limit=1_000)]
    counts: Counter[tuple[str, str]] = Counter()
    for event in events:
        if isinstance(event, (ReactionAdded, ReactionRemoved)):
            counts[str(event.message_id), event.emoji] += 1 if isinstance(event, ReactionAdded) else -1
            assert event.count == counts[str(event.message_id), event.emoji]
    for message_id in said:
        found = {emoji: count for emoji, count, _ in await shown(people[0], room_id, message_id, last)}
        assert found == {emoji: n for (of, emoji), n in counts.items() if of == message_id and n}
        reactors = (await people[0].ask("GET", f"/messages/{message_id}/reactions", 200))["items"]
        assert Counter(each["emoji"] for each in reactors) == found
