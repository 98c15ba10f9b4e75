"""Other work: how many processors of this machine everybody else uses, of late. Where that cannot be known, all of them.

The kernel's count (Linux, `/proc/stat`) is the machine's, and in a container the host's: what is busy there is busy here.
What was done by us is taken off, once it is done: a hash that runs just now counts as somebody else's for some hundredths.
"""

import os
import time
from collections.abc import Callable
from contextlib import suppress

LOOK_SECONDS = 0.5
RESTING_FIELDS = (3, 4)  # idle and iowait, of user nice system idle iowait irq softirq steal (proc_stat(5))
FIELDS = 8


class OtherWork:
    """Looks at most every `LOOK_SECONDS`; in between it says what it saw last."""

    def __init__(
        self, busy_seconds: Callable[[], float | None] | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """`busy_seconds` answers all processors' time since whenever, None where nobody counts it."""
        self._busy_seconds = busy_seconds or machine_busy_seconds
        self._clock = clock
        self._own = 0.0
        self._busy: float | None = None
        self._looked_at = 0.0
        self._processors = float("inf")

    def note(self, seconds: float) -> None:
        """Take off what was done by us."""
        self._own += seconds

    def processors(self) -> float:
        """Return how many processors are busy with something else; infinity until that is known."""
        elapsed = self._clock() - self._looked_at
        if self._busy is not None and elapsed < LOOK_SECONDS:
            return self._processors
        busy, before = self._busy_seconds(), self._busy
        self._busy, self._looked_at = busy, self._looked_at + elapsed
        if busy is not None and before is not None:
            self._processors = max(0.0, busy - before - self._own) / elapsed
        self._own = 0.0
        return self._processors


def machine_busy_seconds() -> float | None:
    """Return the seconds that all processors worked since the machine began, or None where the kernel does not say."""
    with suppress(OSError, ValueError, IndexError), open("/proc/stat", encoding="ascii") as counts:
        fields = [int(field) for field in counts.readline().split()[1 : FIELDS + 1]]
        return (sum(fields) - sum(fields[i] for i in RESTING_FIELDS)) / os.sysconf("SC_CLK_TCK")
    return None
