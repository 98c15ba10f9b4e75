"""Room frames: what a room's listeners get, and the newest of them, kept for those who are a little behind."""

from collections import deque
from typing import NamedTuple
from uuid import UUID

from domain.room import History

ROOM_RING_FRAMES_MAX = 256
ROOM_RING_BYTES_MAX = 1024 * 1024
ROOM_RINGS_BYTES_MAX = 64 * 1024 * 1024  # of all rooms of a gateway


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

    def __init__(self, budget: "FramesBudget") -> None:
        self.bytes = 0
        self._frames: deque[RoomFrame] = deque()
        self._budget = budget

    def __len__(self) -> int:
        return len(self._frames)

    def add(self, frame: RoomFrame) -> None:
        self._frames.append(frame)
        self.bytes += len(frame.frame)
        while len(self._frames) > ROOM_RING_FRAMES_MAX or self.bytes > ROOM_RING_BYTES_MAX:
            self.bytes -= len(self._frames.popleft().frame)
        self._budget.keep(self)

    def clear(self) -> None:
        self._frames.clear()
        self.bytes = 0
        self._budget.release(self)

    def after(self, position: int) -> list[RoomFrame] | None:
        """Return the frames after a position, or None if not all of them are kept."""
        if not self._frames or self._frames[0].prev > position:
            return None
        return [frame for frame in self._frames if frame.position > position]


class FramesBudget:
    """One bound in bytes for the recent frames of all rooms of a process.

    Those of the room in which nothing was fanned out for longest go first; who is a little behind there reads the record.
    """

    def __init__(self, bytes_max: int = ROOM_RINGS_BYTES_MAX) -> None:
        self.bytes = 0
        self._bytes_max = bytes_max
        self._kept: dict[RecentFrames, int] = {}

    def keep(self, recent: RecentFrames) -> None:
        """Count what a room keeps now that it got a frame, and make room for it."""
        self.bytes += recent.bytes - self._kept.pop(recent, 0)
        self._kept[recent] = recent.bytes
        while self.bytes > self._bytes_max:
            next(iter(self._kept)).clear()

    def release(self, recent: RecentFrames) -> None:
        """Count a room as keeping nothing."""
        self.bytes -= self._kept.pop(recent, 0)
