"""The fair queue: whose turn it is, who loses a place, and who is refused."""

import asyncio
from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.credentials.fair_queue import FairQueue
from domain.errors import BusyError

PLACES = 8


class Bench:
    """A queue, and what became of everybody who came to it."""

    def __init__(self, *, at_once: int = 1, places: int = PLACES) -> None:
        self.queue = FairQueue(at_once=lambda: at_once, places=places, sentence="Too many.")
        self.served: list[str] = []
        self.refused: list[str] = []
        self._tasks: list[asyncio.Task[None]] = []

    async def come(self, *names: str) -> None:
        """Have somebody come for each name: `address/account`."""
        for name in names:
            self._tasks.append(asyncio.create_task(self._wait(name)))
            await asyncio.sleep(0)

    async def _wait(self, name: str) -> None:
        try:
            await self.queue.turn(*name.split("/"))
            self.served.append(name)
        except BusyError:
            self.refused.append(name)

    async def serve(self, times: int) -> None:
        for _ in range(times):
            self.queue.done()
            await settled()

    async def leave(self, index: int) -> None:
        self._tasks[index].cancel()
        await settled()


async def settled() -> None:
    for _ in range(3):
        await asyncio.sleep(0)


async def test_a_flood_of_one_address_is_refused_and_nobody_else() -> None:
    bench = Bench()
    await bench.come(*(f"a/{i}" for i in range(PLACES)))
    assert bench.queue.is_full_for("a") and not bench.queue.is_full_for("b")
    await bench.come("a/more", "b/ada")
    await settled()
    assert bench.refused == ["a/more", "a/7"], "the place is that of who came last"
    await bench.serve(1)
    assert bench.served == ["a/0", "b/ada"], "and whoever was not served yet is next"


async def test_a_flood_of_one_account_is_refused_wherever_it_comes_from() -> None:
    bench = Bench()
    await bench.come(*(f"{i}/eve" for i in range(PLACES)), "x/eve", "y/ada")
    await settled()
    assert bench.refused == ["x/eve", "7/eve"]
    await bench.serve(1)
    assert bench.served == ["0/eve", "y/ada"]


async def test_who_shares_an_address_with_a_flood_of_one_account_is_served_as_well() -> None:
    bench = Bench()
    await bench.come(*["a/eve"] * PLACES)
    assert not bench.queue.is_full_for("a")
    await bench.come("a/eve", "a/ada")
    await settled()
    assert bench.refused == ["a/eve", "a/eve"]
    await bench.serve(1)
    assert bench.served == ["a/eve", "a/ada"]


async def test_a_flood_of_accounts_takes_nobodys_place_at_another_address() -> None:
    bench = Bench()
    await bench.come("b/ada", "b/ada", "b/ada", *(f"a/{i}" for i in range(PLACES)))
    await settled()
    assert bench.refused == [f"a/{i}" for i in range(PLACES - 3, PLACES)]


async def test_addresses_take_turns_and_so_do_who_come_one_at_a_time() -> None:
    bench = Bench(places=100)
    await bench.come(*(f"a/{i}" for i in range(6)), "b/x", "b/y", "c/z")
    for turn in range(6):
        await bench.serve(1)
        await bench.come(f"once/{turn}")
    order = Counter(name.partition("/")[0] for name in bench.served)
    assert bench.served[:3] == ["a/0", "b/x", "c/z"]
    assert order["once"] <= 2 and order["a"] >= 2 and order["b"] == 2, bench.served


async def test_who_goes_away_leaves_the_place_and_the_turn_to_others() -> None:
    bench = Bench()
    await bench.come("a/1", "b/2", "c/3")
    await bench.leave(1)
    assert len(bench.queue) == 2
    await bench.serve(1)
    assert bench.served == ["a/1", "c/3"]


@given(
    st.lists(st.tuples(st.sampled_from("abcd"), st.sampled_from("uvwx"), st.booleans()), max_size=120),
    st.integers(1, 3),
)
def test_whatever_comes_places_are_bounded_and_no_turn_is_lost(
    arrivals: list[tuple[str, str, bool]], at_once: int
) -> None:
    async def run() -> None:
        bench = Bench(at_once=at_once)
        for address, account, ends in arrivals:
            await bench.come(f"{address}/{account}")
            assert len(bench.queue) <= PLACES
            if ends and bench.queue._serving:
                await bench.serve(1)
        while bench.queue._serving:
            await bench.serve(1)
        assert len(bench.queue) == 0
        assert len(bench.served) + len(bench.refused) == len(arrivals)

    asyncio.run(run())


@pytest.mark.parametrize("names", [["a/x"] * 20, [f"{i}/x" for i in range(20)], [f"a/{i}" for i in range(20)]])
async def test_alone_one_has_all_places(names: Any) -> None:
    bench = Bench()
    await bench.come(*names)
    assert len(bench.refused) == 20 - PLACES
