"""The record: what commands append to, and what projections, hubs and auditors read."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from typing import Any, Literal, NamedTuple, Protocol

from msgspec import Struct

from domain.errors import ReadableError
from domain.events import Caller, Event, Recorded, Stream
from domain.ids import RecordId, RoomId, StreamId

ClaimKind = Literal["email", "username", "username_skeleton", "push_endpoint"]


class Head(Struct, frozen=True):
    """The end of the record: its last position, the latest time on it, and what the clock says that gives the next one."""

    record: RecordId
    position: int
    at: datetime
    clock: datetime


class Write(Struct, frozen=True):
    """Events for one stream, which must be at version `expected` (0: must not exist)."""

    stream: StreamId
    expected: int
    events: tuple[Event, ...]


class Claim(Struct, frozen=True):
    """Claim a value for a stream (again is fine), or release it (`stream` None)."""

    kind: ClaimKind
    value: str
    stream: StreamId | None


class Receipt(Struct, frozen=True):
    """What an Idempotency-Key stands for: the digest of caller, method, path and key, and that of the body.

    `before` is the digest of the body that an earlier release would have kept. It is compared, and never kept.
    """

    digest: bytes
    request: bytes
    before: bytes | None = None


class Append(Struct, frozen=True):
    """All that one command writes, and what it depends on: `guards` are other streams, with the versions that it saw."""

    command: str
    caller: Caller
    writes: tuple[Write, ...]
    guards: tuple[tuple[StreamId, int], ...] = ()
    claims: tuple[Claim, ...] = ()
    receipt: Receipt | None = None


class Appended(Struct, frozen=True):
    """It is on the disk. The events come in the order of the writes."""

    events: tuple[Recorded[Event], ...]


class Conflicted(Struct, frozen=True):
    """A stream was not at the version that the decision saw; nothing was written."""


class ClaimTaken(Struct, frozen=True):
    """Somebody else holds this claim; nothing was written."""

    kind: ClaimKind


class ReceiptFound(Struct, frozen=True):
    """The key was used before: the positions then written, and the digest of the body then sent."""

    first: int
    last: int
    request: bytes


Answer = Appended | Conflicted | ClaimTaken | ReceiptFound


class EventPage(NamedTuple):
    """A page of the events of a stream, or of those published in a room. `is_last`: there is nothing beyond it."""

    events: Sequence[Recorded[Event]]
    is_last: bool


class Record(Protocol):
    """The truth. Whatever is returned was committed, and positions are seen without gaps."""

    async def append(self, append: Append) -> Answer:
        """Append all or nothing, durably. Raise `BusyError` if too much waits, `RecordUnavailableError` if Postgres is away."""

    async def head(self) -> Head: ...

    async def streams(
        self, ids: Sequence[StreamId], *, after: Mapping[StreamId, int] | None = None
    ) -> Mapping[StreamId, Sequence[Recorded[Event]]]:
        """Return the events of each stream after its version in `after`, in order.

        A stream that does not exist has none. For streams that are short.
        """

    async def stream_pages(self, after: Mapping[StreamId, int], *, limit: int) -> Mapping[StreamId, EventPage]:
        """Return at most `limit` events of each stream after this version of it, in order.

        There are fewer, but at least one, if they hold more than `REPLAY_PAGE_BYTES_MAX`.
        """

    async def after(
        self, position: int, *, until: int | None = None, limit: int, metas: bool = True
    ) -> Sequence[Recorded[Event]]:
        """Return at most `limit` events after a position (and up to `until`), in order. Without `metas` they need not be read:
        theirs may say nothing.

        There are fewer, but at least one, if they hold more than `RECORD_PAGE_BYTES_MAX`: only an empty answer says that
        there are no more.
        """

    async def room_after(self, room_id: RoomId, position: int, *, until: int, limit: int) -> EventPage:
        """Return at most `limit` events of this room after a position and up to `until`, in order.

        There are fewer, but at least one, if they hold more than `REPLAY_PAGE_BYTES_MAX`.
        """

    async def room_before(self, room_id: RoomId, position: int, *, limit: int) -> EventPage:
        """Return the same of the events before a position, the latest first."""

    async def previous_in_rooms(self, rooms: Sequence[tuple[RoomId, int]]) -> Sequence[int]:
        """Return, for each (room, position), the position of the room's event before it, or 0 if there is none."""

    async def claimant(self, kind: ClaimKind, value: str) -> StreamId | None: ...

    async def receipt(self, digest: bytes) -> ReceiptFound | None: ...

    async def renew(self, known: RecordId, told: int) -> bool:
        """Give the record another id, if it has this one and ends before a position that was published."""

    def wakes(self) -> AbstractAsyncContextManager[AsyncIterator[int]]:
        """Follow NOTIFY: yield the head's position when something was appended, and at least every `POLL_SECONDS`."""


class EventsAfter(Protocol):
    """Events in the order of the record: all of them, or a part."""

    async def after(self, position: int, *, until: int, limit: int, metas: bool = True) -> Sequence[Recorded[Event]]:
        """Return at most `limit` events after a position and up to `until`, in order; only an empty answer says that there are no
        more."""


class DivisibleRecord(Record, Protocol):
    """A record that can be folded by several processes side by side."""

    def part(self, number: int, parts: int) -> EventsAfter:
        """Return the part `number`, from 0, of so many: those together are the record, and no room is in two of them."""


class Snapshot(Struct, frozen=True):
    """The state of a stream at a version, and the position and time of the event that made it."""

    state: Any
    version: int
    position: int
    at: datetime


class Snapshots(Protocol):
    """Snapshots of long streams. Any may be missing, and each is of one version of the fold."""

    async def newest(self, streams: Mapping[StreamId, Stream[Any]]) -> Mapping[StreamId, Snapshot]:
        """Return the newest snapshots that today's folds can use. A stream may have none."""

    async def keep(self, stream: Stream[Any], stream_id: StreamId, snapshot: Snapshot) -> None:
        """Replace an older snapshot. Raise `RecordUnavailableError`."""


class RecordReplacedError(Exception):
    """The record is not the one that this process knows: somebody restored an earlier state of it. Begin anew."""


class RecordUnavailableError(ReadableError):
    """Postgres cannot be reached or does not answer. Whether a write was written is unknown: repeat it with its ids."""


class NothingWrittenError(RecordUnavailableError):
    """Postgres answered that it did nothing: a lock, a statement or a place took too long, or it takes no writes now."""


class KeysMissingError(RecordUnavailableError):
    """A data key that the record needs is not in the vault. What it sealed is not erased, but cannot be read now: followers
    of the record wait, and nothing is replaced or removed meanwhile."""


class RecordLockedError(NothingWrittenError):
    """Somebody else holds a lock that was waited for long enough; nothing was written."""
