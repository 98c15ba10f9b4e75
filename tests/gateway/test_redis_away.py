"""Redis is a hint: killed, restarted empty, flushed or hanging, it loses nobody anything."""

import asyncio
import os
import signal
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from redis.asyncio import Redis

from adapters.clock import monotonic
from runtime.embedded.servers import Embedded
from tests.deployments import Gateway, deployment
from tests.lines import Line, line

HANG_SECONDS = float(os.environ.get("HANG_SECONDS", "0"))  # at least; at most 110, for a test's time is limited
HEARD_SECONDS = 5.0


@pytest.fixture
async def valkey() -> AsyncIterator[Embedded]:
    """A Valkey of this test's own, which it may kill."""
    with tempfile.TemporaryDirectory(prefix="hansard-valkey-") as folder:
        embedded = Embedded(Path(folder) / "home", postgres=False)
        await asyncio.to_thread(embedded.start)
        yield embedded
        await asyncio.to_thread(embedded.stop)


async def send_and_hear(hansard: Gateway, valkey: Embedded, harm: str) -> None:
    ada = await hansard.person()
    room_id = await ada.room()
    async with line(hansard, ada, room_id) as speaker, line(hansard, ada, room_id) as listener:
        await speaker.until("live")
        await listener.until("live")
        for i in range(30):
            if i == 10:
                await hurt(valkey, harm)
            if i == 20 and harm == "kill":
                await asyncio.to_thread(valkey.revive)
            assert (await speaker.ask("send", room_id=room_id, content=str(i)))["ok"]
        events = await listener.events(30)
        assert [event["data"]["content"] for event in events] == [str(i) for i in range(30)]
        assert [event["prev"] for event in events[1:]] == [event["position"] for event in events[:-1]]
        # And when all is well again, frames come by the lanes as before.
        assert (await speaker.ask("send", room_id=room_id, content="after"))["ok"]
        (last,) = await listener.events(1)
        assert last["data"]["content"] == "after"


async def test_while_redis_hangs_everybody_hears_at_once(database_url: str, valkey: Embedded) -> None:
    """Its connections stay open and nothing is answered: only time-outs tell. HANG_SECONDS=60 waits that long."""
    process = valkey._running["valkey"]
    async with deployment(database_url, valkey.servers.redis_url) as hansard:
        ada = await hansard.person()
        room_id = await ada.room()
        async with line(hansard, ada, room_id) as speaker, line(hansard, ada, room_id) as listener:
            await speaker.until("live")
            await listener.until("live")
            heard: list[str] = []
            process.send_signal(signal.SIGSTOP)
            try:
                async with asyncio.timeout(HANG_SECONDS + 20):
                    began = monotonic()
                    while not hansard.services.hub.follows_record or monotonic() - began < HANG_SECONDS:
                        await say_and_hear(speaker, listener, room_id, heard)
            finally:
                process.send_signal(signal.SIGCONT)
            async with asyncio.timeout(20):
                while hansard.services.hub.follows_record:
                    await say_and_hear(speaker, listener, room_id, heard)
            for _ in range(10):
                await say_and_hear(speaker, listener, room_id, heard)
            assert heard == [str(i) for i in range(len(heard))] and len(heard) > 10
        # From the beginning it is the same once more: nothing was written twice.
        async with line(hansard, ada, room_id, "?after=0") as late:
            events = await late.events(2 + len(heard))  # the room, its founder, what was said
            assert [event["data"].get("content") for event in events[2:]] == heard
            await late.live()


async def say_and_hear(speaker: Line, listener: Line, room_id: str, heard: list[str]) -> None:
    """Send the next number; it is acknowledged and heard, whatever Redis does, in a time that a person would bear."""
    async with asyncio.timeout(HEARD_SECONDS):
        assert (await speaker.ask("send", room_id=room_id, content=str(len(heard))))["ok"]
        (event,) = await listener.events(1)
    heard.append(event["data"]["content"])


async def hurt(valkey: Embedded, harm: str) -> None:
    if harm == "flush":
        redis = Redis.from_url(valkey.servers.redis_url)
        await redis.flushall()
        await redis.aclose()
        return
    process = valkey._running["valkey"]
    process.kill()
    await asyncio.to_thread(process.wait)


@pytest.mark.parametrize("harm", ["flush", "kill"])
async def test_sends_go_on_and_nothing_is_lost_doubled_or_reordered(
    database_url: str, valkey: Embedded, harm: str
) -> None:
    async with deployment(database_url, valkey.servers.redis_url) as hansard:
        await send_and_hear(hansard, valkey, harm)
