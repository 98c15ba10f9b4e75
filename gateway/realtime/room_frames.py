"""Room frames: what a room's listeners get, and the newest of them, kept for those who are a little behind."""

from collections import deque
from typing import NamedTuple
from uuid import UUID

from domain.bounds import ROOM_RING_BYTES_MAX, ROOM_RING_FRAMES_MAX
from domain.room import History


class RoomFrame(NamedTuple):
    """A whole frame (`gateway/protocol/framing.py`) of a room's event, and what delivering it depends on.

    `prev` is the position of the room's event before it. `ended` is the user whose membership ends with the event.
    `posted` is the position of the posting that the event is about, which must lie within a member's history; it is None
    where the event is about nothing older than itself, and in rooms whose history everybody sees. `history` is the room's
    after the event, where the event may have changed it.
    """

    position: int
    prev: int
    frame: bytes
    ended: UUID | None
    topic: bytes
    posted: int | None = None
    history: History | None = None


class RecentFrames:
    """The newest frames of one room, without a gap, bounded by count and bytes."""

    def __init__(self) -> None:
        self._frames: deque[RoomFrame] = deque()
        self._bytes = 0

    def add(self, frame: RoomFrame) -> None:
        self._frames.append(frame)
        self._bytes += len(frame.frame)
        while len(self._frames) > ROOM_RING_FRAMES_MAX or self._bytes > ROOM_RING_BYTES_MAX:
            self._bytes -= len(self._frames.popleft().frame)

    def clear(self) -> None:
        self._frames.clear()
        self._bytes = 0

    def after(self, position: int) -> list[RoomFrame] | None:
        """Return the frames after a position, or None if not all of them are kept."""
        if not self._frames or self._frames[0].prev > position:
            return None
        return [frame for frame in self._frames if frame.position > position]
