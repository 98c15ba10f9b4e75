"""The doors of the house: what commands, projections, gateway and workers ask of the world.

`adapters/` holds the real ones and, in memory, the fakes that the same contract suites hold to them.
"""

from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, NamedTuple, Protocol, TypeVar

from msgspec import Struct

from domain.errors import ReadableError
from domain.events import Caller, Event, Recorded, Stream
from domain.file_snapshot import Scan
from domain.ids import RecordId, RoomId, SessionId, StreamId, UserId
from domain.quotas import Quota
from domain.tasks import Task

Row = TypeVar("Row")
ClaimKind = Literal["email", "username", "username_skeleton"]


class Db(Protocol):
    """Queries on a pool, or on the one connection of a transaction. Rows are built by position: `row(*columns)`."""

    async def all(self, row: Callable[..., Row], sql: str, *args: object) -> list[Row]: ...
    async def one(self, row: Callable[..., Row], sql: str, *args: object) -> Row | None: ...
    async def value(self, sql: str, *args: object) -> Any: ...
    async def run(self, sql: str, *args: object) -> str: ...
    async def copy(self, table: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
        """Append rows to `schema.table` by COPY."""

    def transaction(self, *, durable: bool = True) -> "AbstractAsyncContextManager[Db]":
        """One transaction; `durable=False` (for what can be rebuilt) does not wait for the disk at commit."""


# The record


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

    facts: tuple[Recorded[Event], ...]


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


class RoomPage(NamedTuple):
    """A page of what a room hears; `is_last`: there is nothing beyond it."""

    events: Sequence[Recorded[Event]]
    is_last: bool


class Record(Protocol):
    """The truth. Whatever is returned was committed; positions are seen without holes."""

    async def append(self, append: Append) -> Answer:
        """Append all or nothing, durably. Raises `Busy` when too much waits, `RecordUnavailable` when unreachable."""

    async def head(self) -> Head: ...

    async def streams(
        self, ids: Sequence[StreamId], *, after: Mapping[StreamId, int] | None = None, limit: int | None = None
    ) -> Mapping[StreamId, Sequence[Recorded[Event]]]:
        """Return the events of each stream in order, those later than its version in `after`, at most `limit` of each;
        a stream that does not exist has none."""

    async def after(self, position: int, *, until: int | None = None, limit: int) -> Sequence[Recorded[Event]]:
        """Return at most `limit` events after a position (and up to `until`), in order."""

    async def room_after(self, room_id: RoomId, position: int, *, until: int, limit: int) -> RoomPage:
        """Return at most `limit` events that this room hears after a position and up to `until`, in order: fewer, but at
        least one, where they hold more than `REPLAY_PAGE_BYTES_MAX`."""

    async def room_before(self, room_id: RoomId, position: int, *, limit: int) -> RoomPage:
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
        """Put one in the place of an older one. Raises `RecordUnavailable`."""


class RecordReplaced(Exception):
    """The record is another one than this process knows: it was replaced by an earlier state of itself. Begin anew."""


class RecordUnavailable(ReadableError):
    """Postgres cannot be reached or does not answer; whether a write was written is unknown: repeat it with its ids."""


class NothingWritten(RecordUnavailable):
    """Postgres answered that it did nothing: a lock, a statement or a place took too long, or it takes no writes now."""


class KeysMissing(RecordUnavailable):
    """A data key that the record needs is not in the vault. What it sealed is not erased, but cannot be read now: who
    follows the record waits, and nobody replaces or removes anything meanwhile."""


class RecordLocked(NothingWritten):
    """Somebody else holds a lock that was waited for long enough; nothing was written."""


# Blobs


class StoredBlob(Struct, frozen=True):
    blob: str
    size_bytes: int
    stored_at: datetime


class Blobs(Protocol):
    """Bytes, each under the SHA-256 of themselves in hex. Raises `BlobsUnavailable` when the store does not answer."""

    def staging(self) -> Path:
        """Return the folder of this machine in which bytes are gathered before they are put; it exists."""

    async def put(self, blob: str, file: Path) -> None:
        """Take a file of the staging folder; durable when this returns. What is there already is put again, as before.
        The file is gone afterwards, also when this fails."""

    def read(self, blob: str, *, start: int = 0, length: int | None = None) -> AsyncIterator[bytes]:
        """Return the bytes from `start` on (at most `length`), piece by piece. Raises `BlobMissing`."""

    def local(self, blob: str) -> AbstractAsyncContextManager[Path]:
        """A file of this machine with these bytes, to be read within the block. Raises `BlobMissing`."""

    async def delete(self, blob: str) -> None:
        """Remove bytes; those that are not there are removed already."""

    def every(self) -> AsyncIterator[Sequence[StoredBlob]]:
        """Return everything that is stored, a page at a time."""

    async def clear(self, before: datetime) -> int:
        """Remove what was begun before a moment and never finished; answers how many."""

    async def address(self, blob: str, *, disposition: str, mime_type: str) -> str | None:
        """Return an address under which whoever has it may read the bytes for a short while; None: there is none."""

    async def ping(self) -> None: ...

    async def close(self) -> None: ...


class BlobMissing(Exception):
    """There are no such bytes in the store."""


class BlobsUnavailable(ReadableError):
    """The blob store does not answer, or refuses; whether something was stored is unknown: put it again."""


# The saga's helpers


class Verdict(Struct, frozen=True):
    """What a scanner says; `signature` None: clean."""

    scan: Scan
    signature: str | None = None


class AboutScanner(Struct, frozen=True):
    """`name` with its version; `signatures_at`: how new what it knows is, None where it does not say."""

    name: str
    signatures_at: datetime | None = None


class Scanner(Protocol):
    """Judges bytes. Whatever goes wrong raises `ScannerUnavailable`, and nothing that was not judged is clean."""

    async def scan(self, pieces: AsyncIterator[bytes]) -> Verdict:
        """Raises `Unscannable` where no further try will help: the file is too large for the scanner."""

    async def ping(self) -> None: ...
    async def about(self) -> AboutScanner: ...


class ScannerUnavailable(Exception):
    """The scanner does not answer, or not in a way that could be believed."""


class Unscannable(Exception):
    """The scanner will never judge this file."""


class Tasks(Protocol):
    """The queue of what is to be done with files. It may forget everything: the record remembers."""

    async def add(self, *tasks: Task) -> int:
        """Queue tasks that are not queued yet; answers how many. Raises `TasksUnavailable`."""


class TasksUnavailable(ReadableError):
    """The queue does not answer."""


# The door


class Passwords(Protocol):
    """Hashing is dear: who waits for it does so by address and account (`domain.quotas` names both), each in turn.

    Raises `Busy` where too many wait.
    """

    def is_full_for(self, address: str) -> bool:
        """Whether somebody of this address would be refused with `Busy` at this moment."""

    async def hash(self, password: str, *, address: str, account: str) -> str: ...
    async def verify(self, password: str, hashed: str | None, *, address: str, account: str) -> bool:
        """Take the same time whether the hash is known (given) or not (None: always False)."""

    def is_outdated(self, hashed: str) -> bool:
        """Whether a hash was made with other parameters than those of today."""

    def is_common(self, password: str) -> bool:
        """Whether it stands on the list of common and breached passwords."""


class Access(Struct, frozen=True):
    """What a valid access token says."""

    user_id: UserId
    session_id: SessionId
    expires_at: datetime


class Refreshing(Struct, frozen=True):
    """A refresh token: whose session, and what the record keeps of it (SHA-256: the token is random enough)."""

    session_id: SessionId
    token: str
    hash: str


class Tokens(Protocol):
    """Access tokens: JWT (RFC 9068), signed with EdDSA by keys of our own table. Refresh tokens: opaque."""

    def access(
        self, *, user_id: UserId, session_id: SessionId, now: datetime, until: datetime | None = None
    ) -> tuple[str, int]:
        """Return a token and how many seconds it lives: `ACCESS_SECONDS`, and not beyond `until`."""

    def read(self, token: str, now: datetime) -> Access:
        """Raise `BadToken` for whatever is not a live access token of ours."""

    def refresh(self, session_id: SessionId, *, after: str = "", key: str | None = None) -> Refreshing:
        """Return a refresh token. With `key` it is a function of the token that it comes `after`, and of the key."""

    def read_refresh(self, token: str) -> Refreshing:
        """Raise `BadRefreshToken` for whatever was never a refresh token of ours, spent or not."""

    def jwks(self, now: datetime) -> dict[str, list[dict[str, str]]]:
        """The public keys that sign, will sign or have signed what still lives (RFC 7517), the newest first."""

    async def reload(self) -> None:
        """Read the keys anew."""


class Tickets(Protocol):
    """What a socket may show in its address: good for one use, for half a minute, for one session and origin."""

    def issue(self, access: Access, origin: str, now: datetime) -> str: ...

    async def spend(self, ticket: str, origin: str, now: datetime) -> Access:
        """Return the access it was issued for. Raises `BadToken` for any other ticket than a live unspent one."""


class Mail(Struct, frozen=True):
    """A mail in plain text."""

    to: str
    subject: str
    text: str


class MailUnavailable(Exception):
    """The mail server did not take a mail."""


class Mails(Protocol):
    async def send(self, mail: Mail) -> None:
        """Hand a mail over; raises `MailUnavailable`."""


class Standing(Struct, frozen=True):
    """How one quota stands after a request: what is left of it, and in how many seconds it will be full again."""

    quota: Quota
    remaining: int
    full_in_seconds: float


class Allowance(Struct, frozen=True):
    """Whether a request may go on; where not, in how many seconds the same one would. `standings` is () where nothing is limited."""

    ok: bool = True
    retry_after_seconds: float = 0.0
    standings: tuple[Standing, ...] = ()


class Limits(Protocol):
    """GCRA, exact across all processes of a house while Redis answers, and within this process while it does not."""

    async def take(self, whose: str, *quotas: Quota | None) -> Allowance:
        """Take each quota's cost, or nothing at all where one of them has not enough. None: not limited. Never raises."""

    async def give_back(self, whose: str, *quotas: Quota | None) -> None:
        """Undo a take: what it was taken for turned out not to count."""


Clock = Callable[[], datetime]
Chance = Callable[[int], bytes]
