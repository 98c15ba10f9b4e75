"""What one follower of a process reads is there for the others, and is the same: no event twice, none left out, nothing kept for
long; and one look at the record wakes all who are due."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest

from domain.events import Event, Meta, Recorded, UnknownEvent
from domain.ids import EventId, RecordId, StreamId
from domain.ports.record import Head
from tests.deployments import running
from workers import shared_reading
from workers.shared_reading import SharedReading

DAY = datetime(2026, 11, 27, tzinfo=UTC)
NOBODY = UUID(int=0)


def events_of(first: int, last: int) -> list[Recorded[Event]]:
    meta = Meta(EventId(NOBODY), "")
    return [
        Recorded(at, StreamId(NOBODY), 1, DAY, UnknownEvent("some.topic", None), meta) for at in range(first, last + 1)
    ]


class Shelf:
    """A record that grows, and remembers from where it was read."""

    def __init__(self, position: int = 20) -> None:
        self.position = position
        self.read: list[int] = []
        self.heads = 0
        self.meanwhile: Any = None

    async def head(self) -> Head:
        self.heads += 1
        return Head(RecordId(NOBODY), self.position, DAY, DAY)

    async def after(self, position: int, *, until: int | None = None, limit: int) -> Sequence[Recorded[Any]]:
        self.read.append(position)
        found = events_of(position + 1, min(self.position if until is None else until, position + limit))
        if self.meanwhile is not None:
            self.meanwhile()
        return found


async def positions(reading: SharedReading, after: int, *, until: int | None = None, limit: int = 100) -> list[int]:
    return [each.position for each in await reading.after(after, until=until, limit=limit)]


async def test_what_one_has_read_the_others_take_from_wherever_they_stand() -> None:
    shelf = Shelf()
    reading = SharedReading(shelf)
    await reading.step()
    assert await positions(reading, 10) == list(range(11, 21))
    assert await positions(reading, 10) == list(range(11, 21))
    assert await positions(reading, 12, limit=3) == [13, 14, 15]
    assert await positions(reading, 12, until=14) == [13, 14]
    assert shelf.read == [10]
    assert await positions(reading, 9, limit=2) == [10, 11], "it begins before what is at hand"
    assert shelf.read == [10, 9]


async def test_a_look_reads_what_is_new_once_somebody_takes_it_and_only_then() -> None:
    shelf = Shelf()
    reading = SharedReading(shelf)
    for _ in range(3):
        shelf.position += 1
        await reading.step()
    assert (shelf.read, reading.position) == ([], 23), "a standby reads nothing"
    await reading.after(20, limit=100)
    shelf.position = 25
    await reading.step()
    assert (shelf.read, reading.position) == ([20, 23], 25)
    assert await positions(reading, 20) == [21, 22, 23, 24, 25]
    await reading.step()
    assert shelf.read == [20, 23, 25]
    assert (await positions(reading, 25), shelf.read) == ([], [20, 23, 25]), "nothing more is known of"


async def test_who_is_behind_reads_for_itself_and_leaves_the_others_what_they_have() -> None:
    shelf = Shelf()
    reading = SharedReading(shelf)
    await reading.step()
    await reading.after(15, limit=100)
    assert await positions(reading, 2, limit=4) == [3, 4, 5, 6]
    assert await positions(reading, 17) == [18, 19, 20]
    assert shelf.read == [15, 2]


async def test_nothing_is_kept_for_long_and_never_much(monkeypatch: pytest.MonkeyPatch) -> None:
    shelf = Shelf()
    reading = SharedReading(shelf)
    await reading.step()
    await reading.after(10, limit=100)
    monkeypatch.setattr(shared_reading, "KEPT_SECONDS", 0.0)
    await reading.step()
    assert (len(reading._kept), reading._bytes) == (0, 0)
    monkeypatch.setattr(shared_reading, "KEPT_SECONDS", 60.0)
    monkeypatch.setattr(shared_reading, "KEPT_BYTES_MAX", 4_000)
    for shelf.position in (22, 24):
        await reading.step()
    assert [kept.events[0].position for kept in reading._kept] == [23]
    shelf.position = 40
    await reading.step()
    assert not reading._kept


async def test_what_nobody_takes_any_more_is_not_read_any_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shared_reading, "KEPT_SECONDS", 0.0)
    shelf = Shelf()
    reading = SharedReading(shelf)
    await reading.step()
    await reading.after(10, limit=100)
    for shelf.position in (21, 22, 23):
        await reading.step()
    assert (shelf.read, reading.position) == ([10, 20], 23)


async def test_a_destroyed_key_has_everything_forgotten_also_what_is_being_read() -> None:
    shelf = Shelf()
    reading = SharedReading(shelf)
    await reading.step()
    await reading.after(10, limit=100)
    reading.forget()
    assert await positions(reading, 18) == [19, 20]
    assert shelf.read == [10, 18]
    reading.forget()
    shelf.meanwhile = reading.forget
    await reading.after(10, limit=100)
    assert not reading._kept


async def test_one_look_wakes_all_who_are_due(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shared_reading, "LOOK_SECONDS", 0.01)
    shelf, woken = Shelf(), list[tuple[str, int]]()
    reading = SharedReading(shelf)

    async def follow(name: str, seconds: float) -> None:
        async with reading.gathering(seconds).wakes() as wakes:
            async for _ in wakes:
                woken.append((name, shelf.heads))

    async with running(follow("often", 0.01), follow("seldom", 3600.0), reading.run()), asyncio.timeout(10):
        while len(woken) < 6:
            await asyncio.sleep(0.001)
    assert woken[:6] == [("often", 1), ("seldom", 1), ("often", 2), ("often", 3), ("often", 4), ("often", 5)]


async def test_what_comes_after_a_quiet_while_is_heard_of_at_the_next_look(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [1_000.0]
    monkeypatch.setattr(shared_reading, "monotonic", lambda: clock[0])
    shelf = Shelf()
    reading = SharedReading(shelf)

    async def woken(seconds: float, position: int) -> bool:
        """Let time pass, and say whether the next look wakes who gathers for ten seconds."""
        await asyncio.sleep(0)
        clock[0], shelf.position = clock[0] + seconds, position
        await reading.step()
        await asyncio.sleep(0)
        if not waiting[0].done():
            return False
        assert waiting[0].result() == position
        waiting[0] = asyncio.ensure_future(anext(wakes))
        return True

    async with reading.gathering(10.0).wakes() as wakes:
        waiting = [asyncio.ensure_future(anext(wakes))]
        assert await woken(0.1, 20)
        assert not await woken(0.1, 25)
        assert await woken(10.0, 25)
        assert not await woken(0.1, 26)
        assert await woken(10.0, 26)
        assert await woken(10.0, 26)
        assert not await woken(0.1, 26) and not await woken(0.1, 26), (
            "nothing moved: whoever stands by asks no more often"
        )
        assert await woken(0.1, 27), "it was quiet"
        assert not await woken(0.1, 28)
        waiting[0].cancel()
