"""Read marks: whoever marks a room as read sees it so at once, on each of their devices and through each gateway, while
the record gets at most one mark in five seconds."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from uuid import UUID

import asyncpg
import pytest

from adapters.clock import monotonic
from adapters.redis.cluster_state import ClusterState
from domain.bounds import READ_MARK_SECONDS
from domain.reading import READING
from tests.deployments import Gateway, Person, deployment, gateway, until
from tests.lines import line


@pytest.fixture
async def gateways(database_url: str, redis_url: str) -> AsyncIterator[tuple[Gateway, Gateway]]:
    async with AsyncExitStack() as stack:
        here = await stack.enter_async_context(deployment(database_url, redis_url))
        yield here, await stack.enter_async_context(gateway(database_url, redis_url))


async def seen(person: Person, room_id: str, after: int) -> set[tuple[int | None, int | None]]:
    """Return what a room and the list of rooms say of reading: they are to say the same."""
    headers = {"Hansard-After": str(after)}
    room = await person.ask("GET", f"/rooms/{room_id}", 200, headers=headers)
    [listed] = (await person.ask("GET", "/rooms", 200, headers=headers))["items"]
    return {(each["unread"], each["read_position"]) for each in (room, listed)}


@pytest.mark.parametrize("by", ["http", "socket"])
async def test_a_mark_is_seen_at_once_on_every_device_and_recorded_once(
    gateways: tuple[Gateway, Gateway], by: str
) -> None:
    here, there = gateways
    ada, ben = await here.person(), await here.person()
    room_id = await ada.room(ben)
    places = [(await ada.say(room_id, f"m{i}"))["position"] for i in range(4)]
    elsewhere = Person(there.client(ben.token), ben.tokens)
    began = monotonic()
    async with line(here, ben, room_id) as device:
        for number, place in enumerate(places, 1):
            if by == "http":
                await ben.ask("PUT", f"/rooms/{room_id}/read", 204, json={"position": place})
            else:
                assert (await device.ask("read", room_id=room_id, position=place))["ok"]
            for each in (ben, elsewhere):
                assert await seen(each, room_id, places[-1]) == {(4 - number, place)}
    # A mark goes forward only, wherever it is made, and is nobody else's.
    await elsewhere.ask("PUT", f"/rooms/{room_id}/read", 204, json={"position": places[0]})
    for each in (ben, elsewhere):
        assert await seen(each, room_id, places[-1]) == {(0, places[-1])}
    assert await seen(ada, room_id, places[-1]) == {(0, 0)}
    marks = await here.services.command_bus.see(READING, UUID(room_id), UUID(ben.id))
    assert marks.version <= 1 + (monotonic() - began) / READ_MARK_SECONDS
    # What was posted since was read by nobody.
    last = (await ada.say(room_id, "new"))["position"]
    assert await seen(ben, room_id, last) == {(1, places[-1])}


async def test_a_mark_is_seen_at_once_where_redis_is_away(database_url: str, redis_url: str) -> None:
    async with deployment(database_url, redis_url) as here:
        ada, ben = await here.person(), await here.person()
        room_id = await ada.room(ben)
        places = [(await ada.say(room_id, f"m{i}"))["position"] for i in range(3)]
        here.services.marks._cluster_state = ClusterState.open("redis://127.0.0.1:1", here.services.record_id, "away")
        for number, place in enumerate(places, 1):
            await ben.ask("PUT", f"/rooms/{room_id}/read", 204, json={"position": place})
            assert await seen(ben, room_id, places[-1]) == {(3 - number, place)}


async def test_a_recorded_mark_is_seen_at_once_though_the_read_tables_lag(
    gateways: tuple[Gateway, Gateway], database_url: str
) -> None:
    here, there = gateways
    ada, ben = await here.person(), await here.person()
    room_id = await ada.room(ben)
    place = (await ada.say(room_id, "m"))["position"]
    elsewhere = Person(there.client(ben.token), ben.tokens)
    assert await seen(ben, room_id, place) == {(1, 0)}
    lagging = await asyncpg.connect(database_url)
    try:
        async with lagging.transaction():
            await lagging.execute("LOCK TABLE read.room_members IN EXCLUSIVE MODE")
            await ben.ask("PUT", f"/rooms/{room_id}/read", 204, json={"position": place})
            assert (await here.services.command_bus.see(READING, UUID(room_id), UUID(ben.id))).version == 1
            for each in (ben, elsewhere):
                assert await seen(each, room_id, place) == {(0, place)}
    finally:
        await lagging.close()


async def test_a_mark_of_somebody_who_left_shows_nothing(gateways: tuple[Gateway, Gateway]) -> None:
    here, _ = gateways
    ada, ben = await here.person(), await here.person()
    room_id = await ada.room(ben)
    places = [(await ada.say(room_id, f"m{i}"))["position"] for i in range(2)]
    for place in places:
        await ben.ask("PUT", f"/rooms/{room_id}/read", 204, json={"position": place})
    left = await ben.http.post(f"/rooms/{room_id}/leave")
    assert await seen(ben, room_id, int(left.headers["Hansard-Position"])) == {(None, None)}

    async def recorded() -> bool:
        return (await here.services.command_bus.see(READING, UUID(room_id), UUID(ben.id))).version == 1

    await until(recorded)
