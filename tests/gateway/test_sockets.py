"""Sockets over real connections: what CONTRACT section 4 promises, with one gateway and with two."""

import asyncio
import json
from collections.abc import AsyncIterator
from uuid import UUID, uuid4

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from tests.deployments import Gateway, Person, deployment, gateway
from tests.lines import a_second, line


@pytest.fixture
async def hansard(database_url: str, redis_url: str) -> AsyncIterator[Gateway]:
    async with deployment(database_url, redis_url) as made:
        yield made


async def test_hello_then_a_send_is_acknowledged_and_told(hansard: Gateway) -> None:
    ada, ben = await hansard.person(), await hansard.person()
    room_id = await ada.room(ben)
    async with line(hansard, ada, room_id) as hers, line(hansard, ben, room_id) as his:
        hello = await hers.frame()
        assert hello["type"] == "hello"
        assert {"connection", "record", "position", "heartbeat_seconds", "session_expires_in"} < hello.keys()
        await hers.until("live")
        await his.until("live")
        reply = await hers.ask("send", room_id=room_id, content="hello")
        assert reply["ok"] and reply["duplicate"] is False
        (event,) = await his.events(1)
        assert (event["event"], event["position"]) == ("message.posted", reply["position"])
        assert event["data"]["content"] == "hello"
        assert event["actor_id"] == ada.id
        stored = await ben.ask("GET", f"/messages/{reply['message_id']}", 200)
        assert stored == {**event["data"], "reactions": [], "pinned": False}


async def test_the_same_send_again_is_a_duplicate(hansard: Gateway) -> None:
    ada = await hansard.person()
    room_id = await ada.room()
    async with line(hansard, ada, room_id) as hers:
        message = {"room_id": room_id, "message_id": str(uuid4()), "content": "once"}
        first = await hers.ask("send", **message)
        again = await hers.ask("send", **message)
        assert (again["ok"], again["duplicate"], again["position"]) == (True, True, first["position"])
        other = await hers.ask("send", **{**message, "content": "twice"})
        assert (other["ok"], other["error"]["code"], other["error"]["status"]) == (False, "message.id_taken", 409)


async def test_two_gateways_deliver_each_others_messages(hansard: Gateway, database_url: str, redis_url: str) -> None:
    ada, ben = await hansard.person(), await hansard.person()
    room_id = await ada.room(ben)
    async with gateway(database_url, redis_url) as second:
        async with line(hansard, ada, room_id) as hers, line(second, ben, room_id) as his:
            await hers.until("live")
            await his.until("live")
            for i in range(10):
                await hers.ask("send", room_id=room_id, content=f"from ada {i}")
                last = await his.ask("send", room_id=room_id, content=f"from ben {i}")
            after = {"Hansard-After": str(last["position"])}
            sent = [f"from {name} {i}" for i in range(10) for name in ("ada", "ben")]
            page = await ada.ask("GET", f"/rooms/{room_id}/messages?limit=20", 200, headers=after)
            assert [message["content"] for message in page["items"]][::-1] == sent
        async with line(second, ada, room_id, "?after=0") as hers, line(hansard, ben, room_id, "?after=0") as his:
            assert await hers.events(22) == await his.events(22)


async def test_live_events_of_two_gateways_come_in_one_order_without_a_gap(
    hansard: Gateway, database_url: str, redis_url: str
) -> None:
    people = [await hansard.person() for _ in range(3)]
    room_id = await people[0].room(*people[1:])
    async with gateway(database_url, redis_url) as second:
        async with line(hansard, people[0], room_id) as one, line(second, people[1], room_id) as two:
            start = (await one.until("live"))["position"]
            assert (await two.until("live"))["position"] == start

            async def talk(to: Gateway, person: Person) -> None:
                async with line(to, person, room_id) as mouth:
                    for i in range(25):
                        assert (await mouth.ask("send", room_id=room_id, content=f"{person.id} {i}"))["ok"]

            async with asyncio.TaskGroup() as group:
                heard_by_one = group.create_task(one.events(75))
                heard_by_two = group.create_task(two.events(75))
                for to, person in ((hansard, people[0]), (second, people[1]), (second, people[2])):
                    group.create_task(talk(to, person))
            assert heard_by_one.result() == heard_by_two.result()
            events = heard_by_one.result()
            assert [event["prev"] for event in events[1:]] == [event["position"] for event in events[:-1]]
            assert events[0]["prev"] <= start


async def test_a_resume_has_everything_after_the_position_and_tombstones_for_what_is_deleted(hansard: Gateway) -> None:
    ada = await hansard.person()
    room_id = await ada.room()
    said = [await ada.say(room_id, f"m{i}") for i in range(5)]
    await ada.ask("PATCH", f"/messages/{said[3]['id']}", 200, json={"content": "edited"})
    gone = await ada.http.delete(f"/messages/{said[2]['id']}")
    position = int(gone.headers["hansard-position"])
    await ada.ask("GET", "/rooms", 200, headers={"Hansard-After": str(position)})
    async with line(hansard, ada, room_id, f"?after={said[0]['position']}") as hers:
        await hers.until("hello")
        events = await hers.events(6)
        await hers.live()
    assert [event["event"] for event in events] == ["message.posted"] * 4 + ["message.edited", "message.deleted"]
    assert events[0]["prev"] == said[0]["position"]
    contents = [event["data"]["content"] for event in events]
    assert contents == ["m1", "", "m3", "m4", "edited", ""]
    assert [event["data"]["deleted"] for event in events] == [False, True, False, False, False, True]


async def test_a_long_resume_comes_in_pages_and_ends_live(hansard: Gateway) -> None:
    ada = await hansard.person()
    room_id = await ada.room()
    async with line(hansard, ada, room_id) as hers:
        for i in range(1_300):
            await hers.send("send", id=i, room_id=room_id, content=str(i))
        replies = 0
        while replies < 1_300:
            replies += (await hers.frame())["type"] == "reply"
    await hansard.settled()
    async with line(hansard, ada, room_id, "?after=0") as hers:
        await hers.until("hello")
        events = await hers.events(1_302)
        assert [event["prev"] for event in events] == [0, *(event["position"] for event in events[:-1])]
        assert {event["data"].get("content") for event in events[2:]} == {str(i) for i in range(1_300)}
        await hers.live()


async def test_a_position_of_another_record_is_reset_and_not_subscribed(hansard: Gateway) -> None:
    ada = await hansard.person()
    room_id = await ada.room()
    async with line(hansard, ada) as hers:
        await hers.ask("subscribe", room_id=room_id, after=10**9)
        assert await hers.until("reset") == {"type": "reset", "room_id": room_id, "reason": "record_changed"}
        await hers.ask("subscribe", room_id=room_id, after=0, record=str(uuid4()))
        await hers.until("reset")
        assert (await hers.ask("subscribe", room_id=room_id, after=0))["ok"]
        assert (await hers.events(1))[0]["position"] > 0


async def test_rooms_of_others_are_refused(hansard: Gateway) -> None:
    ada, eve = await hansard.person(), await hansard.person()
    private, public = await ada.room(is_private=True), await ada.room()
    async with line(hansard, eve) as hers:
        assert (await hers.ask("subscribe", room_id=private))["error"]["code"] == "room.not_found"
        assert (await hers.ask("subscribe", room_id=str(uuid4())))["error"]["code"] == "room.not_found"
        assert (await hers.ask("subscribe", room_id=public))["error"]["code"] == "room.not_a_member"
        assert (await hers.ask("send", room_id=public, content="x"))["error"]["code"] == "room.not_a_member"
    async with line(hansard, eve, private) as hers:
        assert await hers.closed() == 4505


async def test_a_removed_members_feed_ends_with_the_removal(hansard: Gateway) -> None:
    ada, ben = await hansard.person(), await hansard.person()
    room_id = await ada.room(ben)
    async with line(hansard, ben) as many, line(hansard, ben, room_id) as one:
        await many.ask("subscribe", room_id=room_id)
        await many.until("live")
        await one.until("live")
        await ada.say(room_id, "last words")
        await ada.ask("DELETE", f"/rooms/{room_id}/members/{ben.id}", 204)
        await ada.say(room_id, "not for ben")
        told = [event["event"] for event in await many.events(2)]
        assert told == ["message.posted", "member.removed"]
        assert (await many.until("unsubscribed"))["reason"] == "removed"
        assert (await many.ask("send", room_id=room_id, content="hey"))["error"]["code"] == "room.not_a_member"
        assert [event["event"] for event in await one.events(2)] == ["message.posted", "member.removed"]
        assert await one.closed() == 4502


async def test_one_hears_of_oneself_on_every_device(hansard: Gateway) -> None:
    ada, ben = await hansard.person(), await hansard.person()
    async with line(hansard, ben) as his:
        await his.until("hello")
        room_id = await ada.room(ben)
        added = await his.until("event")
        assert (added["event"], added["room_id"], added["prev"]) == ("member.joined", None, None)
        assert added["data"]["room_id"] == room_id and added["data"]["user_id"] == ben.id
        await ben.ask("PUT", "/users/me", 200, json={"username": f"{ben.username}x"})
        changed = await his.until("event", event="account.profile_changed")
        assert changed["data"]["username"] == f"{ben.username}x"


async def test_logout_closes_the_sockets_of_the_session_on_every_gateway(
    hansard: Gateway, database_url: str, redis_url: str
) -> None:
    ada = await hansard.person()
    async with gateway(database_url, redis_url) as second, line(second, ada) as hers:
        await hers.until("hello")
        within = await a_second(second)
        await ada.ask("POST", "/auth/logout", 204)
        async with asyncio.timeout(within):
            assert await hers.closed() == 4501


async def test_a_bad_credential_is_answered_before_the_upgrade(hansard: Gateway) -> None:
    ada = await hansard.person()
    url = f"ws://127.0.0.1:{hansard.port}/api/v1/ws"
    for headers, query, status in (
        ({"Authorization": "Bearer nonsense"}, "", 401),
        ({}, f"?token={ada.token}", 401),
        ({"Authorization": f"Bearer {ada.token}", "Origin": "https://evil.example"}, "", 403),
    ):
        with pytest.raises(InvalidStatus) as refused:
            async with connect(url + query, additional_headers=headers):
                pass
        assert refused.value.response.status_code == status
        assert json.loads(refused.value.response.body or b"")["status"] == status


async def test_the_first_frame_may_authenticate(hansard: Gateway) -> None:
    ada = await hansard.person()
    async with line(hansard, None) as hers:
        assert (await hers.ask("authenticate", token=ada.token))["ok"]
        assert (await hers.frame())["type"] == "hello"
    async with line(hansard, None) as hers:
        await hers.send("ping", id=1)
        assert await hers.closed() == 4401


@pytest.mark.parametrize(
    ("text", "outcome"),
    [
        ("no json", 4500),
        ("[1]", 4500),
        ('"x"', 4500),
        ('{"type":"nonsense"}', 4500),
        ("{" * 100_000, 4500),
        ('{"id":7,"type":"nonsense"}', "field.invalid"),
        ('{"id":7,"type":"send","room_id":"x","content":"y"}', "field.invalid"),
        ('{"id":7,"type":"ping","extra":1}', "field.unknown"),
        (
            '{"id":7,"type":"unsubscribe","room_id":"%s","room_id":"%s"}' % (UUID(int=1), UUID(int=2)),
            "body.duplicate_key",
        ),
        ('{"id":7,"type":"read","room_id":"%s","position":1e999}' % UUID(int=1), "field.invalid"),
        ('{"id":7,"type":"subscribe"}', "field.invalid"),
        ('{"id":7,"type":"authenticate","token":"\\ud83d"}', "field.invalid"),
        ('{"id":7,"type":"subscribe","rooms":{}}', "field.invalid"),
        ('{"id":%s,"type":"ping"}' % 10**30, 4500),
    ],
)
async def test_bad_frames_get_a_reply_or_a_close_code(hansard: Gateway, text: str, outcome: int | str) -> None:
    ada = await hansard.person()
    async with line(hansard, ada) as hers:
        await hers.until("hello")
        await hers.socket.send(text)
        if isinstance(outcome, int):
            assert await hers.closed() == outcome
        else:
            reply = await hers.until("reply", id=7)
            assert (reply["ok"], reply["error"]["code"]) == (False, outcome)


async def test_what_a_text_may_not_hold_is_the_domains_to_say(hansard: Gateway) -> None:
    ada = await hansard.person()
    room_id = await ada.room()
    async with line(hansard, ada, room_id) as hers:
        for content in ("a\x00b", "\x1b[2J", "\x85"):
            reply = await hers.ask("send", room_id=room_id, content=content)
            assert (reply["error"]["code"], reply["error"]["status"]) == ("field.invalid", 422)
            assert "U+00" in reply["error"]["detail"]
        # A number that no client should use is answered nevertheless, and the socket lives on.
        await hers.socket.send('{"id":9007199254740993,"type":"ping"}')
        assert (await hers.until("reply"))["id"] == 9007199254740993
        assert (await hers.ask("send", room_id=room_id, content="still here"))["ok"]


async def test_a_slow_reader_loses_nothing_and_holds_nobody_up(hansard: Gateway) -> None:
    ada, slow = await hansard.person(), await hansard.person()
    room_id = await ada.room(slow)
    # The slow one reads nothing until all is said: its frames are many times what is queued for anybody.
    async with line(hansard, slow, room_id, max_queue=1) as his, line(hansard, ada, room_id) as hers:
        await hers.until("live")
        text = "x" * 8_000
        for i in range(400):
            assert (await hers.ask("send", room_id=room_id, content=f"{i} {text}"))["ok"]
        events = await his.events(400)
    assert [int(event["data"]["content"].split()[0]) for event in events] == list(range(400))
    assert [event["prev"] for event in events[1:]] == [event["position"] for event in events[:-1]]


async def test_a_member_of_a_joined_history_sees_what_came_since_joining(hansard: Gateway) -> None:
    ada, ben = await hansard.person(), await hansard.person()
    room_id = await ada.room()
    await ada.say(room_id, "before ben")
    await ada.ask("PATCH", f"/rooms/{room_id}", 200, json={"history": "joined"})
    joined = await ben.http.post(f"/rooms/{room_id}/join")
    await ada.say(room_id, "with ben")
    async with line(hansard, ben, room_id, "?after=0") as his:
        events = await his.events(2)
    assert [event["event"] for event in events] == ["member.joined", "message.posted"]
    assert [event["prev"] for event in events] == [0, int(joined.headers["hansard-position"])]
    page = await ben.ask("GET", f"/rooms/{room_id}/messages", 200)
    assert [message["content"] for message in page["items"]] == ["with ben", "member.joined"]


async def test_subscribing_to_many_rooms_at_once(hansard: Gateway) -> None:
    ada = await hansard.person()
    rooms = [await ada.room() for _ in range(4)]
    said = [(await ada.say(room_id, "hi"))["position"] for room_id in rooms]
    async with line(hansard, ada) as hers:
        await hers.ask("subscribe", rooms={room_id: said[i] - 1 for i, room_id in enumerate(rooms)})
        heard = {event["room_id"]: event["position"] for event in await hers.events(4)}
    assert heard == dict(zip(rooms, said, strict=True))
    assert UUID(rooms[0])


async def test_who_opened_a_room_first_and_went_away_takes_nobody_along(hansard: Gateway) -> None:
    """Two sockets subscribe to a room that nobody follows yet, and the first one is cut at that moment."""
    ada, ben = await hansard.person(), await hansard.person()
    for _ in range(10):
        room_id = await ada.room(ben)
        async with line(hansard, ada) as hers, line(hansard, ben) as his:
            await hers.until("hello")
            await his.until("hello")
            await hers.send("subscribe", id=1, room_id=room_id)
            await his.send("subscribe", id=1, room_id=room_id)
            hers.socket.transport.abort()
            assert (await his.until("reply", id=1))["ok"]
            await his.until("live")
