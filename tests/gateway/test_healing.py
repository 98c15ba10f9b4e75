"""Healing: what a room is to be read up to may be raised while it is read; then it is read on, and nobody waits for a comparison."""

import asyncio
from types import SimpleNamespace
from typing import Any, cast
from uuid import UUID

from domain.ids import RoomId
from gateway.realtime.background_tasks import BackgroundTasks
from gateway.realtime.healing import Healing

ROOM = RoomId(UUID(int=1))


class Tables:
    """Read tables and record, both up to one position; `meanwhile` happens once as a page is read."""

    def __init__(self) -> None:
        self.position = 5
        self.meanwhile: Any = None

    async def value(self, sql: str, *args: object) -> int:
        return self.position

    async def page(self, room_id: RoomId, after: int, until: int) -> tuple[list[Any], int]:
        if self.meanwhile is not None:
            self.meanwhile()
            self.meanwhile = None
        return [SimpleNamespace(position=at) for at in range(after + 1, until + 1)], until


async def test_what_is_to_be_read_meanwhile_is_read_on_at_once() -> None:
    tables, tasks, told = Tables(), BackgroundTasks(), list[int]()
    room = cast(Any, SimpleNamespace(room_id=ROOM, seen=0, heal_until=0, is_healing=False))

    def broadcast(room: Any, frame: Any) -> None:
        told.append(frame.position)
        room.seen = frame.position

    healing = Healing(cast(Any, tables), cast(Any, tables), cast(Any, None), tasks, broadcast=broadcast)

    def committed() -> None:
        tables.position = 7
        healing.heal_soon(room, 7)

    tables.meanwhile = committed
    healing.heal_soon(room, 5)
    async with asyncio.timeout(10):
        while room.is_healing:
            await asyncio.sleep(0)
    assert told == [1, 2, 3, 4, 5, 6, 7]


async def test_what_the_tables_do_not_have_is_not_asked_for_again_and_again() -> None:
    tables, tasks = Tables(), BackgroundTasks()
    room = cast(Any, SimpleNamespace(room_id=ROOM, seen=0, heal_until=0, is_healing=False))
    healing = Healing(cast(Any, tables), cast(Any, tables), cast(Any, None), tasks, broadcast=lambda room, frame: None)
    healing.heal_soon(room, 9)
    async with asyncio.timeout(10):
        while room.is_healing:
            await asyncio.sleep(0)
    assert room.seen == 5
