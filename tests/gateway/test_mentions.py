"""Mentions: who is mentioned, what that changes later (nothing), and that counts are those of the record."""

from collections.abc import AsyncIterator
from random import Random
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from domain.bounds import MENTION_ROOM_MEMBERS_MAX
from domain.message import MessageDeleted, MessagePosted
from tests.deployments import Gateway, Person, deployment
from tests.lines import line


@pytest.fixture
async def hansard(database_url: str, redis_url: str) -> AsyncIterator[Gateway]:
    async with deployment(database_url, redis_url) as made:
        yield made


async def counts(person: Person, room_id: str, position: int) -> tuple[int, int]:
    """Return how many messages are unread and how many of them mention one, in the list and alone alike."""
    listed = await person.ask("GET", "/rooms", 200, headers={"Hansard-After": str(position)})
    [found] = [room for room in listed["items"] if room["id"] == room_id]
    alone = await person.ask("GET", f"/rooms/{room_id}", 200)
    assert (found["unread"], found["mention_count"]) == (alone["unread"], alone["mention_count"])
    return found["unread"], found["mention_count"]


async def test_a_name_is_an_id_from_the_posting_on(hansard: Gateway) -> None:
    ada, ben, cyd = await hansard.person("ada"), await hansard.person("ben"), await hansard.person("cyd")
    room_id = await ada.room(ben)
    async with line(hansard, ben, room_id) as his:
        await his.until("live")
        said = await ada.say(room_id, "@BEN, @ben. and @cyd and @nobody and @ada: see `@ben`")
        [told] = await his.events(1)
    assert said["mentions"] == told["data"]["mentions"] == [ben.id], "members but oneself"
    assert (await ada.say(room_id, "`@ben`"))["mentions"] == []
    await ben.ask("PUT", "/users/me", 200, json={"username": "benjamin"})
    last = await ada.say(room_id, "@ben")
    assert last["mentions"] == [], "this name is nobody's any more"
    found = await ben.ask("GET", f"/messages/{said['id']}", 200, headers={"Hansard-After": str(last["position"])})
    assert found["mentions"] == [ben.id]
    assert await counts(ben, room_id, last["position"]) == (3, 1)
    edited = await ada.http.patch(f"/messages/{last['id']}", json={"content": "@benjamin"})
    assert await counts(ben, room_id, int(edited.headers["Hansard-Position"])) == (3, 1), "an edit mentions nobody"
    gone = await ada.http.delete(f"/messages/{said['id']}")
    assert await counts(ben, room_id, int(gone.headers["Hansard-Position"])) == (2, 0)
    assert (await ben.ask("GET", f"/messages/{said['id']}", 200))["mentions"] == []
    assert (await cyd.ask("GET", f"/rooms/{room_id}", 200))["mention_count"] is None


async def test_everybody_is_mentioned_by_owners_and_admins_and_in_small_rooms_by_anybody(
    hansard: Gateway, database_url: str
) -> None:
    ada, ben, cyd = [await hansard.person() for _ in range(3)]
    room_id = await ada.room(ben)
    assert (await ada.say(room_id, "@room"))["mentions_room"] == "room"
    assert (await ada.say(room_id, "@here, lunch"))["mentions_room"] == "here"
    await ben.ask("GET", f"/rooms/{room_id}", 200)  # it is small by the tables, which may be behind
    assert (await ben.say(room_id, "@room"))["mentions_room"] == "room"
    await have_members(database_url, room_id, MENTION_ROOM_MEMBERS_MAX)
    assert (await ben.say(room_id, "@here"))["mentions_room"] == "here"
    await ben.ask("PUT", f"/rooms/{room_id}/read", 204, json={"position": 2**63 - 1})
    await have_members(database_url, room_id, MENTION_ROOM_MEMBERS_MAX + 1)
    by_member = await ben.say(room_id, "@room")
    assert by_member.get("mentions_room") is None, "posted, and told by its absence"
    await ada.say(room_id, "@ROOM!")
    await ada.say(room_id, "@here")
    last = await ada.say(room_id, f"@room @{ben.username}")
    assert await counts(ben, room_id, last["position"]) == (3, 3), "once, however often"
    assert await counts(ada, room_id, last["position"]) == (3, 2)
    await ben.ask("PUT", f"/rooms/{room_id}/read", 204, json={"position": last["position"]})
    assert await counts(ben, room_id, last["position"]) == (0, 0)
    direct = await ben.ask("POST", "/direct", 201, json={"user_ids": [cyd.id]})
    assert (await ben.say(direct["id"], "@room"))["mentions_room"] == "room"


async def have_members(database_url: str, room_id: str, count: int) -> None:
    """Have the read table say that so many are in a room: the size that decides is the one it says."""
    db = await asyncpg.connect(database_url)
    await db.execute("UPDATE read.rooms SET member_count = $2 WHERE id = $1", UUID(room_id), count)
    await db.close()


async def test_who_is_blocked_mentions_nobody_who_blocked_them(hansard: Gateway) -> None:
    ada, ben = await hansard.person(), await hansard.person()
    room_id = await ada.room(ben)
    await ben.ask("PUT", f"/users/me/blocks/{ada.id}", 204)
    assert (await ada.say(room_id, f"@{ben.username}"))["mentions"] == []
    await ben.ask("DELETE", f"/users/me/blocks/{ada.id}", 204)
    assert (await ada.say(room_id, f"@{ben.username}"))["mentions"] == [ben.id]


async def test_what_came_before_ones_joining_is_not_new(hansard: Gateway) -> None:
    ada, ben = await hansard.person(), await hansard.person()
    room_id = await ada.room()
    await ada.say(room_id, "@room")
    await ben.ask("POST", f"/rooms/{room_id}/join", 200)
    said = await ada.say(room_id, "plain")
    assert await counts(ben, room_id, said["position"]) == (1, 0)
    said = await ada.say(room_id, "@here")
    assert await counts(ben, room_id, said["position"]) == (2, 1)


async def test_counts_are_those_of_the_record(hansard: Gateway) -> None:
    people = [await hansard.person() for _ in range(3)]
    ada, *_ = people
    room_id = await ada.room(*people[1:])
    chance, mine, last = Random(3), [], 0
    for _ in range(25):
        who, whom = chance.choice(people), chance.choice(people)
        said = await who.say(room_id, chance.choice((f"hey @{whom.username}", "hey", "@here", f"`@{whom.username}`")))
        mine.append((who, said["id"]))
        last = said["position"]
        if chance.random() < 0.2:
            by, message_id = mine.pop(chance.randrange(len(mine)))
            last = int((await by.http.delete(f"/messages/{message_id}")).headers["Hansard-Position"])
    events: list[Any] = list(await hansard.services.record.after(0, limit=1_000))
    deleted = {each.event.message_id for each in events if isinstance(each.event, MessageDeleted)}
    for person in people:
        theirs = [
            each.event for each in events
            if isinstance(each.event, MessagePosted) and str(each.event.sender_id) != person.id
            and each.event.message_id not in deleted
        ]  # fmt: skip
        naming = [e for e in theirs if e.mentions_room or person.id in map(str, e.mentions)]
        assert naming and await counts(person, room_id, last) == (len(theirs), len(naming))
