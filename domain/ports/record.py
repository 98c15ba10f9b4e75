"""The record: what commands append to, and what projections, hubs and auditors read."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from typing import Any, Literal, NamedTuple, Protocol

from msgspec import Struct

from domain.errors import ReadableError
from domain.events import Caller, Event, Recorded, Stream
from domain.ids import RecordId, RoomId, StreamId

ClaimKind = Literal["email", "username", "username_skeleton"]


class Head(Struct, frozen=True):
    """The end of the record: its last position, the latest time recorded, and what the clock says that gives the next."""

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
    """Take a value for a stream (`stream` given; taking one's own again is fine), or release it (None)."""

    kind: ClaimKind
    value: str
    stream: StreamId | None


class Receipt(Struct, frozen=True):
    """What an Idempotency-Key stands for: the digest of caller, method, path and key, and that of the body.

    `before`: what an earlier release would have kept for that of the body; it is compared, and never kept.
    """

    digest: bytes
    request: bytes
    before: bytes | None = None


class Append(Struct, frozen=True):
    """All that one command writes, and what it depends on: `guards` are other streams and the versions it saw."""

    command: str
    caller: Caller
    writes: tuple[Write, ...]
    guards: tuple[tuple[StreamId, int], ...] = ()
    claims: tuple[Claim, ...] = ()
    receipt: Receipt | None = None


class Appended(Struct, frozen=True):
    """It is on the disk; the facts come in the order of the writes."""

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
    """A page of what a room hears, or of a stream; `is_last`: there is nothing beyond it."""

    events: Sequence[Recorded[Event]]
    is_last: bool


class Record(Protocol):
    """The truth. Whatever is returned was committed; positions are seen without holes."""

    async def append(self, append: Append) -> Answer:
        """Append all or nothing, durably. Raises `BusyError` when too much waits, `RecordUnavailableError` when unreachable."""

    async def head(self) -> Head: ...

    async def streams(
        self, ids: Sequence[StreamId], *, after: Mapping[StreamId, int] | None = None
    ) -> Mapping[StreamId, Sequence[Recorded[Event]]]:
        """Return the events of each stream in order, those later than its version in `after`; a stream that does not
        exist has none. For streams that are short."""

    async def stream_pages(self, after: Mapping[StreamId, int], *, limit: int) -> Mapping[StreamId, EventPage]:
        """Return at most `limit` events of each stream later than this version of it, in order: fewer, but at least one,
        where they hold more than `REPLAY_PAGE_BYTES_MAX`."""

    async def after(self, position: int, *, until: int | None = None, limit: int) -> Sequence[Recorded[Event]]:
        """Return at most `limit` events after a position (and up to `until`), in order: fewer, but at least one where
        there is one, where they hold more than `RECORD_PAGE_BYTES_MAX`. Only an empty answer says that it was all."""

    async def room_after(self, room_id: RoomId, position: int, *, until: int, limit: int) -> EventPage:
        """Return at most `limit` events that this room hears after a position and up to `until`, in order: fewer, but at
        least one, where they hold more than `REPLAY_PAGE_BYTES_MAX`."""

    async def room_before(self, room_id: RoomId, position: int, *, limit: int) -> EventPage:
        """The same for those before a position, the latest first."""

    async def previous_in_rooms(self, rooms: Sequence[tuple[RoomId, int]]) -> Sequence[int]:
        """For each (room, position): the position of the event the room heard before it; 0 for none."""

    async def claimant(self, kind: ClaimKind, value: str) -> StreamId | None: ...

    async def receipt(self, digest: bytes) -> ReceiptFound | None: ...

    async def renew(self, known: RecordId, told: int) -> bool:
        """Give the record another id, where it has this one and ends before a position that was told of it."""

    def wakes(self) -> AbstractAsyncContextManager[AsyncIterator[int]]:
        """Follow NOTIFY: yields a head position when something was appended, and at least once a `POLL_SECONDS`."""


class Snapshot(Struct, frozen=True):
    """What a stream folds to; version, position and time are those of the last event folded."""

    state: Any
    version: int
    position: int
    at: datetime


class Snapshots(Protocol):
    """Short cuts to what long streams fold to; all may be missing. Each is of one version of the fold."""

    async def newest(self, streams: Mapping[StreamId, Stream[Any]]) -> Mapping[StreamId, Snapshot]:
        """Return those of today's folds; a stream may have none."""

    async def keep(self, stream: Stream[Any], stream_id: StreamId, snapshot: Snapshot) -> None:
        """Put one in the place of an older one. Raises `RecordUnavailableError`."""


class RecordReplacedError(Exception):
    """The record is another one than this process knows: it was replaced by an earlier state of itself. Begin anew."""


class RecordUnavailableError(ReadableError):
    """Postgres cannot be reached or does not answer; whether a write was written is unknown: repeat it with its ids."""


class NothingWrittenError(RecordUnavailableError):
    """Postgres answered that it did nothing: a lock, a statement or a place took too long, or it takes no writes now."""


class KeysMissingError(RecordUnavailableError):
    """A data key that the record needs is not in the vault. What it sealed is not erased, but cannot be read now: who
    follows the record waits, and nobody replaces or removes anything meanwhile."""


class RecordLockedError(NothingWrittenError):
    """Somebody else holds a lock that was waited for long enough; nothing was written."""
