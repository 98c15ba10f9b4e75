"""The watch on the database's clock: an event's time can never be taken back, so a clock that leaps is not believed.

Two others say what the clock may be now: this machine's own, and the last reading of the database's clock plus the time
that has passed since. If the database's clock is further ahead of both than the bound, nothing is written until it is
mended or an operator accepts it (`hansard clock accept`, which is recorded). A record whose last event is that late
already goes on, because nothing leaps any more.
"""

import time
from collections.abc import Callable
from datetime import datetime, timedelta

from adapters.clock import now
from domain.bounds import CLOCK_AHEAD_SECONDS_MAX
from domain.ports.clock import Clock
from domain.ports.record import NothingWrittenError

# Counts while a machine sleeps, where the system has such a clock: waking up is no leap.
UPTIME = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


class ClockLeaptError(NothingWrittenError):
    """The database's clock is too far ahead to be believed; nothing was written."""


class ClockWatch:
    """What one process knows of the database's clock."""

    def __init__(
        self,
        ahead_seconds_max: float = CLOCK_AHEAD_SECONDS_MAX,
        *,
        own: Clock = now,
        uptime: Callable[[], float] = lambda: time.clock_gettime(UPTIME),
    ) -> None:
        self.ahead_max = timedelta(seconds=ahead_seconds_max)
        self._own = own
        self._uptime = uptime
        self._said: tuple[datetime, float] | None = None
        self._recorded: datetime | None = None

    def latest(self) -> datetime:
        """Return the latest time that the database may say now and be believed."""
        expected = self._own()
        if self._said is not None:
            at, uptime = self._said
            expected = min(expected, at + timedelta(seconds=self._uptime() - uptime))
        return max(expected, self._recorded or expected) + self.ahead_max

    def reading(self) -> datetime | None:
        """Return the time that the record's clock says now, as far as that is known without asking it; None: it was never heard."""
        if self._said is None:
            return None
        at, uptime = self._said
        return max(at + timedelta(seconds=self._uptime() - uptime), self._recorded or at)

    def believe(self, clock: datetime, recorded: datetime) -> None:
        """Go on from what the database says now, and from the record's last time."""
        self._said = (clock, self._uptime())
        self._recorded = recorded

    def ahead(self, clock: datetime) -> timedelta:
        """Return how far what the database says now is ahead of this machine's clock; negative: behind it."""
        return clock - self._own()

    def judge(self, clock: datetime, recorded: datetime) -> None:
        """Believe what the database says now, or raise `ClockLeaptError`; `recorded` is the record's last time."""
        latest = max(self.latest(), recorded + self.ahead_max)
        if clock > latest:
            raise ClockLeaptError(
                f"The database's clock says {clock:%Y-%m-%d %H:%M:%S} UTC, this machine's {self._own():%Y-%m-%d %H:%M:%S} "
                f"UTC, and the last event was recorded at {recorded:%Y-%m-%d %H:%M:%S} UTC: set the clock that is wrong "
                "(NTP), or, where it is right, run 'hansard clock accept'."
            )
        self.believe(clock, recorded)
