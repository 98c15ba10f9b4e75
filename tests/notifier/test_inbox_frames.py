"""Frames of inboxes on their lane: several in an entry, each told once, whoever publishes and whatever answer is lost."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest

from adapters.redis.lanes import NOTIFICATIONS, Lanes, LanesUnavailableError, NotificationEntry
from domain.events import Meta, Recorded
from domain.ids import EventId, MessageId, RecordId, RoomId, StreamId, UserId
from gateway.realtime.notification_lane import NotificationLane
from projections import LIVE, frames
from projections import NOTIFICATIONS as INBOXES
from projections.frames import Control, Own, decode_control, encode_control
from projections.notification_frames import own_of
from projections.notifications import SELECT_TOLD, Notified, Told, told_since
from tests.conftest import Servers, fresh_database
from tests.deployments import PLAN_MODES, rows_met, until
from tests.notifier.desks import Notifier, notifier
from workers import notification_frames
from workers.notification_frames import ENTRY_FRAMES, ENTRY_FRAMES_MAX, NotificationFrames, entries_of

NOBODY = UUID(int=0)
AT = datetime(2026, 11, 27, 12, tzinfo=UTC)
# Twenty thousand that are told to those who follow a room, and then three that inboxes show.
HIDDEN_ROWS = """
    INSERT INTO read.notifications (account_id, position, kind, at, is_here, in_room)
    SELECT gen_random_uuid(), n, CASE WHEN n <= 20000 THEN 'room' ELSE 'mention' END, now(), false, true
    FROM generate_series(1, 20003) n
"""


def told(position: int) -> Told:
    """Return a row of somebody's inbox."""
    room_id, message_id = RoomId(uuid4()), MessageId(uuid4())
    return Told(position, UserId(uuid4()), "mention", room_id, message_id, None, UserId(uuid4()), AT, None)


def shapes(rows: Sequence[Told]) -> list[tuple[int, int, int]]:
    """Return of each entry its position, its part, and how many frames it has."""
    entries = entries_of(rows)
    owns = [decode_control(entry.frame).own for entry in entries]
    assert [each for own in owns for each in own] == [own_of(row) for row in rows], "each once, and in order"
    return [(entry.position, entry.part, len(own)) for entry, own in zip(entries, owns, strict=True)]


def test_an_entry_has_frames_of_several_positions_and_ends_with_one() -> None:
    few = [told(position) for position in range(1, ENTRY_FRAMES + 4)]
    assert shapes(few) == [(ENTRY_FRAMES, 0, ENTRY_FRAMES), (ENTRY_FRAMES + 3, 0, 3)]
    assert shapes([told(1)] + [told(2)] * 2 * ENTRY_FRAMES + [told(3)]) == [(2, 0, 1 + 2 * ENTRY_FRAMES), (3, 0, 1)]
    many = [told(1), *[told(2)] * (2 * ENTRY_FRAMES_MAX), told(3)]
    assert shapes(many) == [(2, 0, ENTRY_FRAMES_MAX), (2, 1, ENTRY_FRAMES_MAX), (2, 2, 1), (3, 0, 1)]
    assert shapes([]) == []


def test_a_frame_of_a_row_is_that_of_its_event() -> None:
    row = told(7)
    event = Notified(row.user_id, row.kind, row.room_id, row.message_id, row.file_id, row.thread_id)
    meta = Meta(EventId(NOBODY), "", actor=row.actor_id)
    control = frames.control(Recorded(row.position, StreamId(NOBODY), 0, row.at, event, meta))
    assert control is not None
    assert [(own.user_id, own.frame) for own in control.own] == [(row.user_id, own_of(row).frame)]


async def test_of_an_entry_that_begins_before_what_was_healed_the_rest_is_sent() -> None:
    sent: list[int] = []

    def send(control: Control) -> None:
        sent.extend(own.position or control.position for own in control.own)

    class Inbox:
        """Inboxes that are filled up to 6."""

        async def value(self, *_: object) -> int:
            return 6

    lane = NotificationLane(Inbox(), apply=send)  # type: ignore[arg-type]
    await lane.begin()
    somebody = UserId(uuid4())

    def entry(last: int, *positions: int) -> Any:
        return NotificationEntry(
            last, 0, encode_control(Control(last, own=[Own(somebody, "{}", p) for p in positions]))
        )

    lane.take([entry(6, 5, 6), entry(8, 6, 7, 8), entry(9, 0), entry(10, 10)])
    assert sent == [7, 8, 9, 10], "an earlier release's entry has its position alone"


class LossyLanes(Lanes):
    """Lanes that do something else first, once, or lose the answer to a call, once."""

    before: Any = None
    loses = False

    def __init__(self, *given: Any, **more: Any) -> None:
        super().__init__(*given, **more)
        self.has_looked = asyncio.Event()

    async def published(self) -> int | None:
        self.has_looked.set()
        return await super().published()

    async def publish_notifications(self, entries: Sequence[NotificationEntry], *, after: int) -> bool:
        before, self.before = self.before, None
        if before is not None:
            await before()
        is_published = await super().publish_notifications(entries, after=after)
        loses, self.loses = self.loses, False
        if loses:
            raise LanesUnavailableError("Redis does not answer")
        return is_published


@asynccontextmanager
async def publishing(servers: Servers) -> AsyncIterator[tuple[Notifier, LossyLanes, NotificationFrames]]:
    """A notifier, lanes of a record that nothing was published of, and what publishes on them."""
    async with fresh_database(servers) as url, notifier(url) as desk:
        lanes = LossyLanes.open(servers.redis_url, RecordId(uuid4()), 1)
        made = NotificationFrames(desk.own, lanes)
        await made.step()
        yield desk, lanes, made
        await lanes.close()


async def told_by(lanes: Lanes) -> list[int]:
    """Return the positions of the frames on the lane."""
    _, entries = (await lanes.read({NOTIFICATIONS: "0-0"}))[NOTIFICATIONS]
    return [own.position for entry in entries for own in decode_control(entry.frame).own]


async def test_after_a_lost_answer_nobody_is_told_twice(servers: Servers) -> None:
    async with publishing(servers) as (desk, lanes, publisher):
        ada, ben = await desk.somebody(), await desk.somebody()
        room_id = await desk.room(ada, ben)
        await publisher.step()
        before = await told_by(lanes)
        said = [await desk.say(ada, room_id, f"@{ben.name}") for _ in range(2)]
        await desk.follow()
        lanes.loses = True
        with pytest.raises(LanesUnavailableError):
            await publisher.step()
        said.append(await desk.say(ada, room_id, f"@{ben.name}"))
        await desk.follow()
        await publisher.step()
        assert await told_by(lanes) == [*before, *said]


async def test_what_waited_for_the_events_own_tables_is_told_when_they_have_it(servers: Servers) -> None:
    """Nothing else is committed to inboxes meanwhile: nobody wakes who publishes."""
    async with publishing(servers) as (desk, lanes, publisher):
        ada, ben = await desk.somebody(), await desk.somebody()
        room_id = await desk.room(ada, ben)
        await desk.follow()
        await publisher.step()
        before = await told_by(lanes)
        said = await desk.say(ada, room_id, f"@{ben.name}")
        await desk.follow(INBOXES)
        lanes.has_looked.clear()
        running = asyncio.create_task(publisher.run())
        publisher.wake()
        await lanes.has_looked.wait()
        assert await told_by(lanes) == before
        await desk.follow(LIVE)

        async def is_told() -> bool:
            return await told_by(lanes) == [*before, said]

        await until(is_told)
        running.cancel()


async def test_of_two_that_publish_at_once_each_tells_what_the_other_did_not(servers: Servers) -> None:
    async with publishing(servers) as (desk, lanes, publisher):
        ada, ben = await desk.somebody(), await desk.somebody()
        room_id = await desk.room(ada, ben)
        await publisher.step()
        before = await told_by(lanes)
        said = [await desk.say(ada, room_id, f"@{ben.name}") for _ in range(3)]
        await desk.follow()

        async def others() -> None:
            rows = await told_since(desk.own, before[-1], said[1], limit=10)
            assert await lanes.publish_notifications(entries_of(rows), after=before[-1])

        lanes.before = others
        await publisher.step()
        assert await told_by(lanes) == [*before, *said]


async def test_what_inboxes_do_not_show_keeps_back_nothing_that_comes_after_it(
    servers: Servers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(notification_frames, "ROWS_MAX", 2)
    async with publishing(servers) as (desk, lanes, publisher):
        ada, ben = await desk.somebody(), await desk.somebody()
        room_id = await desk.room(ada, ben)
        await desk.want(ben, default="all")
        await desk.follow()
        await publisher.step()
        before = await told_by(lanes)
        for _ in range(4):
            await desk.say(ada, room_id, "for those who follow the room")
        said = await desk.say(ada, room_id, f"@{ben.name}")
        await desk.follow()
        assert await desk.db.value("SELECT count(*) FROM read.notifications WHERE kind = 'room'") == 4
        await publisher.step()
        assert await told_by(lanes) == [*before, said]


async def test_what_inboxes_do_not_show_is_not_even_looked_at(database_url: str) -> None:
    db = await asyncpg.connect(database_url)
    await db.execute(HIDDEN_ROWS)
    await db.execute("ANALYZE read.notifications")
    for mode in PLAN_MODES:
        assert await rows_met(db, mode, "notifications", SELECT_TOLD, 0, 30_000, 100) <= 10
    await db.close()


async def test_what_the_lane_had_and_has_no_more_is_not_told_again(servers: Servers) -> None:
    async with publishing(servers) as (desk, lanes, publisher):
        ada, ben = await desk.somebody(), await desk.somebody()
        room_id = await desk.room(ada, ben)
        late = NotificationFrames(desk.own, lanes)
        await late.step()
        await desk.say(ada, room_id, f"@{ben.name}")
        await desk.follow()
        assert await publisher.step() > 0
        await lanes._redis.xtrim(lanes._key(NOTIFICATIONS), maxlen=0, approximate=False)
        assert await late.step() == 0
        assert await lanes.last(NOTIFICATIONS) == "0-0"
