"""What Redis holds of what people wrote: nothing that is deleted, nothing that is old, and nothing on a disk."""

import asyncio
import tempfile
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from redis.asyncio import Redis

from adapters.redis.lanes import LANE_AGE_SECONDS, Entry
from domain.message import MessagePosted
from projections import LIVE, frames
from runtime.embedded.servers import Embedded
from tests.deployments import Gateway, deployment, gateway, ledger, projector, until
from tests.gateway.test_history import edit, finish, heard, pending
from tests.lines import line
from workers.projector import Follower

SECRET = "the text that nobody may read any more"


@pytest.fixture
async def hansard(database_url: str, redis_url: str) -> AsyncIterator[Gateway]:
    async with deployment(database_url, redis_url) as made:
        yield made


async def lanes_hold(hansard: Gateway, redis_url: str, text: str) -> bool:
    """Whether any stream of this record has an entry with this text."""
    redis = Redis.from_url(redis_url)
    found = False
    async for key in redis.scan_iter(match=f"hansard:{hansard.services.record_id}:*", _type="stream"):
        found |= text in str(await redis.xrange(key))
    await redis.aclose()
    return found


async def test_what_is_deleted_is_taken_back_from_the_lanes(hansard: Gateway, redis_url: str) -> None:
    ada, ben = await hansard.person(), await hansard.person()
    room_id = await ada.room(ben)
    async with line(hansard, ben, room_id) as his:
        await his.until("live")
        said = await ada.say(room_id, SECRET)
        await edit(ada, said["id"], SECRET + ", edited")
        shown = await pending(ada, room_id, "its file.bin")
        await finish(hansard, shown["file_id"])
        await heard("", his)
        assert (await his.events(1))[0]["event"] == "file.completed"
        assert await lanes_hold(hansard, redis_url, SECRET) and await lanes_hold(hansard, redis_url, "its file")
        for message in (said, shown):
            await ada.ask("DELETE", f"/messages/{message['id']}", 200)
        await ada.say(room_id, "after")
        await heard("after", his)
    assert not await lanes_hold(hansard, redis_url, SECRET)
    # The uploader's own feed tells of their file, deleted message or not: it is theirs, and goes with its age.
    keys = [f"hansard:{hansard.services.record_id}:lane:{lane}" for lane in range(16)]
    async with Redis.from_url(redis_url) as redis:
        assert "its file" not in str([await redis.xrange(key) for key in keys])


async def test_a_hub_that_had_not_read_them_finds_tombstones_in_the_record(database_url: str, redis_url: str) -> None:
    """The lane's next entry names as `prev` one that is gone: what lies between is read, once, as it may be told now."""
    async with ledger(database_url) as (db, record, _), gateway(database_url, redis_url) as hansard:
        follower = Follower(LIVE, record, db, owner="by hand")  # the rows come when all of it has happened
        ada, ben = await hansard.person(), await hansard.person()
        room_id = await ada.room(ben)
        async with line(hansard, ben, room_id) as his:
            await his.until("live")
            said = await ada.say(room_id, SECRET)
            await edit(ada, said["id"], SECRET + ", edited")
            await ada.ask("DELETE", f"/messages/{said['id']}", 200)
            last = await ada.say(room_id, "after")
            while await follower.step() > 0:
                pass
            [recorded] = await hansard.services.record.after(last["position"] - 1, limit=1)
            prev = last["position"] - 1
            assert isinstance(recorded.event, MessagePosted)
            for _ in range(2):  # the second time it is known already
                hansard.services.hub.receive(
                    Entry(recorded.position, recorded.event.room_id, prev, frames.room_frame(recorded, prev), None)
                )
            events = await heard("after", his)
            more = await ada.say(room_id, "and more")
            await follower.step()
            assert (await his.events(1))[0]["position"] == more["position"]
    assert [event["data"]["content"] for event in events] == ["", "", "", "after"]
    assert [event["prev"] for event in events[1:]] == [event["position"] for event in events[:-1]]


async def test_what_is_old_goes_also_from_lanes_that_nobody_writes_to(database_url: str, redis_url: str) -> None:
    async with gateway(database_url, redis_url) as hansard:
        async with projector(database_url, redis_url):
            ada = await hansard.person()
            room_id = await ada.room()
            async with line(hansard, ada, room_id) as hers:
                await hers.until("live")
                last = await ada.say(room_id, SECRET)
                await heard(SECRET, hers)
            assert await lanes_hold(hansard, redis_url, SECRET)
        marks = f"hansard:{hansard.services.record_id}:marks"
        async with Redis.from_url(redis_url) as redis:
            await redis.zadd(marks, {str(last["position"]): time.time() - LANE_AGE_SECONDS - 1})
        async with projector(database_url, redis_url):  # it has nothing to tell, and trims

            async def is_gone() -> bool:
                return not await lanes_hold(hansard, redis_url, SECRET)

            await until(is_gone)
            async with line(hansard, ada, room_id, "?after=0") as hers:
                await heard(SECRET, hers)
                await ada.say(room_id, "after")
                await heard("after", hers)


async def test_what_is_told_today_stays(hansard: Gateway, redis_url: str) -> None:
    ada = await hansard.person()
    room_id = await ada.room()
    async with line(hansard, ada, room_id) as hers:
        await hers.until("live")
        await ada.say(room_id, SECRET)
        await heard(SECRET, hers)
    await hansard.services.lanes.trim()
    assert await lanes_hold(hansard, redis_url, SECRET)


async def test_the_embedded_valkey_writes_nothing_to_the_disk(database_url: str) -> None:
    with tempfile.TemporaryDirectory(prefix="hansard-valkey-") as folder:
        home = Path(folder) / "home"
        (home / "valkey" / "appendonlydir").mkdir(parents=True)
        (home / "valkey" / "appendonlydir" / "appendonly.aof").write_text(SECRET)  # of an earlier version
        embedded = Embedded(home, postgres=False)
        await asyncio.to_thread(embedded.start)
        try:
            async with deployment(database_url, embedded.servers.redis_url) as hansard:
                ada = await hansard.person()
                room_id = await ada.room()
                async with line(hansard, ada, room_id) as hers:
                    await hers.until("live")
                    await ada.say(room_id, SECRET)
                    await heard(SECRET, hers)
        finally:
            await asyncio.to_thread(embedded.stop)
        assert [path for path in (home / "valkey").rglob("*") if path.is_file()] == []
