"""Folds: the states of streams, cached, and brought up to date by reading only new events.

The cache is a guess that guards check; the record is the truth. A stream is read page by page, beginning with the very
event that the cached fold ends with: if that event is not where and when it was, the fold is of another record, and the
stream is read from its start. A stream longer than a page is read from its snapshot, and one is made every
`SNAPSHOT_EVENTS`.
"""

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Generic, TypeVar

import structlog
from msgspec import Struct, structs

from domain.errors import EventUnreadableError
from domain.events import Recorded, Stream, UnknownEvent, UnreadableEvent
from domain.ids import StreamId
from domain.ports.record import Record, RecordUnavailableError, Snapshot, Snapshots

FOLDS_BYTES_MAX = 24 * 1024**2  # about, of each kind of stream, in one process
FOLD_PAGE_EVENTS = 1_000
SNAPSHOT_EVENTS = 500

State = TypeVar("State")
log = structlog.get_logger()

FOLD_BYTES = 800  # of a small state, with all that surrounds it
ITEM_BYTES = 100  # of one more id, name or variant in it


class Folded(Struct, Generic[State], frozen=True):
    """The state of a stream, and the version, position and time of its last event (0 and None if it has none).

    `unknown` is the topic of an event that this code does not know. Nothing may be decided on such a state.
    """

    state: State | None = None
    version: int = 0
    position: int = 0
    at: datetime | None = None
    unknown: str | None = None


class Folds:
    """The folded streams of one process."""

    def __init__(self, record: Record, snapshots: Snapshots | None = None) -> None:
        self._record = record
        self._snapshots = snapshots
        self._kept: dict[str, _Kept] = {}

    def cached(self, stream: Stream[State], stream_id: StreamId) -> Folded[State] | None:
        """Return the cached fold, if there is one."""
        return self._of(stream).get(stream_id)

    async def read(self, streams: Mapping[StreamId, Stream[Any]]) -> dict[StreamId, Folded[Any]]:
        """Bring these streams up to date from the record, and cache them."""
        folds: dict[StreamId, Folded[Any]] = {
            stream_id: self.cached(stream, stream_id) or Folded() for stream_id, stream in streams.items()
        }
        began = dict(folds)
        after = {stream_id: max(0, folded.version - 1) for stream_id, folded in folds.items()}
        is_first_page = True
        while after:
            found = await self._record.stream_pages(after, limit=FOLD_PAGE_EVENTS)
            further: dict[StreamId, int] = {}
            for stream_id, (events, is_last) in found.items():
                folded, new = folds[stream_id], events
                if after[stream_id] < folded.version:
                    if not events or (events[0].position, events[0].at) != (folded.position, folded.at):
                        self._of(streams[stream_id]).forget(stream_id)
                        folds[stream_id] = began[stream_id] = Folded()
                        further[stream_id] = 0
                        continue
                    new = events[1:]
                folds[stream_id] = folded = evolved(streams[stream_id], folded, new)
                if not is_last:
                    further[stream_id] = folded.version
            if further and is_first_page:
                for stream_id, folded in (await self._from_snapshots({s: streams[s] for s in further})).items():
                    if folded.version > folds[stream_id].version:
                        folds[stream_id] = began[stream_id] = folded
                        further[stream_id] = folded.version - 1
            is_first_page, after = False, further
        for stream_id, folded in folds.items():
            await self.keep(streams[stream_id], stream_id, folded, since=began[stream_id])
        return folds

    async def keep(
        self, stream: Stream[State], stream_id: StreamId, folded: Folded[State], *, since: Folded[State]
    ) -> None:
        """Cache a fold, and make a snapshot if enough happened since the last one."""
        self._of(stream).put(stream_id, folded)
        if folded.version // SNAPSHOT_EVENTS > since.version // SNAPSHOT_EVENTS:
            await self._make_snapshot(stream, stream_id, folded)

    def forget(self) -> None:
        """Forget all that is cached: something of it was erased."""
        self._kept.clear()

    def _of(self, stream: Stream[Any]) -> "_Kept":
        kept = self._kept.get(stream.kind)
        if kept is None:
            kept = self._kept[stream.kind] = _Kept()
        return kept

    async def _from_snapshots(self, streams: Mapping[StreamId, Stream[Any]]) -> dict[StreamId, Folded[Any]]:
        if self._snapshots is None:
            return {}
        found = await self._snapshots.newest(streams)
        return {
            stream_id: Folded(snapshot.state, snapshot.version, snapshot.position, snapshot.at)
            for stream_id, snapshot in found.items()
        }

    async def _make_snapshot(self, stream: Stream[Any], stream_id: StreamId, folded: Folded[Any]) -> None:
        """Make a snapshot. If that is impossible now, log it: another one will be made, and no command waits for it."""
        if self._snapshots is None or folded.unknown or folded.state is None or folded.at is None:
            return
        snapshot = Snapshot(folded.state, folded.version, folded.position, folded.at)
        try:
            await self._snapshots.keep(stream, stream_id, snapshot)
        except RecordUnavailableError as error:
            log.warning("a snapshot was not made", reason=str(error))


class _Kept:
    """The folds of one kind of stream; those longest unused are forgotten first. Each kind has its own space, so that
    the many messages do not displace memberships."""

    def __init__(self) -> None:
        self._folds: OrderedDict[int, tuple[Folded[Any], int]] = OrderedDict()  # by the ids' numbers, as `stream_id`
        self._bytes = 0

    def get(self, stream_id: StreamId) -> Folded[Any] | None:
        number = stream_id.int
        kept = self._folds.get(number)
        if kept is None:
            return None
        self._folds.move_to_end(number)
        return kept[0]

    def put(self, stream_id: StreamId, folded: Folded[Any]) -> None:
        """Keep the newer of two folds. Keep none of a stream that does not exist or has unknown events."""
        kept = self._folds.get(stream_id.int)
        if folded.version == 0 or folded.unknown or (kept is not None and kept[0].version > folded.version):
            return
        self.forget(stream_id)
        size = _bytes_of(folded.state)
        self._folds[stream_id.int] = (folded, size)
        self._bytes += size
        while self._bytes > FOLDS_BYTES_MAX:
            _, (_, freed) = self._folds.popitem(last=False)
            self._bytes -= freed

    def forget(self, stream_id: StreamId) -> None:
        kept = self._folds.pop(stream_id.int, None)
        self._bytes -= kept[1] if kept else 0


def evolved(stream: Stream[State], folded: Folded[State], events: Sequence[Recorded[Any]]) -> Folded[State]:
    """Return a fold with some more events of its stream."""
    if not events:
        return folded
    state, unknown = folded.state, folded.unknown
    for recorded in events:
        if isinstance(recorded.event, UnreadableEvent):  # it may have been a ban
            raise EventUnreadableError
        if isinstance(recorded.event, UnknownEvent):
            unknown = recorded.event.recorded_topic
        else:
            state = stream.evolve(state, recorded)
    last = events[-1]
    return Folded(state, last.version, last.position, last.at, unknown)


def _bytes_of(state: Any) -> int:
    """Return about how much memory a state takes."""
    if not isinstance(state, Struct):
        return FOLD_BYTES
    values = structs.astuple(state)
    return FOLD_BYTES + sum(
        len(value) * (ITEM_BYTES if isinstance(value, (tuple, frozenset)) else 1)
        for value in values
        if isinstance(value, (str, bytes, tuple, frozenset))
    )
