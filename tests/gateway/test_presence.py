"""Who is there and who types: told to the others of a room, over gateways, never recorded, and right again by itself."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import pytest
from redis.asyncio import Redis
from websockets.exceptions import ConnectionClosed

from adapters.clock import monotonic
from adapters.redis.cluster_state import (
    GATEWAY_LEASE_SECONDS,
    ClusterState,
    ClusterStateUnavailableError,
    People,
    PresenceMessage,
    SocketEntry,
)
from adapters.redis.connections import REDIS_CONNECTIONS_MAX
from domain.ids import RecordId, RoomId, UserId, uuid7
from gateway.realtime.room_presence import PRESENCE_GRACE_SECONDS, PRESENCE_PEOPLE_MAX, at_most
from tests.deployments import Gateway, Person, deployment, gateway
from tests.lines import Frame, line


@pytest.fixture
async def hansard(database_url: str, redis_url: str) -> AsyncIterator[Gateway]:
    async with deployment(database_url, redis_url) as made:
        yield made


async def forget(redis_url: str, record: RecordId) -> None:
    """Have Redis forget everything that it holds of a record's roster."""
    redis = Redis.from_url(redis_url)
    async for key in redis.scan_iter(f"hansard:{{{record}}}:*"):
        await redis.delete(key)
    await redis.aclose()


async def test_the_others_of_a_room_hear_who_comes_and_goes_on_any_gateway(
    hansard: Gateway, database_url: str, redis_url: str
) -> None:
    ada, ben = await hansard.person(), await hansard.person()
    room_id = await ada.room(ben)
    async with gateway(database_url, redis_url) as second, line(hansard, ada, room_id) as hers:
        await hers.until("live")
        async with line(second, ben, room_id) as his:
            online = await hers.until("presence")
            assert online == {"type": "presence", "room_id": room_id, "user_id": ben.id, "state": "online"}
            assert (await his.until("presence"))["user_id"] == ada.id  # who was there before is told too
        offline = await hers.until("presence", seconds=PRESENCE_GRACE_SECONDS + 5)
        assert (offline["user_id"], offline["state"]) == (ben.id, "offline")


async def test_who_comes_back_at_once_was_never_away(hansard: Gateway, database_url: str, redis_url: str) -> None:
    ada, ben = await hansard.person(), await hansard.person()
    room_id = await ada.room(ben)
    async with gateway(database_url, redis_url) as second, line(hansard, ada, room_id) as hers:
        async with line(hansard, ben, room_id):
            assert (await hers.until("presence"))["state"] == "online"
        async with line(second, ben, room_id) as his:
            await his.until("presence")
            started = monotonic()
            frames = []
            while monotonic() - started < PRESENCE_GRACE_SECONDS + 1:
                try:
                    frames.append(await hers.frame(seconds=0.5))
                except TimeoutError:
                    continue
            assert [frame for frame in frames if frame["type"] == "presence"] == []


async def test_a_gateway_that_dies_leaves_nobody_online(hansard: Gateway, redis_url: str) -> None:
    """A gateway killed with -9 says nothing any more: its lease ends, and with it all that it said."""
    ada = await hansard.person()
    room_id = await ada.room()
    ghost = UserId(uuid7(1, bytes(10)))
    dying = ClusterState.open(redis_url, hansard.services.record_id, "a gateway that is going to die")
    async with line(hansard, ada, room_id) as hers:
        await hers.until("live")
        await dying.beat()
        people = People(1, frozenset({ghost}))
        room = RoomId(UUID(room_id))
        await dying.publish([(hansard.services.lanes.lane_of(room), PresenceMessage(dying.gateway, room, people))])
        online = await hers.until("presence", seconds=10)
        assert (online["user_id"], online["state"]) == (str(ghost), "online")
        offline = await hers.until("presence", seconds=GATEWAY_LEASE_SECONDS + 5)
        assert (offline["user_id"], offline["state"]) == (str(ghost), "offline")
    await dying.close()


async def test_presence_survives_a_redis_that_forgets_everything(
    hansard: Gateway, database_url: str, redis_url: str
) -> None:
    ada, ben, eve = [await hansard.person() for _ in range(3)]
    room_id = await ada.room(ben, eve)
    async with (
        gateway(database_url, redis_url) as second,
        line(hansard, ada, room_id) as hers,
        line(second, ben, room_id) as his,
    ):
        assert (await hers.until("presence"))["user_id"] == ben.id
        await his.until("presence")
        await forget(redis_url, hansard.services.record_id)
        # Who comes after the loss hears of both: gateways say again what they know.
        async with line(hansard, eve, room_id) as late:
            told = {(await late.until("presence", state="online"))["user_id"] for _ in range(2)}
            assert told == {ada.id, ben.id}


async def test_typing_is_told_to_the_others_and_never_recorded(
    hansard: Gateway, database_url: str, redis_url: str
) -> None:
    ada, ben = await hansard.person(), await hansard.person()
    room_id = await ada.room(ben)
    async with (
        gateway(database_url, redis_url) as second,
        line(hansard, ada, room_id) as hers,
        line(hansard, ada, room_id) as her_phone,
        line(second, ben, room_id) as his,
    ):
        for each in (hers, her_phone, his):
            await each.until("live")
        await hers.until("presence")
        before = (await hansard.services.record.head()).position
        assert (await hers.ask("typing", room_id=room_id))["ok"]
        assert (await hers.ask("typing", room_id=room_id))["ok"]  # again within two seconds: told once
        assert await his.until("typing") == {"type": "typing", "room_id": room_id, "user_id": ada.id}
        await hers.ask("send", room_id=room_id, content="written")
        frames = [await his.frame() for _ in range(1)]
        while frames[-1]["type"] != "event":
            frames.append(await his.frame())
        assert [frame["type"] for frame in frames if frame["type"] == "typing"] == []
        assert (await hansard.services.record.head()).position == before + 1
        seen: list[Frame] = []
        while not seen or seen[-1]["type"] != "event":
            seen.append(await her_phone.frame())
        assert [frame for frame in seen if frame["type"] == "typing"] == []


async def test_who_is_not_subscribed_does_not_type(hansard: Gateway) -> None:
    ada, eve = await hansard.person(), await hansard.person()
    room_id = await ada.room()
    async with line(hansard, eve) as hers:
        reply = await hers.ask("typing", room_id=room_id)
        assert (reply["ok"], reply["error"]["code"]) == (False, "room.not_subscribed")


async def test_one_socket_more_than_a_person_may_hold_is_closed_on_any_gateway(
    database_url: str, redis_url: str
) -> None:
    async with (
        deployment(database_url, redis_url) as hansard,
        gateway(database_url, redis_url, sockets_of_user=3) as first,
        gateway(database_url, redis_url, sockets_of_user=3) as second,
    ):
        ada, ben = await hansard.person(), await hansard.person()
        async with line(first, ada) as one, line(second, ada) as two:
            async with line(second, ada) as three:
                for each in (one, two, three):
                    await each.until("hello")
                async with line(first, ada) as fourth:
                    assert await fourth.closed() == 4414
                async with line(first, ben) as his:
                    await his.until("hello")
            async with asyncio.timeout(20):
                while not await _is_taken_in(first, ada):  # the seat is given back, soon
                    pass


async def _is_taken_in(to: Gateway, person: Person) -> bool:
    try:
        async with line(to, person) as socket:
            return bool((await socket.frame())["type"] == "hello")
    except ConnectionClosed as closed:
        assert closed.rcvd is not None and closed.rcvd.code == 4414
        return False


class TestRoster:
    """Against a real server; every gateway is one more client."""

    @pytest.fixture
    async def rosters(self, redis_url: str) -> AsyncIterator[list[ClusterState]]:
        record = RecordId(uuid7(2, bytes(10)))
        made = [ClusterState.open(redis_url, record, f"g{i}") for i in range(3)]
        yield made
        await forget(redis_url, record)
        for cluster_state in made:
            await cluster_state.close()

    async def test_leases(self, rosters: list[ClusterState]) -> None:
        assert await rosters[0].beat() == (True, frozenset({"g0"}))
        assert await rosters[1].beat() == (True, frozenset({"g0", "g1"}))
        assert await rosters[0].beat() == (False, frozenset({"g0", "g1"}))
        await rosters[1].close()
        assert await rosters[0].beat() == (False, frozenset({"g0"}))

    async def test_seats_are_counted_exactly_however_many_ask_at_once(self, rosters: list[ClusterState]) -> None:
        for cluster_state in rosters:
            await cluster_state.beat()
        taken = [0, 0, 0]

        async def take(i: int) -> bool:
            refused = await rosters[i].report(SocketEntry("user:x", taken[i] + 1, 7))
            taken[i] += refused is None
            return refused is None

        async def take_often(i: int) -> list[bool]:
            return [await take(i) for _ in range(10)]

        outcomes = await asyncio.gather(*(take_often(i) for i in range(3)))
        assert sum(sum(each) for each in outcomes) == 7 == sum(taken)
        assert (
            await rosters[0].report(SocketEntry("address:y", 1, 9), SocketEntry("user:x", taken[0] + 1, 7)) == "user:x"
        )
        assert await rosters[1].report(SocketEntry("address:y", 1, 1)) is None  # of a refusal nothing was kept

    async def test_what_a_dead_gateway_held_is_free(self, rosters: list[ClusterState]) -> None:
        await rosters[0].beat()  # g1 has no lease: it is dead, or was never there
        assert await rosters[1].report(SocketEntry("user:x", 5, 5)) is None
        assert await rosters[0].report(SocketEntry("user:x", 5, 5)) is None

    async def test_a_ticket_is_spent_once(self, rosters: list[ClusterState]) -> None:
        spent = await asyncio.gather(*(cluster_state.spend(b"nonce") for cluster_state in rosters for _ in range(10)))
        assert sum(spent) == 1

    async def test_whispers(self, rosters: list[ClusterState]) -> None:
        room_id, people = RoomId(uuid7(3, bytes(10))), People(1, frozenset({UserId(uuid7(4, bytes(10)))}))
        await rosters[0].listen({3})
        heard: Any = rosters[0].published()
        first: asyncio.Task[PresenceMessage] = asyncio.create_task(anext(heard))
        while not first.done():
            await rosters[1].publish([(3, PresenceMessage("g1", room_id, people))])
            await asyncio.wait({first}, timeout=0.05)
        assert first.result() == PresenceMessage("g1", room_id, people)
        await heard.aclose()
        assert await rosters[2].people([room_id]) == {room_id: {"g1": people}}
        await rosters[1].publish([(3, PresenceMessage("g1", room_id, People(2, frozenset())))])
        assert await rosters[2].people([room_id]) == {room_id: {}}

    async def test_a_crowd_of_calls_is_answered(self, rosters: list[ClusterState]) -> None:
        """They share a few connections; a pool that refused the others made a crowd look like a Redis that is away."""
        await rosters[0].beat()
        answers = await asyncio.gather(
            *(rosters[0].report(SocketEntry(f"user:{i}", 1, 1)) for i in range(4 * REDIS_CONNECTIONS_MAX))
        )
        assert answers == [None] * (4 * REDIS_CONNECTIONS_MAX)

    async def test_a_redis_that_is_away_is_said_to_be(self) -> None:
        cluster_state = ClusterState.open("redis://127.0.0.1:1/0", RecordId(uuid7(5, bytes(10))), "g")
        with pytest.raises(ClusterStateUnavailableError):
            await cluster_state.beat()
        await cluster_state.close()


def test_no_more_people_than_are_told_of_and_those_told_first_stay() -> None:
    people = [UserId(uuid7(i, bytes(10))) for i in range(PRESENCE_PEOPLE_MAX + 100)]
    first = frozenset(people[-50:])
    shown = at_most(frozenset(people), first)
    assert len(shown) == PRESENCE_PEOPLE_MAX and first <= shown
    assert at_most(frozenset(people[:9]), first) == frozenset(people[:9])
