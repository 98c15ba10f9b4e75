"""Upload slots: so many uploads at once in one gateway, of one person and of one address a few, and none that only holds one.

Each has to come on at a low rate on average. While more than half of the slots are taken each has to come on faster, from
then on; and who comes when none is free gets that of the slowest that was slower than that for a while.
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
UPLOAD_BYTES_A_SECOND_MIN = 4 * 1024  # on average: less is no upload but a place taken
# While more than half of the slots are taken: from then on, after so long; and how long one is tried before another's
# coming may end it.
UPLOAD_SHORT_BYTES_A_SECOND_MIN = 64 * 1024
UPLOAD_SHORT_SECONDS = 10.0
UPLOAD_TRIED_SECONDS = 5.0

Clock = Callable[[], float]


class UploadSlot:
    """One upload's: told what came (`add`), it says how long the next piece may take."""

    def __init__(self, user_id: UserId, address: str, clock: Clock) -> None:
        self.user_id = user_id
        self.address = address
        self._clock = clock
        self._bytes = 0
        self._begun_at = clock()
        self._mark: tuple[float, int] | None = None  # when slots ran short, and how much had come by then
        self._waiting: asyncio.Timeout | None = None
        self._is_over = False

    def add(self, count: int) -> None:
        self._bytes += count

    def complete(self) -> None:
        """Note that all of it has come: from here on nobody waits for the client."""
        self._is_over = True

    def mark(self, *, is_short: bool) -> None:
        """Begin to measure, or stop, how it comes on while slots are short."""
        if not is_short:
            self._mark = None
        elif self._mark is None:
            self._mark = self._clock(), self._bytes

    def seconds_left(self) -> float:
        """Return how long its next piece may take: not for ever, and on the whole it has to come on; 0 or less: no more."""
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
        """Have the time-out of a wait for the next piece at hand, so that `end` need not wait for it."""
        self._waiting = timeout
        try:
            yield
        finally:
            self._waiting = None

    def slowness(self) -> float | None:
        """Return by how much it is slower than slots that are short allow; None: it is not, or not for long enough."""
        since, before = self._mark or (self._begun_at, 0)
        seconds = self._clock() - since
        if self._is_over or seconds < UPLOAD_TRIED_SECONDS:
            return None
        slowness = UPLOAD_SHORT_BYTES_A_SECOND_MIN - (self._bytes - before) / seconds
        return slowness if slowness > 0 else None

    def end(self) -> None:
        """Give it up for another: the wait for its next piece is over."""
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
        """Take a slot for a block. Raises `BusyError`, and `TooManyUploadsError` for who has enough of them, or whose address has."""
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
            if slot in self._taken:  # or it was ended for another, who has it now
                self._taken.remove(slot)
                self._mark()

    def _end_slowest(self) -> None:
        """Free the slot of the slowest, of several equally slow ones of the oldest. Raises `BusyError` where none is slow."""
        slow = [(slowness, slot) for slot in self._taken if (slowness := slot.slowness()) is not None]
        if not slow:
            raise BusyError
        _, slowest = max(slow, key=lambda each: each[0])  # the first of equals: they stand in the order of coming
        self._taken.remove(slowest)
        slowest.end()

    def _mark(self) -> None:
        for slot in self._taken:
            slot.mark(is_short=2 * len(self._taken) > self._at_once)
