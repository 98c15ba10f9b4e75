"""Frame meter: counts a client's frames by their headers alone (RFC 6455 5.2), before anything else is done for them.

A frame costs one unit, and one more for every 4 KiB; so does each of its fragments, empty ones too. Control frames have a
limit of their own, because a client needs a pong now and then. Without a limit of the operator's, `FRAMES` is the limit:
a rate that no client needs.
"""

from collections.abc import Callable

from adapters.clock import monotonic
from adapters.redis.rate_limits import Meter
from domain.bounds import FRAME_BYTES_MAX
from domain.quotas import Quota

FRAME_UNIT_BYTES = 4 * 1024  # so much of a frame is charged as one more
FRAGMENTS_MAX = 128

FRAMES = Quota("frames", 5_000, 1, 10_000)
CONTROL_FRAMES = Quota("control frames", 10, 1, 100)
SHORTEST_HEADER_BYTES = 2


def cost_of(size: int) -> int:
    """Return what a frame of `size` bytes costs."""
    return 1 + size // FRAME_UNIT_BYTES


class FrameMeter:
    """One socket's. Until `limit` is called with a quota, `FRAMES` is the limit."""

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._frames = Meter(FRAMES, clock)
        self._control = Meter(CONTROL_FRAMES, clock)
        self._fragments = 0
        self._payload_left = 0  # of the present frame, in bytes
        self._header = b""  # of the next frame, as far as it has come

    def limit(self, quota: Quota | None) -> None:
        self._frames = Meter(quota or FRAMES, self._clock)

    def takes(self, units: int) -> bool:
        """Take units for what a frame costs beyond its size. Return False if there were not so many left."""
        return self._frames.passes(units)

    def passes(self, data: bytes) -> bool:
        """Count the next bytes of the stream. Return False if they hold more than the client may send."""
        if self._header:
            data, self._header = self._header + data, b""
        at, size = self._payload_left, len(data)
        while at < size:
            begins = at + _header_bytes(data, at, size)
            if begins > size:
                self._header, at = data[at:], size
                break
            length = data[at + 1] & 0x7F
            if length > 125:
                length = int.from_bytes(data[at + 2 : at + (4 if length == 126 else 10)], "big")
            if not self._charge(data[at] & 0x0F, length):
                return False
            at = begins + length
        self._payload_left = at - size
        return True

    def _charge(self, opcode: int, length: int) -> bool:
        if opcode >= 8:
            return self._control.passes()
        self._fragments = self._fragments + 1 if opcode == 0 else 1
        # A frame that is too long costs one unit: the socket is closed for its length, not for its cost.
        return self._fragments <= FRAGMENTS_MAX and self._frames.passes(
            1 if length > FRAME_BYTES_MAX else cost_of(length)
        )


def _header_bytes(data: bytes, at: int, size: int) -> int:
    """Return how long the header of the frame at this offset is."""
    if size - at < SHORTEST_HEADER_BYTES:
        return SHORTEST_HEADER_BYTES
    second = data[at + 1]
    length = second & 0x7F
    return 2 + (0 if length < 126 else 2 if length == 126 else 8) + (4 if second & 0x80 else 0)
