"""The pool of connections: bounded, in turn, and nobody gets a connection on which something is still asked."""

import asyncio
from typing import Any

import pytest

from adapters.postgres.connection_pool import ConnectionPool, PoolClosedError
from adapters.postgres.database import Database
from domain.ports.record import NothingWrittenError, RecordUnavailableError
from tests.simulation.loop import VirtualLoop


class Wire:
    """A connection that says nothing."""

    def __init__(self) -> None:
        self.is_over = False

    def is_closed(self) -> bool:
        return self.is_over

    def terminate(self) -> None:
        self.is_over = True

    async def close(self) -> None:
        self.is_over = True


def pool_of(size: int, *, wait_seconds: float = 5.0) -> tuple[ConnectionPool, list[Wire]]:
    opened: list[Wire] = []

    async def connect() -> Any:
        opened.append(Wire())
        return opened[-1]

    return ConnectionPool(connect, size_max=size, wait_seconds=wait_seconds), opened


async def test_what_was_given_back_last_is_given_out_first_and_nothing_is_opened_without_need() -> None:
    pool, opened = pool_of(3)
    one, two = await pool.acquire(), await pool.acquire()
    pool.give_back(one, is_usable=True)
    pool.give_back(two, is_usable=True)
    assert await pool.acquire() is two
    assert await pool.acquire() is one
    assert opened == [one, two]


async def test_who_finds_all_lent_waits_in_turn_and_not_for_ever() -> None:
    pool, opened = pool_of(1, wait_seconds=0.05)
    first = await pool.acquire()
    with pytest.raises(TimeoutError):
        await pool.acquire()
    got: list[str] = []

    async def ask(name: str) -> None:
        connection = await pool.acquire()
        got.append(name)
        pool.give_back(connection, is_usable=True)

    asking = [asyncio.create_task(ask(name)) for name in ("a", "b", "c")]
    await asyncio.sleep(0)
    asking[0].cancel()
    pool.give_back(first, is_usable=True)
    ended = await asyncio.gather(*asking, return_exceptions=True)
    assert isinstance(ended[0], asyncio.CancelledError), "given up before its turn came, and no fault"
    assert got == ["b", "c"]
    assert opened == [first]


async def test_who_waits_for_a_new_connection_takes_one_that_comes_back_first() -> None:
    """A new one may take long; asked for by many at once, each would wait for its own."""
    slow = asyncio.Event()
    opened: list[Wire] = []

    async def connect() -> Any:
        if opened:
            await slow.wait()
        opened.append(Wire())
        return opened[-1]

    pool = ConnectionPool(connect, size_max=3, wait_seconds=5.0)
    first = await pool.acquire()
    asking = [asyncio.create_task(pool.acquire()) for _ in range(2)]
    await asyncio.sleep(0)
    pool.give_back(first, is_usable=True)
    assert await asking[0] is first
    slow.set()
    assert await asking[1] in opened[1:]


def test_nobody_waits_longer_than_it_may_however_often_it_is_woken() -> None:
    """A server that swallows everything lets one attempt after the other run into its end."""

    async def connect() -> Any:
        await asyncio.sleep(0.4)
        raise TimeoutError

    async def ask() -> list[Any]:
        pool = ConnectionPool(connect, size_max=2, wait_seconds=0.5)
        return await asyncio.gather(*(pool.acquire() for _ in range(8)), return_exceptions=True)

    loop = VirtualLoop()
    assert {type(end) for end in loop.run_until_complete(ask())} == {TimeoutError}
    assert loop.time() < 1.2, "one after the other would be 1.6"
    loop.close()


async def test_a_turn_that_came_to_somebody_who_was_cancelled_in_that_moment_goes_on_to_the_next() -> None:
    pool, _ = pool_of(1)
    first = await pool.acquire()
    asking = [asyncio.create_task(pool.acquire()) for _ in range(2)]
    await asyncio.sleep(0)
    pool.give_back(first, is_usable=True)
    asking[0].cancel()
    assert await asking[1] is first


async def test_a_place_is_free_again_where_a_connection_died_or_could_not_be_opened() -> None:
    pool, opened = pool_of(1)
    first = await pool.acquire()
    waits = asyncio.create_task(pool.acquire())
    await asyncio.sleep(0)
    pool.give_back(first, is_usable=False)
    assert first.is_closed()
    second = await waits
    pool.give_back(second, is_usable=True)
    second.terminate()
    third = await pool.acquire()
    assert opened == [first, second, third]

    async def refuse() -> Any:
        raise ConnectionRefusedError

    pool = ConnectionPool(refuse, size_max=1, wait_seconds=5.0)
    for _ in range(2):
        with pytest.raises(ConnectionRefusedError):
            await pool.acquire()


async def test_a_pool_that_is_closed_gives_nothing_out_and_ends_what_comes_back() -> None:
    pool, _ = pool_of(2)
    free, lent = await pool.acquire(), await pool.acquire()
    pool.give_back(free, is_usable=True)
    await pool.close()
    assert (free.is_over, lent.is_over) == (True, False)
    with pytest.raises(PoolClosedError):
        await pool.acquire()
    pool.give_back(lent, is_usable=True)
    assert lent.is_over


async def test_a_query_that_was_given_up_leaves_nobody_its_answer(database_url: str) -> None:
    """Whoever is cancelled gives the connection back while Postgres still works on the query."""
    db = await Database.open(database_url, size=1)
    try:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await db.value("SELECT 'late' FROM pg_sleep(2)")
        assert await db.value("SELECT 'mine'") == "mine"
        backend = await db.value("SELECT pg_backend_pid()")
        with pytest.raises(NothingWrittenError):
            async with db.transaction() as transaction:
                await transaction.run("SET LOCAL statement_timeout = 50")
                await transaction.value("SELECT pg_sleep(5)")
        assert await db.value("SELECT pg_backend_pid()") == backend
    finally:
        await db.close()
    with pytest.raises(RecordUnavailableError):
        await db.value("SELECT 1")
