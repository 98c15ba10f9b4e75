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
GLANCE = timedelta(seconds=GLANCE_SECONDS)
GLANCES_MAX = 10_000

Key = int | tuple[ClaimKind, str]  # a stream by its number, as `stream_id`


class Glances:
    """The glances of one process: folds by their streams, and the streams that hold claims; those looked at first are
    forgotten first."""

    def __init__(self) -> None:
        self._kept: OrderedDict[Key, tuple[Any, datetime, datetime]] = OrderedDict()  # since when, and until when

    def fold(self, stream_id: StreamId, now: datetime) -> Folded[Any] | None:
        """Return a stream as it was within the last seconds, if somebody looked."""
        found: Folded[Any] | None = self._get(stream_id.int, now)
        return found

    def claimant(self, kind: ClaimKind, value: str, now: datetime) -> StreamId | None:
        """Return the stream that held a claim within the last seconds, if somebody looked and there was one."""
        found: StreamId | None = self._get((kind, value), now)
        return found

    def keep(self, stream_id: StreamId, folded: Folded[Any], now: datetime) -> None:
        self._keep(stream_id.int, folded, now)

    def keep_claimant(self, kind: ClaimKind, value: str, stream_id: StreamId, now: datetime) -> None:
        self._keep((kind, value), stream_id, now)

    def forget(self) -> None:
        self._kept.clear()

    def _keep(self, key: Key, found: Any, now: datetime) -> None:
        self._kept.pop(key, None)
        self._kept[key] = (found, now, now + GLANCE)
        while len(self._kept) > GLANCES_MAX:
            self._kept.popitem(last=False)

    def _get(self, key: Key, now: datetime) -> Any:
        kept = self._kept.get(key)
        if kept is None:
            return None
        found, since, until = kept
        return found if since <= now <= until else None
