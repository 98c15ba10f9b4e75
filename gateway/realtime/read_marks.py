"""Read marks that were accepted and that the read tables may not have yet, shown to their owner alone.

The record gets at most one mark of a member and room in five seconds (`commands/reading.py`), and the read tables follow the
record. Until then a mark is kept in Redis, so that every gateway shows it, and in this process, so that this one shows it
while Redis is away. All of it may be forgotten: then a mark is seen some seconds later.
"""

from collections import OrderedDict
from collections.abc import Mapping

import structlog

from adapters.clock import monotonic
from adapters.redis.cluster_state import (
    READ_MARKS_KEPT_SECONDS,
    READ_MARKS_OF_USER_MAX,
    ClusterState,
    ClusterStateUnavailableError,
)
from domain.ids import RoomId, UserId

READ_MARKS_USERS_MAX = 10_000
READ_MARKS_AWAY_SECONDS = 1.0

log = structlog.get_logger()
NONE: Mapping[RoomId, int] = {}


class ReadMarks:
    def __init__(self, cluster_state: ClusterState) -> None:
        self._cluster_state = cluster_state
        self._kept: OrderedDict[UserId, tuple[float, dict[RoomId, int]]] = OrderedDict()
        self._away_until = 0.0

    async def note(self, user_id: UserId, room_id: RoomId, position: int) -> None:
        """Keep a mark that was accepted. Marks go forward only."""
        self._forget_old()
        _, marks = self._kept.pop(user_id, (0.0, {}))
        marks[room_id] = max(position, marks.get(room_id, 0))
        if len(marks) > READ_MARKS_OF_USER_MAX:
            del marks[min(marks, key=marks.__getitem__)]
        self._kept[user_id] = monotonic() + READ_MARKS_KEPT_SECONDS, marks
        if not self._is_away():
            try:
                await self._cluster_state.mark(user_id, room_id, position)
            except ClusterStateUnavailableError as error:
                self._note_away(error)

    async def of(self, user_id: UserId) -> Mapping[RoomId, int]:
        """Return how far this user has read, by room, where the record may not have it yet."""
        self._forget_old()
        _, marks = self._kept.get(user_id, (0.0, NONE))
        if self._is_away():
            return marks
        try:
            everywhere = await self._cluster_state.marks(user_id)
        except ClusterStateUnavailableError as error:
            self._note_away(error)
            return marks
        return {room_id: max(everywhere.get(room_id, 0), marks.get(room_id, 0)) for room_id in {*everywhere, *marks}}

    def _forget_old(self) -> None:
        while self._kept:
            user_id, (until, _) = next(iter(self._kept.items()))
            if until > monotonic() and len(self._kept) <= READ_MARKS_USERS_MAX:
                return
            del self._kept[user_id]

    def _is_away(self) -> bool:
        return monotonic() < self._away_until

    def _note_away(self, error: ClusterStateUnavailableError) -> None:
        """Do not ask Redis for a moment: the caller has waited for it in vain, and the others need not."""
        self._away_until = monotonic() + READ_MARKS_AWAY_SECONDS
        log.warning("read marks are seen at once on this gateway alone", reason=str(error))
