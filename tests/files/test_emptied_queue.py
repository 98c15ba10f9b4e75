"""A Valkey that comes back empty: no call of the queue fails of it, and what is queued afterwards is done."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from adapters.redis.task_entries import Taken
from adapters.redis.task_queue import RedisTasks
from domain.ids import FileId, RecordId, UserId
from domain.tasks import ScanFile
from runtime.embedded.servers import Embedded

Calls = dict[str, Callable[[RedisTasks, Taken], Awaitable[Any]]]

CALLS: Calls = {
    "beat": lambda tasks, taken: tasks.beat(taken),
    "done": lambda tasks, taken: tasks.done(taken),
    "later": lambda tasks, taken: tasks.later(taken, seconds=0.0),
    "listed": lambda tasks, _: tasks.listed(),
    "hurry": lambda tasks, _: tasks.hurry(),
    "take": lambda tasks, _: tasks.take("scan"),
}
NOTHING: dict[str, Any] = {"beat": False, "done": False, "later": None, "listed": [], "hurry": 0, "take": None}


@pytest.fixture(scope="module")
def valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """One that is emptied as a whole, scripts and groups included, so nobody else may be on it."""
    home: Path = tmp_path_factory.mktemp("emptied") / "home"
    with Embedded(home, postgres=False) as embedded:
        yield embedded.servers.redis_url


@pytest.fixture
async def tasks(valkey: str) -> AsyncIterator[RedisTasks]:
    made = RedisTasks.open(valkey, RecordId(uuid4()), "worker", claim_seconds=30, block_ms=50)
    yield made
    await made.close()


async def emptied(tasks: RedisTasks) -> None:
    await tasks._redis.flushall()
    await tasks._redis.script_flush()


def scan() -> ScanFile:
    return ScanFile(FileId(uuid4()), UserId(uuid4()))


async def taken_of(tasks: RedisTasks) -> Taken:
    """Queue a task and take it; the first call may only make the group."""
    await tasks.add(scan())
    while (taken := await tasks.take("scan")) is None:
        pass
    return taken


@pytest.mark.parametrize("call", CALLS)
async def test_each_call_finds_nothing_held_and_the_next_task_is_taken(tasks: RedisTasks, call: str) -> None:
    taken = await taken_of(tasks)
    assert await tasks.beat(taken)
    await emptied(tasks)
    assert await CALLS[call](tasks, taken) == NOTHING[call]
    again = await taken_of(tasks)
    assert again.id != taken.id and await tasks.beat(again) and await tasks.done(again)
    assert await tasks.listed() == []


async def test_a_task_that_is_lost_while_it_is_taken_is_not_handed_out(
    tasks: RedisTasks, monkeypatch: pytest.MonkeyPatch
) -> None:
    await tasks.take("scan")
    ask = tasks._redis.xpending_range

    async def emptied_first(*arguments: Any) -> Any:
        await emptied(tasks)
        return await ask(*arguments)

    await tasks.add(scan())
    with monkeypatch.context() as patch:
        patch.setattr(tasks._redis, "xpending_range", emptied_first)
        assert await tasks.take("scan") is None
    assert await tasks.done(await taken_of(tasks))


async def test_an_unknown_task_that_is_lost_before_it_is_put_back_stops_nobody(
    tasks: RedisTasks, monkeypatch: pytest.MonkeyPatch
) -> None:
    await tasks.take("scan")
    await tasks._redis.xadd(tasks._stream("scan"), {"task": "of a newer version"})
    put_back = tasks._put_back

    async def emptied_first(*arguments: Any) -> None:
        await emptied(tasks)
        await put_back(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(tasks, "_put_back", emptied_first)
        assert await tasks.take("scan") is None
    assert await tasks.listed() == [], "it is not put into a queue that has forgotten it"
    assert await tasks.done(await taken_of(tasks))
