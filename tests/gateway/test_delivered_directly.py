"""A publisher in the same process as the hub: frames come without their lanes, once, and from the lanes again when others publish."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

import pytest
from websockets.exceptions import ConnectionClosed

from adapters.redis.lanes import Entry, Lanes
from domain.ids import RoomId
from gateway.protocol import close_codes
from projections import LIVE, frames
from tests.deployments import gateway, ledger, projector, running
from tests.gateway.test_history import heard
from tests.lines import line
from workers.projector import Follower
from workers.publisher import Publisher

LANES = 16
MESSAGES = 5


class Watched:
    """Reads of a gateway's lanes: where from, and the positions that came."""

    def __init__(self, lanes: Lanes, monkeypatch: Any) -> None:
        self.read, self.places, self.came = lanes.read, frozenset[int](), list[int]()
        self.has_begun = asyncio.Condition()
        monkeypatch.setattr(lanes, "read", self)

    async def __call__(self, places: Mapping[int, str]) -> dict[int, tuple[str, list[Entry]]]:
        async with self.has_begun:
            self.places = frozenset(places)
            self.has_begun.notify_all()
        answer = await self.read(places)
        self.came += [entry.position for _, entries in answer.values() for entry in entries if entry.room_id]
        return answer

    async def until(self, lane: int, *, is_read: bool) -> None:
        async with asyncio.timeout(20), self.has_begun:
            await self.has_begun.wait_for(lambda: (lane in self.places) is is_read)


async def test_frames_come_without_their_lanes_and_from_them_again_when_others_publish(
    database_url: str, redis_url: str, monkeypatch: Any
) -> None:
    async with ledger(database_url) as (db, record, _), gateway(database_url, redis_url) as hansard:
        hub, lanes = hansard.services.hub, Lanes.open(redis_url, hansard.services.record_id, LANES)
        watched, delivered, at_once = Watched(hansard.services.lanes, monkeypatch), list[int](), list[int]()
        is_here, room = [True], RoomId(UUID(int=0))

        def deliver(entries: Sequence[Entry]) -> None:
            if is_here[0]:
                hub.deliver(entries)
                delivered.extend(entry.position for entry in entries if entry.room_id == room)
                at_once.extend(entry.position for entry in entries if _seen(hub, room) == entry.position)

        publisher = Publisher(record, db, lanes, LIVE, deliver=deliver)
        follower = Follower(LIVE, record, db, owner="here", committed=publisher.hand_over, taken=publisher.begin)
        hub.publishes_here(lambda: is_here[0])
        async with running(follower.run(), publisher.run()):
            hansard.has_projector = True
            ada, ben = await hansard.person(), await hansard.person()
            room = RoomId(UUID(await ada.room(ben)))
            async with line(hansard, ben, str(room)) as his:
                await his.until("live")
                lane = lanes.lane_of(room)
                await watched.until(lane, is_read=False)
                said = [(await ada.say(str(room), f"direct {n}"))["position"] for n in range(MESSAGES)]
                events = await heard(f"direct {MESSAGES - 1}", his)
                assert [event["position"] for event in events] == said
                assert delivered[-MESSAGES:] == said and set(at_once) & set(said), "not healed from the record"
                assert not watched.came, "and not read from the lane"

                is_here[0] = False
                await watched.until(lane, is_read=True)
                last = await ada.say(str(room), "by the lane")
                assert [event["position"] for event in await heard("by the lane", his)] == [last["position"]]
                assert not set(watched.came) & set(said), "what was delivered is not read again"
        await lanes.close()


async def test_who_is_logged_out_gets_no_frame_that_is_delivered_with_that(database_url: str, redis_url: str) -> None:
    async with gateway(database_url, redis_url) as hansard, projector(database_url, redis_url):
        hub = hansard.services.hub
        ada, ben = await hansard.person(), await hansard.person()
        room = await ada.room(ben)
        async with line(hansard, ben, room) as his, line(hansard, ada, room) as hers:
            await his.until("live")
            await hers.until("live")
            last = await ada.say(room, "before")
            [event] = await heard("before", his)
            [connection] = [each for each in hub._connections if str(each.access.user_id) == ben.id]
            [recorded] = await hansard.services.record.after(last["position"] - 1, limit=1)
            at = last["position"] + 1
            ended = frames.Control(at + 1, session_ended=connection.access.session_id)
            hub.deliver(
                [
                    Entry(at, RoomId(UUID(room)), at - 1, frames.room_frame(recorded, at - 1), None),
                    Entry(at + 1, None, 0, frames.encode_control(ended), None),
                ]
            )
            assert connection.is_closed
            with pytest.raises(ConnectionClosed) as closed:
                while True:  # who is there may have been on its way
                    assert (await his.frame()).get("position") != at
            assert closed.value.rcvd is not None and closed.value.rcvd.code == close_codes.SESSION_REVOKED
            assert (await heard("before", hers))[0]["position"] == event["position"]
            assert (await hers.events(1))[0]["event"] == "message.posted", "others got it"


def _seen(hub: Any, room_id: RoomId) -> int:
    followed = hub._rooms.by_id.get(room_id)
    return 0 if followed is None else int(followed.seen)
