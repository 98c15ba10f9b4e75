"""Derived ids: the ids of system messages. They are functions of positions, so they are known before they are used."""

from uuid import UUID

from domain.ids import system_message_id

DERIVED_VERSION = 5  # of a UUID: no other can be derived (RFC 9562 5.5)
AHEAD_POSITIONS = 20_000
BEHIND_POSITIONS = 10_000  # more than read tables may lag while a gateway is ready
MARK_BYTES = 6  # of an id; enough to find the one position that it may be derived from


class DerivedIds:
    """The ids that are derived from the positions around the head. They are computed when they are needed."""

    def __init__(self) -> None:
        self._marks: dict[bytes, int] = {}
        self._positions = range(0)

    def near(self, message_id: UUID, head: int) -> bool:
        """Return whether an id is derived from a position that was recorded lately, or will be soon."""
        self._move(range(max(1, head - BEHIND_POSITIONS), head + AHEAD_POSITIONS + 1))
        position = self._marks.get(message_id.bytes[:MARK_BYTES])
        return position is not None and system_message_id(position) == message_id

    def _move(self, positions: range) -> None:
        """Compute the ids of positions that are new in this range. That is little while the head moves little."""
        known = self._positions
        if known.start <= positions.start and positions.stop <= known.stop:
            return  # a head that was read earlier may arrive later
        if positions.start >= known.stop or positions.start < known.start:
            self._marks, known = {}, range(positions.start, positions.start)
        for position in range(known.start, positions.start):
            self._marks.pop(_mark(position), None)
        for position in range(known.stop, positions.stop):
            self._marks[_mark(position)] = position
        self._positions = positions


def _mark(position: int) -> bytes:
    return system_message_id(position).bytes[:MARK_BYTES]
