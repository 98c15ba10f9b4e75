"""The publisher: what it remembers as told every lane took; who takes the lease begins where that is; another record is noticed."""

import asyncio
import os
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any
from uuid import uuid4

import pytest
from redis.asyncio import Redis

from adapters.clock import now
from adapters.postgres.event_store import PostgresRecord
from adapters.redis.lanes import CONTROL, Entry, Lanes
from domain.bounds import READ_EVENTS_MAX
from domain.events import Event, Recorded
from domain.ids import RecordId, RoomId
from domain.ports.record import RecordReplacedError
from projections import LIVE, checkpoints
from runtime.record_watch import watch_record
from tests.deployments import running
from tests.projections.test_parking import Scene, scene
from tests.projections.test_read_models import entries_of
from workers.projector import Follower
from workers.publisher import Publisher

LANES = 4


class WatchedLanes(Lanes):
    """Lanes that remember what was published through this client."""

    positions: list[int]

    async def publish(
        self, entries: Sequence[Entry], *, published: int | None, forgotten: Sequence[tuple[RoomId | None, int]] = ()
    ) -> frozenset[int]:
        self.positions += [entry.position for entry in entries]
        return await super().publish(entries, published=published, forgotten=forgotten)


@asynccontextmanager
async def lanes_of(here: Scene, redis_url: str) -> AsyncIterator[WatchedLanes]:
    lanes = WatchedLanes.open(redis_url, (await here.record.head()).record, LANES)
    lanes.positions = []
    yield lanes
    await lanes.close()


async def posted_to_every_lane(here: Scene, lanes: Lanes) -> dict[int, RoomId]:
    """Open rooms until each lane has one; answers them by lane."""
    found: dict[int, RoomId] = {}
    while len(found) < LANES:
        room = Scene(here.db, here.record, here.command_bus)
        if (lane := lanes.lane_of(room.room)) not in found:
            found[lane] = (await room.open()).room
    return found


async def heard(here: Scene) -> dict[RoomId | None, list[int]]:
    """Return by room the positions of what it hears."""
    by_room: dict[RoomId | None, list[int]] = {}
    for recorded in await here.record.after(0, limit=10_000):
        if (room_id := recorded.event.frame_room()) is not None:
            by_room.setdefault(room_id, []).append(recorded.position)
    return by_room


async def told(lanes: Lanes) -> dict[RoomId | None, list[int]]:
    by_room: dict[RoomId | None, list[int]] = {}
    for lane in range(LANES):
        for entry in await entries_of(lanes, lane):
            places = by_room.setdefault(entry.room_id, [])
            assert entry.prev == (places[-1] if places else 0)
            places.append(entry.position)
    return by_room


async def test_a_lane_that_refuses_is_left_out_and_gets_everything_when_it_is_mended(
    database_url: str, redis_url: str
) -> None:
    async with scene(database_url) as here, lanes_of(here, redis_url) as lanes:
        redis = Redis.from_url(redis_url)
        rooms = await posted_to_every_lane(here, lanes)
        publisher = Publisher(here.record, here.db, lanes, LIVE)
        await lanes.publish((), published=0)
        await here.follow()
        await publisher.step()
        before = await lanes.published()
        broken, sound = rooms[0], rooms[1]
        key = lanes._key(0)
        kept = await entries_of(lanes, 0)
        await redis.delete(key)
        await redis.set(key, "not a stream")
        place = (await here.record.head()).position
        for room_id in (broken, sound, broken, sound):
            room = Scene(here.db, here.record, here.command_bus)
            room.room = room_id
            owner = await here.db.value("SELECT owner_id FROM read.rooms WHERE id = $1", room_id)
            room.caller = type(room.caller)(user_id=owner)
            await room.post(3)
            await here.follow()
            publisher.hand_over(await here.record.after(place, limit=100))
            place = (await here.record.head()).position
            await publisher.step()
        everything = await heard(here)
        assert [entry.position for entry in await entries_of(lanes, 1) if entry.room_id == sound] == everything[sound]
        assert await lanes.published() == before, "not past what a lane did not take"
        await publisher.step()
        assert await lanes.published() == before and await redis.get(key) == b"not a stream"
        await redis.delete(key)
        await lanes.publish(kept, published=None)
        await publisher.step()
        assert await told(lanes) == everything
        assert await lanes.published() == place
        await redis.aclose()


async def test_a_publisher_that_begins_anew_finds_what_a_broken_lane_missed(database_url: str, redis_url: str) -> None:
    async with scene(database_url) as here, lanes_of(here, redis_url) as lanes:
        redis = Redis.from_url(redis_url)
        key = lanes._key(lanes.lane_of(here.room))
        await lanes.publish((), published=0)
        await redis.set(key, "not a stream")
        await here.post(5)
        await here.follow()
        await Publisher(here.record, here.db, lanes, LIVE).step()
        assert await lanes.published() == 0
        await redis.delete(key)
        await Publisher(here.record, here.db, lanes, LIVE).step()
        assert await told(lanes) == await heard(here)
        assert await lanes.published() == (await here.record.head()).position
        await redis.aclose()


async def test_a_standby_that_takes_over_tells_nothing_again(database_url: str, redis_url: str) -> None:
    async with (
        scene(database_url) as here,
        lanes_of(here, redis_url) as first,
        lanes_of(here, redis_url) as second,
    ):
        await first.publish((), published=0)  # where Redis remembers nothing, what is before the checkpoint is not told
        owners = []
        for lanes in (first, second):
            publisher = Publisher(here.record, here.db, lanes, LIVE)
            follower = Follower(
                LIVE, here.record, here.db, owner=uuid4().hex, committed=publisher.hand_over, taken=publisher.begin
            )
            owners.append((publisher, follower))
        (one, owner), (other, standby) = owners
        async with running(other.run()):
            async with running(one.run(), owner.run()):
                await until_told(here, first)
                standing_by = asyncio.create_task(standby.run())
                await here.post(50)
                await until_told(here, first)
                assert second.positions == []
            # The owner gave its lease back; the standby takes it, and is the one that tells.
            new = await here.post(3)
            await until_told(here, second)
            standing_by.cancel()
            await asyncio.gather(standing_by, return_exceptions=True)
        assert sorted(set(second.positions)) == new
        assert await told(second) == await heard(here)


async def until_told(here: Scene, lanes: Lanes) -> None:
    head = (await here.record.head()).position
    async with asyncio.timeout(30):
        while (await lanes.published() or 0) < head:
            await asyncio.sleep(0.01)


async def test_a_record_that_is_behind_what_was_told_is_another_one(database_url: str, redis_url: str) -> None:
    """Restored to an earlier state: its next frames would have ids that the lanes hold already, and be refused silently."""
    async with scene(database_url) as here, lanes_of(here, redis_url) as lanes:
        await here.post(3)
        await here.follow()
        head = await here.record.head()
        room = RoomId(uuid4())
        await lanes.publish([Entry(head.position + 15, room, 0, b"{}", None)], published=head.position + 15)
        watching = asyncio.create_task(watch_record(here.record, head.record))
        with pytest.raises(RecordReplacedError):
            await Publisher(here.record, here.db, lanes, LIVE).step()
        renewed = await here.record.head()
        assert renewed.record != head.record and renewed.position == head.position
        assert await lanes.published() is None
        assert [await lanes.last(lane) for lane in (CONTROL, *range(LANES))] == ["0-0"] * (LANES + 1)
        async with asyncio.timeout(30):
            with pytest.raises(RecordReplacedError):
                await watching
        # Begun anew, everything is told again under the new id.
        async with lanes_of(here, redis_url) as again:
            publisher = Publisher(here.record, here.db, again, LIVE)
            await publisher.step()
            place = renewed.position
            new = await here.post(6)
            await here.follow()
            publisher.hand_over(await here.record.after(place, limit=100))
            await publisher.step()
            assert (await entries_of(again, again.lane_of(here.room)))[-1].position == new[-1]


async def test_what_was_told_is_no_reason_for_another_id_where_the_record_has_it(
    database_url: str, redis_url: str
) -> None:
    """A crash of Postgres may take back the tables' last commits, never the record's."""
    async with scene(database_url) as here, lanes_of(here, redis_url) as lanes:
        await here.post(3)
        await here.follow()
        head = await here.record.head()
        await lanes.publish((), published=head.position)
        await here.db.run("UPDATE read.checkpoints SET position = position - 2 WHERE name = 'live'")
        await Publisher(here.record, here.db, lanes, LIVE).step()
        now = await here.record.head()
        assert (now.record, now.position) == (head.record, head.position)
        assert not await here.record.renew(head.record, head.position), "nobody else gives a record another id"
        assert not await here.record.renew(RecordId(uuid4()), head.position + 9)
        assert await checkpoints.position(here.db, "live") == head.position - 2


class ReadingsCounted(PostgresRecord):
    """A record that counts how often it is read on."""

    readings = 0
    limit_max = 0

    async def after(
        self, position: int, *, until: int | None = None, limit: int, metas: bool = True
    ) -> Sequence[Recorded[Event]]:
        self.readings += 1
        self.limit_max = max(self.limit_max, limit)
        return await super().after(position, until=until, limit=limit, metas=metas)


async def test_a_publisher_beside_sockets_reads_less_at_once(database_url: str, redis_url: str) -> None:
    async with scene(database_url) as here, lanes_of(here, redis_url) as lanes:
        record = ReadingsCounted(here.db, here.record._vault, now=now, chance=os.urandom)
        key, told = lanes._key(lanes.lane_of(here.room)), list[int]()
        publisher = Publisher(
            record, here.db, lanes, LIVE, deliver=lambda entries: told.extend(entry.position for entry in entries)
        )
        await lanes.publish((), published=0)
        async with Redis.from_url(redis_url) as redis:
            await redis.set(key, "not a stream")
            await here.post(2)
            await here.follow()
            await publisher.step()  # finds its place, and leaves out a lane
            await redis.delete(key)
            posted = await here.post(2)
            await here.follow()
            publisher.hand_over(
                await here.record.after(posted[-1] - 1, limit=1)
            )  # the one before was never handed over
            await publisher.step()
        assert told[-2:] == posted and await lanes.published() == posted[-1]
        assert (record.readings, record.limit_max) == (5, READ_EVENTS_MAX)


async def test_a_batch_that_reaches_the_head_is_followed_by_no_empty_read(database_url: str) -> None:
    async with scene(database_url) as here:
        record = ReadingsCounted(here.db, here.record._vault, now=now, chance=os.urandom)
        follower = Follower(LIVE, record, here.db, owner="test")
        following = asyncio.create_task(follower.run())
        try:
            for _ in range(3):
                [position] = await here.post(1)
                async with asyncio.timeout(10):
                    while follower.lease is None or follower.lease.position < position:
                        await asyncio.sleep(0.01)
        finally:
            following.cancel()
            await asyncio.gather(following, return_exceptions=True)
        assert record.readings <= 5, "one for what was there, one a message, and one where a lease was renewed"


async def test_a_batch_for_several_lanes_is_one_call_to_redis(database_url: str, redis_url: str) -> None:
    async with scene(database_url) as here, lanes_of(here, redis_url) as lanes:
        rooms = await posted_to_every_lane(here, lanes)
        await lanes.publish((), published=0)  # the script is known from now on
        calls: list[object] = []
        execute: Any = lanes._redis.execute_command

        async def counted(*args: Any, **options: Any) -> Any:
            calls.append(args[0])
            return await execute(*args, **options)

        lanes._redis.execute_command = counted  # type: ignore[method-assign]
        entries = [Entry(i, room, 0, b"{}", None) for i, room in enumerate(rooms.values(), 1)]
        assert await lanes.publish(entries, published=len(entries)) == frozenset()
        assert calls == ["EVALSHA"]
        assert await lanes.published() == len(entries)
