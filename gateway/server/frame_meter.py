"""Frames of a socket's client, counted by their heads alone (RFC 6455 5.2), before anything else is done for them.

A frame costs one unit, and one more for every 4 KiB; so do its fragments, empty ones too. Control frames have a bound of
their own: a client needs a pong now and then. Whatever the operator's limits are, there is a rate that no client needs.
"""

from collections.abc import Callable

from adapters.clock import lapsed
from adapters.redis.rate_limits import Meter
from domain.bounds import FRAGMENTS_MAX, FRAME_BYTES_MAX, FRAME_UNIT_BYTES
from domain.quotas import Quota

FRAMES = Quota("frames", 5_000, 1, 10_000)
CONTROL_FRAMES = Quota("control frames", 10, 1, 100)
SHORTEST_HEAD_BYTES = 2


def cost_of(size: int) -> int:
    """Return what a frame of so many bytes costs."""
    return 1 + size // FRAME_UNIT_BYTES


class FrameMeter:
    """One socket's. Until `limit` is called, and where it says None, the rate that no client needs is the bound."""

    def __init__(self, clock: Callable[[], float] = lapsed) -> None:
        self._clock = clock
        self._frames = Meter(FRAMES, clock)
        self._control = Meter(CONTROL_FRAMES, clock)
        self._fragments = 0
        self._left = 0  # of the payload that is coming
        self._head = b""  # of a frame, as far as it has come

    def limit(self, quota: Quota | None) -> None:
        self._frames = Meter(quota or FRAMES, self._clock)

    def takes(self, units: int) -> bool:
        """Take so many units more, for what a frame asks; answers whether there were so many."""
        return self._frames.passes(units)

    def passes(self, data: bytes) -> bool:
        """Count the next bytes of the stream; answers False where they hold more than may come."""
        if self._head:
            data, self._head = self._head + data, b""
        at, size = self._left, len(data)
        while at < size:
            begins = at + _head_bytes(data, at, size)
            if begins > size:
                self._head, at = data[at:], size
                break
            length = data[at + 1] & 0x7F
            if length > 125:
                length = int.from_bytes(data[at + 2 : at + (4 if length == 126 else 10)], "big")
            if not self._charge(data[at] & 0x0F, length):
                return False
            at = begins + length
        self._left = at - size
        return True

    def _charge(self, opcode: int, length: int) -> bool:
        if opcode >= 8:
            return self._control.passes()
        self._fragments = self._fragments + 1 if opcode == 0 else 1
        # What is longer than a frame may be costs no more: it is closed for that.
        return self._fragments <= FRAGMENTS_MAX and self._frames.passes(
            1 if length > FRAME_BYTES_MAX else cost_of(length)
        )


def _head_bytes(data: bytes, at: int, size: int) -> int:
    """Return how long the head of the frame at this place is."""
    if size - at < SHORTEST_HEAD_BYTES:
        return SHORTEST_HEAD_BYTES
    second = data[at + 1]
    length = second & 0x7F
    return 2 + (0 if length < 126 else 2 if length == 126 else 8) + (4 if second & 0x80 else 0)
