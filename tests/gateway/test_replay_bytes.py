"""What is read of the record for those who are behind, and kept for those who are a little behind, is bounded in bytes."""

from uuid import uuid4

from adapters.postgres.event_store import REPLAY_PAGE_BYTES_MAX
from commands.account import RegisterAccount
from commands.message import PostMessage
from commands.room import OpenRoom
from domain.events import Caller
from domain.ids import MessageId, RoomId, UserId
from gateway.realtime.history import REPLAY_PAGE_EVENTS
from gateway.realtime.room_frames import ROOM_RING_BYTES_MAX, FramesBudget, RecentFrames, RoomFrame
from tests.deployments import ledger

LONG = "é" * 10_000
MESSAGES = 60
ROOMS = 20
FRAME = b"x" * (ROOM_RING_BYTES_MAX // 4)


async def test_a_page_of_a_room_ends_where_it_holds_enough(database_url: str) -> None:
    async with ledger(database_url) as (_, record, command_bus):
        ada, room_id = UserId(uuid4()), RoomId(uuid4())
        await command_bus.do(RegisterAccount(ada, "ada@example.com", "ada", "hash"), Caller())
        await command_bus.do(OpenRoom(room_id, "Lobby"), Caller(user_id=ada))
        for _ in range(MESSAGES):
            await command_bus.do(PostMessage(room_id, MessageId(uuid4()), LONG), Caller(user_id=ada))
        head = (await record.head()).position
        found: list[int] = []
        place = pages = 0
        while True:
            events, is_last = await record.room_after(room_id, place, until=head, limit=REPLAY_PAGE_EVENTS)
            assert len(events) <= 1 + REPLAY_PAGE_BYTES_MAX // 20_000
            found += [recorded.position for recorded in events]
            pages += 1
            if is_last:
                break
            place = events[-1].position
        assert pages == 2
        assert found == list(range(found[0], head + 1))
        events, is_last = await record.room_before(room_id, head + 1, limit=REPLAY_PAGE_EVENTS)
        assert (events[0].position, is_last) == (head, False)
        assert len(events) <= 1 + REPLAY_PAGE_BYTES_MAX // 20_000
        before, is_last = await record.room_before(room_id, events[-1].position, limit=REPLAY_PAGE_EVENTS)
        assert (before[-1].position, is_last) == (found[0], True)


def test_the_recent_frames_of_all_rooms_have_one_bound() -> None:
    budget = FramesBudget(bytes_max=8 * len(FRAME))
    rooms = [RecentFrames(budget) for _ in range(ROOMS)]
    for position, room in enumerate([*rooms, rooms[-4]], 1):
        room.add(RoomFrame(position, 0, FRAME, None, b"message.posted"))
        assert sum(each.bytes for each in rooms) == budget.bytes <= 8 * len(FRAME)
    kept = [i for i, room in enumerate(rooms) if len(room)]
    assert kept == list(range(ROOMS - 7, ROOMS))
    assert len(rooms[-4]) == 2
    for room in rooms:
        room.clear()
    assert budget.bytes == 0
