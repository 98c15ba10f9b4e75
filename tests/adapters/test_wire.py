"""The wire to Redis: answers come to who asked, in order; whatever is unsure ends the connection, and the next call opens another."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from redis.asyncio import Redis
from redis.exceptions import ResponseError

from adapters.redis.connections import open_redis
from adapters.redis.wire import Wires


@pytest.fixture
async def redis(redis_url: str) -> AsyncIterator["Redis"]:
    client = open_redis(redis_url, seconds=5.0)
    yield client
    await client.aclose()


@pytest.fixture
async def wires(redis: "Redis") -> AsyncIterator[Wires]:
    opened = Wires(redis, seconds=5.0)
    yield opened
    opened.cut()


async def test_answers_come_to_who_asked(wires: Wires) -> None:
    answers = await asyncio.gather(*(wires.call("ECHO", f"{number}") for number in range(100)))
    assert answers == [b"%d" % number for number in range(100)]
    big = b"x" * 300_000
    assert await wires.call(b"ECHO", big) == big
    assert await wires.call("EVAL", "return {1, 'two', {false}}", 0) == [1, b"two", [None]]


async def test_a_refusal_is_the_callers_alone(wires: Wires) -> None:
    answers: Any = await asyncio.gather(
        wires.call("EVALSHA", "0" * 40, 0), wires.call("ECHO", "here"), return_exceptions=True
    )
    mine, others = answers
    assert isinstance(mine, ResponseError) and str(mine).startswith("NOSCRIPT")
    assert others == b"here"


async def test_who_gives_up_leaves_nobody_its_answer(redis: "Redis", wires: Wires) -> None:
    first = int(await wires.call("CLIENT", "ID"))
    blocked = asyncio.create_task(wires.call("BLPOP", "nothing:here", 5))
    await _until_blocked(redis, first)
    others = asyncio.create_task(wires.call("ECHO", "mine"))
    blocked.cancel()
    await asyncio.wait([blocked])
    await redis.rpush("nothing:here", b"late")
    assert await others == b"mine"
    impatient = Wires(redis, seconds=0.1)
    with pytest.raises(TimeoutError):
        await impatient.call("BLPOP", "nothing:here", 5)
    assert await impatient.call("ECHO", "again") == b"again"
    impatient.cut()


async def test_who_waits_hears_that_the_connection_was_cut(redis: "Redis", wires: Wires) -> None:
    mine = int(await wires.call("CLIENT", "ID"))
    blocked = asyncio.create_task(wires.call("BLPOP", "nothing:here", 5))
    await _until_blocked(redis, mine)
    await redis.client_kill_filter(_id=str(mine))
    with pytest.raises(OSError, match="cut"):
        await blocked
    assert await wires.call("ECHO", "again") == b"again"


async def _until_blocked(redis: Any, client_id: int) -> None:
    async with asyncio.timeout(5):
        while True:
            [found] = [each for each in await redis.client_list() if int(each["id"]) == client_id]
            if "b" in found["flags"]:
                return
            await asyncio.sleep(0.01)


async def test_who_waits_for_a_connection_that_cannot_be_made_fails_with_the_one_who_tried() -> None:
    tried = 0

    class Away:
        """Where nobody answers, as a client sees it."""

        def __init__(self) -> None:
            self.connection_pool = self

        def make_connection(self) -> Any:
            return self

        async def connect(self) -> None:
            nonlocal tried
            tried += 1
            await asyncio.sleep(0)
            raise ConnectionRefusedError

    away: Any = Away()
    asked = Wires(away, seconds=5.0)
    answers = await asyncio.gather(*(asked.call("ECHO", "x") for _ in range(20)), return_exceptions=True)
    assert all(isinstance(answer, OSError) for answer in answers)
    assert tried == 1
    with pytest.raises(ConnectionRefusedError):
        await asked.call("ECHO", "x")
    assert tried == 2
