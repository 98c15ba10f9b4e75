"""What a gateway's writer hands over to the projector beside it: the very events of the record, taken where they follow, and not
kept."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import pytest

from domain.events import Caller, Event, Meta, Recorded
from domain.ids import EventId, MessageId, RoomId, SessionId, StreamId, UserId
from domain.message import MessagePosted
from projections import LIVE, checkpoints
from tests.deployments import running
from tests.projections.test_parking import scene
from workers import handed_events
from workers.handed_events import HANDED_EVENTS_MAX, HandedEvents
from workers.projector import Follower


class Counted:
    """A record that says what was read of it."""

    def __init__(self, record: Any = None) -> None:
        self.record = record
        self.reads: list[int] = []
        self.heard: list[int] = []

    async def after(self, position: int, *, until: int | None = None, limit: int) -> Sequence[Recorded[Event]]:
        self.reads.append(position)
        return [] if self.record is None else await self.record.after(position, until=until, limit=limit)

    def hear(self, position: int) -> None:
        self.heard.append(position)
        if self.record is not None:
            self.record.hear(position)

    @asynccontextmanager
    async def wakes(self) -> AsyncIterator[AsyncIterator[int]]:
        async with self.record.wakes() as wakes:
            yield wakes


def events(*positions: int) -> list[Recorded[Event]]:
    return [_posted(position) for position in positions]


def _posted(position: int, content: str = "hello") -> Recorded[Event]:
    nobody = UUID(int=0)
    event = MessagePosted(MessageId(nobody), RoomId(nobody), UserId(nobody), content, "text", None, None)
    return Recorded(position, StreamId(nobody), 1, datetime.now(UTC), event, Meta(EventId(nobody), ""))


async def positions(handed: HandedEvents, after: int, **how: Any) -> list[int]:
    return [recorded.position for recorded in await handed.after(after, **{"limit": 100} | how)]


async def test_what_follows_without_a_gap_is_taken_and_everything_else_is_read() -> None:
    record = Counted()
    handed = HandedEvents(record, is_taken=lambda: True)
    handed.hand(events(8, 9))
    handed.hand(events(11, 12, 13))
    assert record.heard == [9, 13]
    assert await positions(handed, 7, limit=1) == [8]
    assert await positions(handed, 8) == [9], "what another process appended as 10 is not passed over"
    assert record.reads == []
    assert await positions(handed, 9) == [] and record.reads == [9]
    assert await positions(handed, 11, until=12) == [12], "11 was read meanwhile"
    assert await positions(handed, 12, until=12) == [] and record.reads == [9, 12]
    handed.hand(events(14))
    handed.forget()
    assert await positions(handed, 13) == [] and record.reads[-1] == 13


async def test_nothing_is_kept_for_whoever_does_not_take_it(monkeypatch: pytest.MonkeyPatch) -> None:
    time, record, is_owner = [100.0], Counted(), [False]
    monkeypatch.setattr(handed_events, "monotonic", lambda: time[0])
    handed = HandedEvents(record, is_taken=lambda: is_owner[0])
    handed.hand(events(1))
    is_owner[0] = True
    assert await positions(handed, 0) == [] and record.reads == [0], "on standby"
    handed.hand(events(2))
    time[0] += 0.9
    handed.hand(events(3))
    time[0] += 0.2
    assert await positions(handed, 1) == [] and record.reads == [0, 1], "too old: the record may be another one since"
    handed.hand(events(*range(4, 4 + HANDED_EVENTS_MAX)))
    handed.hand(events(4 + HANDED_EVENTS_MAX))
    assert await positions(handed, 3) == [] and record.reads == [0, 1, 3], "too far behind"


async def test_texts_are_forgotten_after_a_while_although_nobody_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(handed_events, "HANDED_SECONDS", 0.02)
    handed = HandedEvents(Counted(), is_taken=lambda: True)

    async def is_forgotten() -> None:
        async with asyncio.timeout(10):
            while handed._events:
                await asyncio.sleep(0.005)

    handed.hand(events(1))
    assert await positions(handed, 0) == [1]
    handed.hand(events(2))  # younger than those that the timer was set for
    first = handed._timer
    handed.hand(events(3))
    assert handed._timer is first, "one at most"
    await is_forgotten()
    assert (handed._bytes, handed._timer) == (0, None)
    handed.hand(events(4))
    await is_forgotten()


async def test_a_timer_that_fires_a_hair_early_forgets_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """A loop fires within its clock's resolution, and sums of seconds are rounded: to look again at once might go on for ever."""
    times = iter([10.0, 10.0])
    monkeypatch.setattr(handed_events, "HANDED_SECONDS", 0.02)
    monkeypatch.setattr(handed_events, "monotonic", lambda: next(times, 10.0199999))
    handed = HandedEvents(record := Counted(), is_taken=lambda: True)
    handed.hand(events(8))
    await asyncio.sleep(0.05)
    assert await positions(handed, 7) == [] and record.reads == [7]


async def test_long_texts_come_a_page_at_a_time_and_too_many_are_read_back() -> None:
    megabyte, record = "x" * 1024**2, Counted()
    handed = HandedEvents(record, is_taken=lambda: True)
    for position in range(1, 8):
        handed.hand([_posted(position, megabyte)])
    assert await positions(handed, 0) == [1, 2, 3, 4]
    assert await positions(handed, 4) == [5, 6, 7] and (record.reads, handed._bytes) == ([], 0)
    for position in range(8, 16):
        handed.hand([_posted(position, megabyte)])
    assert not handed._events, "eight of them are too much"
    handed.hand([_posted(16, megabyte)])
    assert await positions(handed, 15) == [16], "what comes then is kept again"


async def test_a_follower_beside_the_writer_reads_back_nothing_and_gets_what_it_would_have_read(
    database_url: str,
) -> None:
    async with scene(database_url) as here:
        record, taken = Counted(here.record), list[Recorded[Event]]()
        appender = here.record.appender
        handed = HandedEvents(record, is_taken=lambda: follower.lease is not None, answered=appender.answered)
        follower = Follower(LIVE, handed, here.db, owner="beside", committed=taken.extend)
        appender.hand_over_to(handed.hand)

        async def has_followed() -> None:
            head = (await here.record.head()).position
            async with asyncio.timeout(10):
                while await checkpoints.position(here.db, LIVE.name) < head:
                    await asyncio.sleep(0.005)

        async with running(follower.run()):
            await has_followed()
            before, since = list(record.reads), (await here.record.head()).position
            here.caller = Caller(
                here.user, SessionId(uuid4()), "a correlation", "a cause", "192.0.2.1", "a browser", "a reason"
            )
            for _ in range(5):
                await here.post(1)
                await has_followed()
        assert record.reads == before
        found = [recorded for recorded in taken if recorded.position > since]
        read = list(await here.record.after(since, limit=100))
        assert len(read) >= 5
        assert found == read and [each.meta for each in found] == [each.meta for each in read]
