"""Threads: where replies are shown, what roots and rooms count of them, who follows, and that counts are those of the record."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from random import Random
from typing import Any
from uuid import UUID, uuid4

import pytest

from commands.message import PostMessage
from domain.events import Caller
from domain.ids import MessageId, RoomId, UserId
from domain.message import MessageDeleted, MessagePosted
from domain.thread import ThreadReplied, ThreadReplyDeleted
from projections.message_pages import PAGE_TEXT_BYTES_MAX
from tests.deployments import Gateway, Person, deployment
from tests.lines import line


@pytest.fixture
async def hansard(database_url: str, redis_url: str) -> AsyncIterator[Gateway]:
    async with deployment(database_url, redis_url) as made:
        yield made


async def do(person: Person, method: str, path: str, status: int = 204, **options: Any) -> str:
    """Ask for a change; answers the position."""
    answer = await person.http.request(method, path, **options)
    assert answer.status_code == status, answer.text
    return str(answer.headers["Hansard-Position"])


async def thread_of(person: Person, message_id: str, position: str | int) -> dict[str, Any]:
    """Return the thread of a message as somebody reads it, alone and in the page of the room alike."""
    message = await person.ask("GET", f"/messages/{message_id}", 200, headers={"Hansard-After": str(position)})
    page = await person.ask("GET", f"/rooms/{message['room_id']}/messages?around={message['position']}", 200)
    assert [each.get("thread") for each in page["items"] if each["id"] == message_id] == [message.get("thread")]
    return dict(message["thread"])


async def replies(person: Person, message_id: str, position: str | int) -> list[str]:
    page = await person.ask("GET", f"/messages/{message_id}/thread", 200, headers={"Hansard-After": str(position)})
    assert page["next_cursor"] is None and all(each["thread_id"] == message_id for each in page["items"])
    return [each["content"] for each in page["items"]]


async def timeline(person: Person, room_id: str, position: str | int) -> list[str]:
    page = await person.ask("GET", f"/rooms/{room_id}/messages", 200, headers={"Hansard-After": str(position)})
    return [each["content"] for each in page["items"] if each["message_type"] == "text"]


async def test_a_reply_is_in_its_thread_and_the_root_says_what_everybody_hears(hansard: Gateway) -> None:
    ada, ben = await hansard.person(), await hansard.person()
    room_id = await ada.room(ben)
    root = await ada.say(room_id, "root")
    assert root.get("thread_id") is root.get("in_room") is root.get("thread") is None
    async with line(hansard, ada, room_id) as hers, line(hansard, ben) as his:
        await hers.until("live")
        one = await ben.say(room_id, "one", thread_id=root["id"])
        sent = await his.ask("send", room_id=room_id, content="two", thread_id=root["id"], in_room=True)
        two = await ben.ask(
            "GET", f"/messages/{sent['message_id']}", 200, headers={"Hansard-After": str(sent["position"])}
        )
        told = await hers.events(4)
    assert [(each["event"], each["data"].get("thread_id")) for each in told] == [
        ("message.posted", root["id"]), ("thread.replied", root["id"]),
        ("message.posted", root["id"]), ("thread.replied", root["id"]),
    ]  # fmt: skip
    assert [each["prev"] for each in told[1:]] == [each["position"] for each in told[:-1]]
    assert [told[n]["data"]["in_room"] for n in (0, 2)] == [one["in_room"], two["in_room"]] == [False, True]
    last = told[-1]["data"]
    assert (last["message_id"], last["user_id"], last["posted_position"]) == (two["id"], ben.id, root["position"])
    assert last["thread"] == {
        "reply_count": 2, "last_reply_at": two["created_at"], "participants": [ben.id], "participant_count": 1,
    }  # fmt: skip
    shown = await thread_of(ada, root["id"], told[-1]["position"])
    assert {name: shown[name] for name in last["thread"]} == last["thread"], "what is read is what was told"
    assert await replies(ada, root["id"], told[-1]["position"]) == ["one", "two"]
    assert await timeline(ada, room_id, told[-1]["position"]) == ["two", "root"]
    around = await ada.ask("GET", f"/rooms/{room_id}/messages?around={one['position']}", 200)
    after = await ada.ask("GET", f"/rooms/{room_id}/messages?after={root['position']}&render=html", 200)
    assert "one" not in [each["content"] for each in (*around["items"], *after["items"])]
    edited = await ben.ask("PATCH", f"/messages/{one['id']}", 200, json={"content": "1"})
    assert (edited["thread_id"], edited["in_room"]) == (root["id"], False)


async def test_a_room_counts_what_it_shows(hansard: Gateway) -> None:
    ada, ben = await hansard.person(), await hansard.person()
    quiet, room_id = await ada.room(ben, name="Quiet"), await ada.room(ben, name="Loud")
    root = await ada.say(room_id, "root")
    await ada.say(quiet, "the last word")
    await ada.say(room_id, f"@{ben.username} aside", thread_id=root["id"])
    position = (await ada.say(room_id, "@room aside", thread_id=root["id"]))["position"]

    async def rooms() -> list[tuple[str, str, int, int]]:
        listed = await ben.ask("GET", "/rooms?joined=true", 200, headers={"Hansard-After": str(position + 9)})
        for each in listed["items"]:
            assert await ben.ask("GET", f"/rooms/{each['id']}", 200) == each
        return [
            (each["name"], each["last_message"]["content"], each["unread"], each["mention_count"])
            for each in listed["items"]
        ]

    position = int(await do(ben, "PUT", f"/messages/{root['id']}/thread/follow")) - 9
    assert await rooms() == [("Quiet", "the last word", 1, 0), ("Loud", "root", 1, 0)]
    aloud = await ada.say(room_id, "@room aloud", thread_id=root["id"], in_room=True)
    position = int(await do(ben, "PUT", f"/messages/{root['id']}/reactions/%F0%9F%91%8D")) - 9
    assert await rooms() == [("Loud", "@room aloud", 2, 1), ("Quiet", "the last word", 1, 0)]
    position = int(await do(ben, "PUT", f"/messages/{aloud['id']}/reactions/%F0%9F%91%8D")) - 9
    await rooms()
    last = (await ben.ask("GET", f"/rooms/{room_id}", 200))["last_message"]
    assert last == await ben.ask("GET", f"/messages/{last['id']}", 200), "a message is a message"
    assert (last["mentions_room"], last["reactions"]) == ("room", [{"emoji": "👍", "count": 1, "me": True}])


async def test_whom_a_thread_concerns_follows_it_and_reads_how_much_is_new(hansard: Gateway) -> None:
    ada, ben, cyd, dan, eve = [await hansard.person() for _ in range(5)]
    room_id = await ada.room(ben, cyd, dan)
    root = await ada.say(room_id, f"root @{dan.username}")
    async with line(hansard, ada) as hers, line(hansard, cyd) as his:
        await hers.until("hello")
        await his.until("hello")
        first = await ben.say(room_id, f"one @{cyd.username} @{eve.username}", thread_id=root["id"])
        own = [await each.until("event", event="thread.followed") for each in (hers, his)]
        last = await cyd.say(room_id, "two", thread_id=root["id"])
        position = await do(cyd, "PUT", f"/messages/{root['id']}/thread/read", json={"position": last["position"]})
        marked = await his.until("event", event="thread.read")
    assert [(each["event"], each["data"]["user_id"], each["data"]["cause"], each["data"]["since"]) for each in own] == [
        ("thread.followed", ada.id, "author", 0), ("thread.followed", cyd.id, "mention", 0),
    ]  # fmt: skip
    assert (marked["data"]["thread_id"], marked["data"]["position"]) == (root["id"], last["position"])
    mine = {}
    for person in (ada, ben, cyd, dan, eve):
        shown = await thread_of(person, root["id"], position)
        assert (shown["reply_count"], shown["participants"]) == (2, [ben.id, cyd.id])
        mine[person.id] = (shown["following"], shown.get("unread"))
    assert mine == {
        ada.id: (True, 2), ben.id: (True, 1), cyd.id: (True, 0), dan.id: (True, 2), eve.id: (False, None),
    }, "one's own replies are not new"  # fmt: skip
    await do(ada, "PUT", f"/messages/{root['id']}/thread/read", json={"position": first["position"]})
    position = await do(cyd, "DELETE", f"/messages/{last['id']}", 200)
    assert (await thread_of(ada, root["id"], position))["unread"] == 0, "a deleted one is not either"


async def test_who_takes_it_back_is_not_made_to_follow_again_by_others(hansard: Gateway) -> None:
    ada, ben = await hansard.person(), await hansard.person()
    room_id = await ada.room(ben)
    root = await ada.say(room_id, "root")
    position = await do(ben, "PUT", f"/messages/{root['id']}/thread/follow")
    shown = await thread_of(ben, root["id"], position)
    assert (shown["reply_count"], shown["following"], shown["unread"]) == (0, True, 0)
    assert (await ada.ask("GET", f"/messages/{root['id']}", 200)).get("thread") is None
    await do(ada, "DELETE", f"/messages/{root['id']}/thread/follow")
    await do(ben, "DELETE", f"/messages/{root['id']}/thread/follow")
    said = await ben.say(room_id, f"@{ada.username}", thread_id=root["id"])
    shown = await thread_of(ada, root["id"], said["position"] + 1)
    assert shown["following"] is False and "unread" not in shown
    position = await do(ada, "PUT", f"/messages/{root['id']}/thread/follow")
    assert (await thread_of(ada, root["id"], position))["unread"] == 0, "what came before is not new"
    again = await ben.say(room_id, "again", thread_id=root["id"])
    assert (await thread_of(ada, root["id"], again["position"] + 1))["unread"] == 1
    position = await do(ben, "POST", f"/rooms/{room_id}/leave")
    assert len(await replies(ben, root["id"], position)) == 2, "whoever may read the room may read its threads"
    assert (await thread_of(ben, root["id"], position))["following"] is False, "only members follow"


async def test_only_what_one_may_read_and_is_no_reply_is_a_root(hansard: Gateway) -> None:
    ada, ben = await hansard.person(), await hansard.person()
    room_id, other = await ada.room(), await ada.room()
    await ada.ask("PATCH", f"/rooms/{room_id}", 200, json={"history": "joined"})
    old = await ada.say(room_id, "of before")
    await ben.ask("POST", f"/rooms/{room_id}/join", 200)
    root = await ada.say(room_id, "root")
    reply = await ada.say(room_id, "reply", thread_id=root["id"])
    elsewhere = await ada.say(other, "elsewhere")
    page = await ben.ask(
        "GET", f"/rooms/{room_id}/messages", 200, headers={"Hansard-After": str(elsewhere["position"])}
    )
    [system] = [each for each in page["items"] if each["message_type"] == "system"]
    for of in (old["id"], reply["id"], elsewhere["id"], system["id"], str(uuid4())):
        body = {"content": "x", "thread_id": of}
        refusal = await ben.ask("POST", f"/rooms/{room_id}/messages", 422, json=body)
        assert (refusal["code"], refusal["errors"][0]["pointer"]) == ("thread.not_a_root", "/thread_id")
        async with line(hansard, ben) as his:
            assert (await his.ask("send", room_id=room_id, **body))["error"]["code"] == "thread.not_a_root"
    for message_id, code, system_code in (
        (reply["id"], "thread.not_a_root", "thread.not_a_root"), (system["id"], "thread.not_a_root", "message.system"),
        (old["id"], "message.not_found", "message.not_found"), (str(uuid4()), "message.not_found", "message.not_found"),
    ):  # fmt: skip
        answer = await ben.http.get(f"/messages/{message_id}/thread")
        assert answer.json()["code"] == code
        for method, path in (("PUT", "follow"), ("DELETE", "follow"), ("PUT", "read")):
            answer = await ben.http.request(method, f"/messages/{message_id}/thread/{path}", json={"position": 1})
            assert answer.json()["code"] == system_code, (method, path)


async def test_of_threads_of_before_ones_joining_only_what_came_since_is_told(hansard: Gateway) -> None:
    ada, ben, cyd = [await hansard.person() for _ in range(3)]
    room_id = await ada.room(cyd)
    await ada.ask("PATCH", f"/rooms/{room_id}", 200, json={"history": "joined"})
    old = await ada.say(room_id, "of before")
    await ben.ask("POST", f"/rooms/{room_id}/join", 200)
    async with line(hansard, ben, room_id) as his:
        await his.until("live")
        aside = await cyd.say(room_id, f"@{ben.username}", thread_id=old["id"])
        aloud = await cyd.say(room_id, "aloud", thread_id=old["id"], in_room=True)
        position = await do(cyd, "DELETE", f"/messages/{aside['id']}", 200)
        new = await ada.say(room_id, "of now")
        live = await his.events(4)
    async with line(hansard, ben, room_id, "?after=0") as his:  # so far back that the record is read
        joined, *replayed = await his.events(5)
    assert joined["event"] == "member.joined"
    for told in (live, replayed):
        assert [(each["event"], each["data"]["id"]) for each in told] == [
            ("message.posted", aside["id"]), ("message.posted", aloud["id"]), ("message.deleted", aside["id"]),
            ("message.posted", new["id"]),
        ], "no count of a root that they cannot see"  # fmt: skip
        assert [each["prev"] for each in told[1:]] == [each["position"] for each in told[:-1]]
    assert await timeline(ben, room_id, position) == ["of now", "aloud"]
    page = await ben.ask("GET", f"/messages/{old['id']}/thread", 404)
    assert page["code"] == "message.not_found"
    assert (await thread_of(cyd, old["id"], position))["reply_count"] == 1
    events = [each.event for each in await hansard.services.record.after(0, limit=1_000)]
    assert not [each for each in events if each.topic == "thread.followed" and str(each.user_id) == ben.id]  # type: ignore[attr-defined]


async def test_a_thread_outlives_its_root_and_counts_what_is_left(hansard: Gateway) -> None:
    ada, ben = await hansard.person(), await hansard.person()
    room_id = await ada.room(ben)
    root, lonely = await ada.say(room_id, "root"), await ada.say(room_id, "lonely")
    one = await ben.say(room_id, "one", thread_id=root["id"])
    for message in (root, lonely):
        await do(ada, "DELETE", f"/messages/{message['id']}", 200)
    body = {"content": "x", "thread_id": lonely["id"]}
    assert (await ben.ask("POST", f"/rooms/{room_id}/messages", 409, json=body))["code"] == "message.deleted"
    two = await ada.say(room_id, "two", thread_id=root["id"])
    shown = await thread_of(ben, root["id"], two["position"] + 1)
    assert (shown["reply_count"], shown["participants"]) == (2, [ben.id, ada.id])
    async with line(hansard, ben, room_id) as his:
        await his.until("live")
        for person, message in ((ada, two), (ben, one), (ben, one)):
            position = await do(person, "DELETE", f"/messages/{message['id']}", 200)
        told = await his.events(4)
    assert [each["event"] for each in told] == ["message.deleted", "thread.reply_deleted"] * 2
    assert (told[0]["data"]["thread_id"], told[0]["data"]["in_room"]) == (root["id"], False)
    assert told[1]["data"]["thread"] == {
        "reply_count": 1, "last_reply_at": two["created_at"], "participants": [ben.id], "participant_count": 1,
    }  # fmt: skip
    nobody: dict[str, Any] = {"reply_count": 0, "last_reply_at": None, "participants": [], "participant_count": 0}
    assert told[3]["data"]["thread"] == nobody
    shown = await thread_of(ada, root["id"], position)
    assert {name: shown[name] for name in nobody} == nobody
    assert await replies(ada, root["id"], position) == ["", ""], "tombstones, as in the room"


async def test_pages_of_replies_go_on_where_the_last_one_ended_and_are_bounded_by_bytes(hansard: Gateway) -> None:
    ada = await hansard.person()
    room_id = await ada.room()
    root = await ada.say(room_id, "root")
    long, count = "long " * 2_000, 130
    caller, run = Caller(user_id=UserId(UUID(ada.id))), hansard.services.command_bus.do
    room, thread_id = RoomId(UUID(room_id)), MessageId(UUID(root["id"]))
    for n in range(count):
        command = PostMessage(room, MessageId(uuid4()), f"{n} {long}"[:10_000], thread_id=thread_id)
        position = (await run(command, caller)).position
    for query in ("limit=200", "limit=200&render=html", "limit=50"):
        found: list[dict[str, Any]] = []
        cursor, pages = "", 0
        while cursor is not None:
            page = await ada.ask(
                "GET", f"/messages/{root['id']}/thread?{query}{cursor}", 200, headers={"Hansard-After": str(position)}
            )
            assert sum(len(each["content"]) for each in page["items"]) <= PAGE_TEXT_BYTES_MAX
            found, pages = [*found, *page["items"]], pages + 1
            cursor = page["next_cursor"] and f"&cursor={page['next_cursor']}"
        assert [each["content"].split()[0] for each in found] == [str(n) for n in range(count)]
        assert pages >= 2 and all(("html" in each) == ("html" in query) for each in found)


async def test_threads_of_archived_and_direct_rooms(hansard: Gateway) -> None:
    ada, ben = await hansard.person(), await hansard.person()
    room_id = await ada.room(ben)
    root = await ada.say(room_id, "root")
    await ben.say(room_id, "reply", thread_id=root["id"])
    await do(ada, "DELETE", f"/rooms/{room_id}")
    body = {"content": "late", "thread_id": root["id"]}
    assert (await ben.ask("POST", f"/rooms/{room_id}/messages", 409, json=body))["code"] == "room.archived"
    position = await do(ada, "PUT", f"/messages/{root['id']}/thread/read", json={"position": 2**62})
    assert (await thread_of(ada, root["id"], position))["unread"] == 0
    await do(ada, "DELETE", f"/messages/{root['id']}/thread/follow")
    direct = await ben.ask("POST", "/direct", 201, json={"user_ids": [ada.id]})
    root = await ben.say(direct["id"], "root")
    said = await ada.say(direct["id"], "reply", thread_id=root["id"])
    assert (await thread_of(ben, root["id"], said["position"] + 1))["unread"] == 1
    await ada.ask("PUT", f"/users/me/blocks/{ben.id}", 204)
    body = {"content": "psst", "thread_id": root["id"]}
    assert (await ben.ask("POST", f"/rooms/{direct['id']}/messages", 403, json=body))["code"] == "direct.blocked"


async def test_however_many_reply_at_once_counts_are_those_of_the_record(hansard: Gateway) -> None:
    people = [await hansard.person() for _ in range(4)]
    room_id = await people[0].room(*people[1:])
    roots = [await people[0].say(room_id, f"root {n}") for n in range(2)]
    chance = Random(11)

    async def talk(person: Person) -> None:
        mine: list[str] = []
        for n in range(10):
            if mine and chance.random() < 0.3:
                await do(person, "DELETE", f"/messages/{mine.pop()}", 200)
            else:
                body = {"thread_id": chance.choice(roots)["id"], "in_room": chance.random() < 0.3}
                said = await person.say(room_id, f"{n} @{chance.choice(people).username}", **body)
                mine.append(said["id"])

    await asyncio.gather(*map(talk, people))
    events = [each.event for each in await hansard.services.record.after(0, limit=1_000)]
    deleted = {each.message_id for each in events if isinstance(each, MessageDeleted)}
    posted = [each for each in events if isinstance(each, MessagePosted)]
    head = (await hansard.services.record.head()).position
    for root in roots:
        of_root = [each for each in posted if str(each.thread_id) == root["id"]]
        left = [each for each in of_root if each.message_id not in deleted]
        counts: Counter[str] = Counter()
        for event in events:
            if isinstance(event, (ThreadReplied, ThreadReplyDeleted)) and str(event.thread_id) == root["id"]:
                counts[root["id"]] += 1 if isinstance(event, ThreadReplied) else -1
                assert event.reply_count == counts[root["id"]]
        shown = await thread_of(people[0], root["id"], head)
        assert shown["reply_count"] == len(left) and len(left) > 1
        assert set(shown["participants"]) == {str(each.sender_id) for each in left}
        for person in people:
            unread = (await thread_of(person, root["id"], head)).get("unread")
            if unread is not None and person is people[0]:
                assert unread == sum(str(each.sender_id) != person.id for each in left), "followed from the first on"
    aloud = [each for each in posted if each.in_room is not False and each.message_id not in deleted]
    shown_in_room = [each for each in await timeline(people[0], room_id, head) if each]
    assert sorted(shown_in_room) == sorted(each.content for each in aloud)
    for person in people[1:]:
        room = await person.ask("GET", f"/rooms/{room_id}", 200)
        theirs = [each for each in aloud if str(each.sender_id) != person.id]
        assert room["unread"] == len(theirs)
        assert room["mention_count"] == sum(person.id in map(str, each.mentions) for each in theirs)
