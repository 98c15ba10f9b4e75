"""Typing notices: somebody types in a room. Never recorded, and dropped first."""

import math
from collections import OrderedDict

from adapters.clock import monotonic
from domain.ids import RoomId, UserId
from gateway.protocol import server_frames
from gateway.protocol.framing import text_frame
from gateway.realtime.subscription import FollowedRoom

TYPING_SECONDS = 2.0
TYPISTS_REMEMBERED_MAX = 10_000


class TypingThrottle:
    """Lets one notice of a user and room through in `TYPING_SECONDS`."""

    def __init__(self) -> None:
        self._last: OrderedDict[tuple[RoomId, UserId], float] = OrderedDict()

    def passes(self, room_id: RoomId, user_id: UserId) -> bool:
        """Return whether a notice may be delivered now."""
        now, key = monotonic(), (room_id, user_id)
        if now - self._last.get(key, -math.inf) < TYPING_SECONDS:
            return False
        self._last[key] = now
        self._last.move_to_end(key)
        if len(self._last) > TYPISTS_REMEMBERED_MAX:
            self._last.popitem(last=False)
        return True


def deliver_typing(room: FollowedRoom, user_id: UserId) -> None:
    """Tell everybody else in the room."""
    frame = text_frame(server_frames.encode(server_frames.IsTyping(room.room_id, user_id)))
    for subscription in room.live:
        if subscription.user_id != user_id:
            subscription.outbox.push_ephemeral(frame)
