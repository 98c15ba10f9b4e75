"""Upload slots: how many uploads there may be at once: in this gateway, of one person, and from one address.

An upload has to make progress at a low rate on average. While more than half of the slots are taken, it has to be faster
from then on. If a new upload finds no free slot, it gets the slot of the slowest one that has been too slow for a while.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from domain.errors import BusyError, TooManyUploadsError
from domain.ids import UserId

UPLOAD_IDLE_SECONDS = 30.0
UPLOADS_AT_ONCE_MAX = 64
UPLOADS_OF_USER_MAX = 8  # at once, through one gateway: nobody alone keeps others from uploading
UPLOADS_OF_ADDRESS_MAX = 32
UPLOAD_BYTES_A_SECOND_MIN = 4 * 1024  # on average: what is slower only occupies a slot
# While more than half of the slots are taken: the rate, the seconds after which it must be kept, and the seconds that every
# upload has before another one may end it.
UPLOAD_SHORT_BYTES_A_SECOND_MIN = 64 * 1024
UPLOAD_SHORT_SECONDS = 10.0
UPLOAD_TRIED_SECONDS = 5.0

Clock = Callable[[], float]


class UploadSlot:
    """The slot of one upload. It counts the bytes (`add`), and says how long the next piece may take."""

    def __init__(self, user_id: UserId, address: str, clock: Clock) -> None:
        self.user_id = user_id
        self.address = address
        self._clock = clock
        self._bytes = 0
        self._begun_at = clock()
        self._mark: tuple[float, int] | None = None  # when slots got scarce, and how many bytes there were by then
        self._waiting: asyncio.Timeout | None = None
        self._is_over = False

    def add(self, count: int) -> None:
        self._bytes += count

    def complete(self) -> None:
        """Note that the upload is complete: nobody waits for the client any more."""
        self._is_over = True

    def mark(self, *, is_short: bool) -> None:
        """Begin, or stop, to measure its rate while slots are scarce."""
        if not is_short:
            self._mark = None
        elif self._mark is None:
            self._mark = self._clock(), self._bytes

    def seconds_left(self) -> float:
        """Return how many seconds its next piece may take. 0 or less: it was too slow on the whole."""
        if self._is_over:
            return 0.0
        now = self._clock()
        left = UPLOAD_IDLE_SECONDS + self._bytes / UPLOAD_BYTES_A_SECOND_MIN - (now - self._begun_at)
        if self._mark is not None:
            since, before = self._mark
            came = (self._bytes - before) / UPLOAD_SHORT_BYTES_A_SECOND_MIN
            left = min(left, UPLOAD_SHORT_SECONDS + came - (now - since))
        return min(UPLOAD_IDLE_SECONDS, left)

    @contextmanager
    def waiting(self, timeout: asyncio.Timeout) -> Iterator[None]:
        """Keep the time-out of a wait for the next piece, so that `end` can end the wait."""
        self._waiting = timeout
        try:
            yield
        finally:
            self._waiting = None

    def slowness(self) -> float | None:
        """Return by how much it is too slow for scarce slots, or None if it is not, or has not had its time yet."""
        since, before = self._mark or (self._begun_at, 0)
        seconds = self._clock() - since
        if self._is_over or seconds < UPLOAD_TRIED_SECONDS:
            return None
        slowness = UPLOAD_SHORT_BYTES_A_SECOND_MIN - (self._bytes - before) / seconds
        return slowness if slowness > 0 else None

    def end(self) -> None:
        """End this upload in favour of another one."""
        self._is_over = True
        if self._waiting is not None:
            self._waiting.reschedule(asyncio.get_running_loop().time())


class UploadSlots:
    def __init__(
        self,
        *,
        at_once: int = UPLOADS_AT_ONCE_MAX,
        of_user: int = UPLOADS_OF_USER_MAX,
        of_address: int = UPLOADS_OF_ADDRESS_MAX,
        clock: Clock = time.monotonic,
    ) -> None:
        self._at_once = at_once
        self._of_user = of_user
        self._of_address = of_address
        self._clock = clock
        self._taken: list[UploadSlot] = []

    @contextmanager
    def take(self, user_id: UserId, address: str) -> Iterator[UploadSlot]:
        """Take a slot for a block. Raise `TooManyUploadsError` if the person or address has enough, `BusyError` if none is free."""
        if Counter(slot.user_id for slot in self._taken)[user_id] >= self._of_user:
            raise TooManyUploadsError(1.0)
        if Counter(slot.address for slot in self._taken)[address] >= self._of_address:
            raise TooManyUploadsError(1.0)
        if len(self._taken) >= self._at_once:
            self._end_slowest()
        slot = UploadSlot(user_id, address, self._clock)
        self._taken.append(slot)
        self._mark()
        try:
            yield slot
        finally:
            if slot in self._taken:  # otherwise another upload has it now
                self._taken.remove(slot)
                self._mark()

    def _end_slowest(self) -> None:
        """Free the slot of the slowest upload, the oldest of equally slow ones. Raise `BusyError` if none is too slow."""
        slow = [(slowness, slot) for slot in self._taken if (slowness := slot.slowness()) is not None]
        if not slow:
            raise BusyError
        _, slowest = max(
            slow, key=lambda each: each[0]
        )  # the first of equals; they are in the order in which they began
        self._taken.remove(slowest)
        slowest.end()

    def _mark(self) -> None:
        for slot in self._taken:
            slot.mark(is_short=2 * len(self._taken) > self._at_once)
