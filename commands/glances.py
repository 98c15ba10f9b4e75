"""Glances: what was looked at without a guard, for some seconds. So a text that names somebody costs no look at the record each
time, and what another process wrote is seen half a minute later at most.
"""

from collections import OrderedDict
from datetime import datetime, timedelta
from typing import Any

from commands.folds import Folded
from domain.ids import StreamId
from domain.ports.record import ClaimKind

GLANCE_SECONDS = 30.0
GLANCES_MAX = 10_000

Key = StreamId | tuple[ClaimKind, str]


class Glances:
    """The glances of one process: folds by their streams, and the streams that hold claims; those looked at first are
    forgotten first."""

    def __init__(self) -> None:
        self._kept: OrderedDict[Key, tuple[Any, datetime]] = OrderedDict()

    def fold(self, stream_id: StreamId, now: datetime) -> Folded[Any] | None:
        """Return a stream as it was within the last seconds, if somebody looked."""
        found: Folded[Any] | None = self._get(stream_id, now)
        return found

    def claimant(self, kind: ClaimKind, value: str, now: datetime) -> StreamId | None:
        """Return the stream that held a claim within the last seconds, if somebody looked and there was one."""
        found: StreamId | None = self._get((kind, value), now)
        return found

    def keep(self, key: Key, found: Any, now: datetime) -> None:
        self._kept.pop(key, None)
        self._kept[key] = (found, now)
        while len(self._kept) > GLANCES_MAX:
            self._kept.popitem(last=False)

    def forget(self) -> None:
        self._kept.clear()

    def _get(self, key: Key, now: datetime) -> Any:
        found, at = self._kept.get(key, (None, now))
        return found if timedelta(0) <= now - at <= timedelta(seconds=GLANCE_SECONDS) else None
