"""Followed rooms: those that some socket of this process is subscribed to."""

import asyncio
from collections.abc import Awaitable, Callable

from domain.ids import RoomId
from domain.ports.database import Db
from gateway.realtime.room_frames import FramesBudget
from gateway.realtime.subscription import FollowedRoom
from projections import checkpoints


class FollowedRooms:
    """All of one process, and in which of them listeners came or went."""

    def __init__(self, db: Db, *, follow_lane: Callable[[RoomId], Awaitable[None]]) -> None:
        """`follow_lane` returns when the lane of a room is read, or the record in its place."""
        self.by_id: dict[RoomId, FollowedRoom] = {}
        self._db = db
        self._follow_lane = follow_lane
        self._opening: dict[RoomId, asyncio.Task[FollowedRoom]] = {}
        self._last_received = 0
        self._changed: set[RoomId] = set()
        self._budget = FramesBudget()

    def note_received(self, position: int) -> None:
        """Note that an entry of any lane was received."""
        self._last_received = max(self._last_received, position)

    async def open(self, room_id: RoomId) -> FollowedRoom:
        """Return a room that is followed from now on."""
        if (room := self.by_id.get(room_id)) is not None:
            return room
        if (opening := self._opening.get(room_id)) is None:
            # A task of its own: if the caller that began it is cancelled, the others that wait for it are not.
            opening = self._opening[room_id] = asyncio.get_running_loop().create_task(self._open(room_id))
            opening.add_done_callback(lambda task: task.cancelled() or task.exception())
        return await asyncio.shield(opening)

    def reopen(self, room: FollowedRoom) -> FollowedRoom:
        """Return the room that is followed under this id; it is `room` itself if it was forgotten since it was opened."""
        followed = self.by_id.setdefault(room.room_id, room)
        followed.copy_history(room)
        return followed

    def forget_idle(self) -> None:
        """Stop following the rooms that nobody is subscribed to."""
        for room in [room for room in self.by_id.values() if room.is_idle]:
            room.recent.clear()
            del self.by_id[room.room_id]

    def note_listeners_changed(self, room_id: RoomId) -> None:
        self._changed.add(room_id)

    def take_changed(self) -> list[RoomId]:
        """Return the rooms whose listeners came or went since the last call."""
        changed = list(self._changed)
        self._changed.clear()
        return changed

    def cancel(self) -> None:
        for task in self._opening.values():
            task.cancel()

    async def _open(self, room_id: RoomId) -> FollowedRoom:
        """Follow the room's lane first, then find how far its tables are."""
        try:
            await self._follow_lane(room_id)
            seen = await checkpoints.position(self._db, "live")
            # Frames that arrived meanwhile were dropped, because nobody followed the room yet.
            while seen < self._last_received:
                seen = await checkpoints.position(self._db, "live")
            # Meanwhile it may have been reopened: its subscriptions must not be left behind.
            return self.by_id.setdefault(
                room_id,
                FollowedRoom(room_id, seen, listeners_changed=self.note_listeners_changed, budget=self._budget),
            )
        finally:
            del self._opening[room_id]
