"""One event that cannot be read: sockets, replays and pages go on, and operators are told."""

import asyncio
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import httpx
import pytest

from adapters.redis.lanes import CONTROL, Entry
from commands.message import PostMessage
from domain.events import Caller
from domain.ids import MessageId, RoomId, UserId
from projections import checkpoints, parked
from tests.deployments import Gateway, Person, gateway, projector, until
from tests.lines import Frame, line
from tests.poison import SPOILT, spoil


async def posted(hansard: Gateway, room_id: str, who: Person, content: str) -> int:
    """Post at the desk, which waits for no table."""
    command = PostMessage(RoomId(UUID(room_id)), MessageId(uuid4()), content)
    return (await hansard.services.command_bus.do(command, Caller(user_id=UserId(UUID(who.id))))).position


def chain(frames: list[Frame]) -> list[tuple[str, int, int]]:
    return [(frame["event"], frame["position"], frame["prev"]) for frame in frames]


async def ready(hansard: Gateway) -> tuple[int, dict[str, Any]]:
    async with httpx.AsyncClient(base_url=hansard.base) as http:
        answer = await http.get("/readyz")
        return answer.status_code, answer.json()


async def test_a_room_hears_that_something_cannot_be_told_and_all_the_rest(database_url: str, redis_url: str) -> None:
    async with gateway(database_url, redis_url) as hansard:
        async with projector(database_url, redis_url):
            ada, ben = await hansard.person(), await hansard.person()
            room_id = await ada.room(ben)
            first = await ada.say(room_id, "one")
        async with line(hansard, ben, room_id) as his:
            await his.until("live")
            places = [await posted(hansard, room_id, ada, text) for text in ("two", "three", "four")]
            await spoil(database_url, places[1], data=SPOILT["half a box"])
            expected = [
                ("message.posted", places[0], first["position"]),
                ("event.skipped", places[1], places[0]),
                ("message.posted", places[2], places[1]),
            ]
            async with projector(database_url, redis_url):
                live = await his.events(3)
                assert chain(live) == expected
                assert (live[1]["data"], live[1]["room_id"]) == ({}, room_id)
                # From the record the same comes, whoever asks and from wherever.
                for place in (first["position"], places[0]):
                    async with line(hansard, ben, room_id, f"?after={place}") as again:
                        told = await again.events(len(expected) - (place == places[0]))
                        assert chain(told) == expected[(place == places[0]) :]
                        assert (await again.until("live"))["position"] >= places[2]
                page = await ben.ask(
                    "GET", f"/rooms/{room_id}/messages", 200, headers={"Hansard-After": str(places[2])}
                )
                assert [item["content"] for item in page["items"] if item["sender_id"]] == ["four", "two", "one"]
                assert (await ada.say(room_id, "five"))["content"] == "five"
                assert (await parked.counts(hansard.services.db))["live"] == 1
                assert {found.position for found in await parked.listed(hansard.services.db, limit=5)} == {places[1]}
                status, state = await ready(hansard)
                assert (status, state["status"], state["parked_events"]["live"]) == (200, "ready", 1)
                async with httpx.AsyncClient(base_url=hansard.base) as http:
                    figures = (await http.get("/metrics")).text
                assert 'hansard_parked_events{group="live"} 1.0\n' in figures
                assert "hansard_events_skipped_total 1.0\n" in figures
                assert 'hansard_parked_events{group="message_html"} ' in figures


async def test_a_lane_full_of_nonsense_stops_no_hub(database_url: str, redis_url: str) -> None:
    async with gateway(database_url, redis_url) as hansard, projector(database_url, redis_url):
        ada = await hansard.person()
        room_id = await ada.room()
        async with line(hansard, ada, room_id) as hers:
            await hers.until("live")
            lanes, head = hansard.services.lanes, (await hansard.services.record.head()).position
            room_lane = lanes._key(lanes.lane_of(UUID(room_id)))  # type: ignore[arg-type]
            await lanes._redis.xadd(room_lane, {"x": "no frame"}, id=f"{head}-1")
            await lanes._redis.xadd(room_lane, {"f": "{}", "r": "no room"}, id=f"{head}-2")
            for frame in (b"{", b"[1]", b"\xff", b"[" * 20_000):
                await lanes._redis.xadd(lanes._key(CONTROL), {"f": frame}, id=f"{head}-*")
            said = await ada.say(room_id, "hello")
            assert [frame["position"] for frame in await hers.events(1)] == [said["position"]]


async def test_a_projection_that_stands_still_is_told(
    database_url: str, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoints, "STANDS_STILL_SECONDS", 0.5)
    async with gateway(database_url, redis_url) as hansard:
        async with projector(database_url, redis_url):
            ada = await hansard.person()
            room_id = await ada.room()

            async def is_ready() -> bool:
                state = (await ready(hansard))[1]
                return (state["status"], state["projection_lag_events"], "standing_still" in state) == (
                    "ready",
                    0,
                    False,
                )

            await until(is_ready)
        await asyncio.sleep(0)
        assert (await ready(hansard))[0] == 200, "with nothing to do nothing stands still, for however long"
        await posted(hansard, room_id, ada, "one")

        async def stands_still() -> bool:
            return (await ready(hansard))[0] == 503

        await until(stands_still)
        _, state = await ready(hansard)
        assert state["status"] == "not ready"
        assert state["standing_still"]["live"]["lag_events"] == 1
        assert state["standing_still"]["live"]["idle_seconds"] >= 0
        async with projector(database_url, redis_url):
            await until(is_ready)
        # HTML that nobody renders is told, and takes no gateway out of service.
        owner = await asyncpg.connect(database_url)
        await owner.execute(
            "UPDATE read.checkpoints SET position = position - 1, moved_at = moved_at - interval '1 minute' "
            "WHERE name = 'message_html'"
        )
        await owner.close()

        async def html_stands_still() -> bool:
            return "message_html" in (await ready(hansard))[1].get("standing_still", {})

        await until(html_stands_still)
        assert (await ready(hansard))[0] == 200


async def test_entries_of_lanes_are_read_around_what_is_none(database_url: str, redis_url: str) -> None:
    async with gateway(database_url, redis_url) as hansard:
        lanes, room = hansard.services.lanes, RoomId(uuid4())
        lane = lanes.lane_of(room)
        await lanes.publish([Entry(5, room, 0, b"five", None)], published=None)
        await lanes._redis.xadd(lanes._key(lane), {"x": "none"}, id="6-0")
        await lanes.publish([Entry(7, room, 5, b"seven", None)], published=None)
        place, entries = (await lanes.read({lane: "0-0"}))[lane]
        assert ([entry.position for entry in entries], place) == ([5, 7], "7-0")
