"""Healing: a room of which a frame was missed is read from the record before anything more of it is delivered.

A frame whose `prev` lies beyond the room's `seen` shows that one was missed. Lost frames that no other follows are found by
comparing the rooms with the read tables (`compare`).
"""

from collections.abc import Callable

import structlog

from domain.ports.database import Db
from domain.ports.record import RecordUnavailableError
from gateway.realtime.background_tasks import BackgroundTasks
from gateway.realtime.history import RoomHistory
from gateway.realtime.room_frames import RoomFrame
from gateway.realtime.rooms import FollowedRooms
from gateway.realtime.subscription import FollowedRoom
from projections import checkpoints, rooms

log = structlog.get_logger()


class Healing:
    def __init__(
        self,
        db: Db,
        history: RoomHistory,
        followed: FollowedRooms,
        tasks: BackgroundTasks,
        *,
        broadcast: Callable[[FollowedRoom, RoomFrame], None],
    ) -> None:
        self._db = db
        self._history = history
        self._followed = followed
        self._tasks = tasks
        self._broadcast = broadcast

    async def compare(self) -> None:
        """Heal the rooms in which the read tables are further than what was fanned out. Raise `RecordUnavailableError`."""
        for room_id, position in await rooms.activities(self._db, list(self._followed.by_id)):
            room = self._followed.by_id.get(room_id)
            if room is not None and position > room.seen:
                self.heal_soon(room, position)

    def heal_soon(self, room: FollowedRoom, until: int) -> None:
        """Have a room read from the record, at least up to a position."""
        room.heal_until = max(room.heal_until, until)
        if not room.is_healing:
            room.is_healing = True
            self._tasks.start(self._heal(room))

    async def _heal(self, room: FollowedRoom) -> None:
        """Read what was missed, up to what the read tables have, and fan it out."""
        try:
            while room.seen < room.heal_until:
                asked = room.heal_until
                until = await checkpoints.position(self._db, "live")
                page, complete = await self._history.page(room.room_id, room.seen, until)
                for frame in page:
                    if frame.position > room.seen:
                        self._broadcast(room, frame)
                room.seen = max(room.seen, complete)
                if complete == until and room.heal_until == asked:
                    break
        except RecordUnavailableError as error:
            log.warning("healing waits for Postgres", room=str(room.room_id), reason=str(error))
        finally:
            room.is_healing = False
