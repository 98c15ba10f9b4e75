"""What a follower hands over is taken instead of read, and is the same: no event twice, none left out, nothing kept for long."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, cast
from uuid import UUID

import pytest

from domain.events import Event, Meta, Recorded, UnknownEvent
from domain.ids import EventId, StreamId
from domain.ports.record import Record
from workers import handed_over
from workers.handed_over import HandedOver

DAY = datetime(2026, 11, 27, tzinfo=UTC)
NOBODY = UUID(int=0)


def events_of(first: int, last: int) -> list[Recorded[Event]]:
    meta = Meta(EventId(NOBODY), "")
    return [
        Recorded(at, StreamId(NOBODY), 1, DAY, UnknownEvent("some.topic", None), meta) for at in range(first, last + 1)
    ]


class Shelf:
    """A record of twenty events, which remembers from where it was read."""

    def __init__(self) -> None:
        self.read: list[int] = []

    async def after(self, position: int, *, until: int | None = None, limit: int) -> Sequence[Recorded[Any]]:
        self.read.append(position)
        return events_of(position + 1, min(20, position + limit))


async def positions(kept: HandedOver, after: int, *, until: int | None = None, limit: int = 100) -> list[int]:
    return [each.position for each in await kept.after(after, until=until, limit=limit)]


async def test_what_was_handed_over_is_taken_and_what_was_not_is_read() -> None:
    shelf = Shelf()
    kept = HandedOver(cast(Record, shelf))
    assert await positions(kept, 3) == list(range(4, 21))
    kept.hand_over(events_of(5, 9))
    kept.hand_over(events_of(10, 12))
    assert await positions(kept, 3, limit=2) == [4, 5], "it begins later: the record is asked"
    assert shelf.read == [3, 3]
    assert await positions(kept, 5, limit=6) == [6, 7, 8, 9, 10, 11]
    assert await positions(kept, 6, until=8) == [7, 8]
    assert await positions(kept, 11) == [12]
    assert shelf.read == [3, 3]
    assert await positions(kept, 12, limit=1) == [13]
    assert await positions(kept, 4, limit=1) == [5], "what was passed is forgotten, and can be read again"
    assert shelf.read == [3, 3, 12, 4]


async def test_a_gap_is_not_passed_over() -> None:
    shelf = Shelf()
    kept = HandedOver(cast(Record, shelf))
    kept.hand_over(events_of(1, 3))
    kept.hand_over(events_of(6, 7))
    assert await positions(kept, 0, limit=7) == [1, 2, 3, 4, 5, 6, 7]
    assert shelf.read == [0]
    assert await positions(kept, 5) == [6, 7]
    assert shelf.read == [0]


async def test_nothing_is_kept_for_long_and_never_much(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(handed_over, "KEPT_SECONDS", 0.02)
    shelf = Shelf()
    kept = HandedOver(cast(Record, shelf))
    kept.hand_over(events_of(1, 3))
    async with asyncio.timeout(5):
        while kept._kept:
            await asyncio.sleep(0.005)
    assert kept._bytes == 0
    monkeypatch.setattr(handed_over, "KEPT_BYTES_MAX", 4_000)
    kept.hand_over(events_of(4, 5))
    kept.hand_over(events_of(6, 7))
    assert [events[0].position for _, events in kept._kept] == [6]
    kept.hand_over(events_of(8, 20))
    assert not kept._kept
