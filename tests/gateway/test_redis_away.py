"""Redis is a hint: killed, restarted empty or flushed, it loses nobody anything."""

import asyncio
import shutil
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from redis.asyncio import Redis

from runtime.embedded import Embedded
from tests.houses import Gateway, deployment
from tests.lines import line


@pytest.fixture
async def valkey() -> AsyncIterator[Embedded]:
    """A Valkey of this test's own, which it may kill."""
    with tempfile.TemporaryDirectory(prefix="hansard-valkey-") as folder:
        embedded = Embedded(Path(folder) / "home", postgres=False)
        await asyncio.to_thread(embedded.start)
        yield embedded
        await asyncio.to_thread(embedded.stop)


async def send_and_hear(house: Gateway, valkey: Embedded, harm: str) -> None:
    ada = await house.person()
    room_id = await ada.room()
    async with line(house, ada, room_id) as speaker, line(house, ada, room_id) as listener:
        await speaker.until("live")
        await listener.until("live")
        for i in range(30):
            if i == 10:
                await hurt(valkey, harm)
            if i == 20 and harm in ("kill", "kill and empty"):
                await asyncio.to_thread(valkey.revive)
            assert (await speaker.ask("send", room_id=room_id, content=str(i)))["ok"]
        events = await listener.events(30)
        assert [event["data"]["content"] for event in events] == [str(i) for i in range(30)]
        assert [event["prev"] for event in events[1:]] == [event["position"] for event in events[:-1]]
        # And when all is well again, frames come by the lanes as before.
        assert (await speaker.ask("send", room_id=room_id, content="after"))["ok"]
        (last,) = await listener.events(1)
        assert last["data"]["content"] == "after"


async def hurt(valkey: Embedded, harm: str) -> None:
    if harm == "flush":
        redis = Redis.from_url(valkey.servers.redis_url)
        await redis.flushall()
        await redis.aclose()
        return
    process = valkey._running["valkey"]
    process.kill()
    await asyncio.to_thread(process.wait)
    if harm == "kill and empty":
        shutil.rmtree(valkey.home / "valkey")


@pytest.mark.parametrize("harm", ["flush", "kill", "kill and empty"])
async def test_sends_go_on_and_nothing_is_lost_doubled_or_reordered(
    database_url: str, valkey: Embedded, harm: str
) -> None:
    async with deployment(database_url, valkey.servers.redis_url) as house:
        await send_and_hear(house, valkey, harm)
