"""The unit of work: what one attempt at one command loaded, writes and claims, and what became of it."""

from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Protocol, TypeVar
from uuid import UUID

from msgspec import Struct
from msgspec.structs import replace

from commands.folds import Folded
from domain.events import Caller, Event, Recorded, Stream
from domain.ids import StreamId, UserId
from domain.ports.clock import Clock
from domain.ports.record import Append, Claim, ClaimKind, Receipt, Record, Write

State = TypeVar("State")
E = TypeVar("E", bound=Event)


class Outcome(Struct, frozen=True):
    """What became of a command. `facts` is () if nothing had to change. `position` is what a reader may wait for.

    `postponed` is the command that will be done in its place a little later: it is accepted as that, whatever comes.
    """

    events: tuple[Recorded[Event], ...]
    position: int
    replayed: bool
    folds: Mapping[StreamId, Folded[Any]]
    postponed: Struct | None = None

    def recorded(self, kind: type[E]) -> Recorded[E] | None:
        """Return the first fact of this kind, if there is one."""
        for recorded in self.events:
            if isinstance(recorded.event, kind):
                return recorded  # type: ignore[return-value]
        return None

    def folded(self, stream: Stream[State], *key: UUID) -> Folded[State]:
        """Return a stream of this command as it is now; a stream that it never looked at is empty."""
        return self.folds.get(stream.id(*key), Folded())


class Postponed(Struct, frozen=True):
    """A command that was accepted, and is done when it is due; of two for one stream the one of the higher rank."""

    stream: StreamId
    due: datetime
    rank: int
    command: Struct


class Streams(Protocol):
    """What a unit of work loads from."""

    now: Clock

    @property
    def record(self) -> Record: ...

    def at_hand(self, stream: Stream[State], stream_id: StreamId) -> Folded[State] | None: ...

    async def read(self, streams: Mapping[StreamId, Stream[Any]]) -> dict[StreamId, Folded[Any]]: ...


class UnitOfWork:
    """One attempt at one command: what it loaded and what it is going to write."""

    def __init__(self, streams: Streams, caller: Caller, *, fresh: bool) -> None:
        self.caller = caller
        self.now = streams.now()
        self.assumed = False
        self.conflicted = False
        self.claims: list[Claim] = []
        self.folds: dict[StreamId, Folded[Any]] = {}
        self.unguarded: set[StreamId] = set()
        self.writes: dict[StreamId, tuple[Stream[Any], list[Event]]] = {}
        self.postponed: Postponed | None = None
        self._streams = streams
        self._fresh = fresh

    async def load(self, stream: Stream[State], *key: UUID) -> State | None:
        """Return the state of a stream, None if it has no event. Its version guards what is decided."""
        await self.load_all((stream, key))
        return self.folds[stream.id(*key)].state

    async def load_all(self, *wanted: tuple[Stream[Any], Sequence[UUID]]) -> tuple[Any, ...]:
        """Return several states with at most one read."""
        streams = {stream.id(*key): stream for stream, key in wanted}
        missing: dict[StreamId, Stream[Any]] = {}
        for stream_id, stream in streams.items():
            if stream_id in self.folds:
                continue
            at_hand = None if self._fresh else self._streams.at_hand(stream, stream_id)
            if at_hand is None:
                missing[stream_id] = stream
            else:
                self.folds[stream_id] = at_hand
                self.assumed = True
        if missing:
            self.folds |= await self._streams.read(missing)
        return tuple(self.folds[stream.id(*key)].state for stream, key in wanted)

    async def peek(self, stream: Stream[State], *key: UUID) -> State | None:
        """Load without a guard: for what can never change in a way that matters."""
        self.unguarded.add(stream.id(*key))
        return await self.load(stream, *key)

    async def glance(self, stream: Stream[State], *key: UUID) -> State | None:
        """Return the state of a stream that is neither guarded nor written: what it was a moment ago is good enough."""
        return await self._seen(stream, stream.id(*key))

    async def claimed(self, stream: Stream[State], kind: ClaimKind, value: str) -> State | None:
        """Return the state of the stream that holds a claim, as a glance; None if none does."""
        stream_id = await self._streams.record.claimant(kind, value)
        return None if stream_id is None else await self._seen(stream, stream_id)

    async def _seen(self, stream: Stream[State], stream_id: StreamId) -> State | None:
        at_hand = None if self._fresh else self._streams.at_hand(stream, stream_id)
        found: Folded[State] = at_hand or (await self._streams.read({stream_id: stream}))[stream_id]
        return found.state

    async def load_new(self, stream: Stream[State], *key: UUID) -> State | None:
        """Load a stream that most likely does not exist: the first attempt takes that for granted, without a read."""
        stream_id = stream.id(*key)
        if self._fresh or self._streams.at_hand(stream, stream_id) is not None:
            return await self.load(stream, *key)
        self.assumed = True
        self.folds[stream_id] = Folded()
        return None

    def version(self, stream: Stream[Any], *key: UUID) -> int:
        """Return the version at which a stream was loaded."""
        return self.folds[stream.id(*key)].version

    def write(self, stream: Stream[Any], *key: UUID, events: Sequence[Event]) -> None:
        """Note what a loaded stream is to be given; the first stream noted is what the command is about."""
        stream_id = stream.id(*key)
        assert stream_id in self.folds, "a stream is loaded before it is written"
        self.writes.setdefault(stream_id, (stream, []))[1].extend(events)

    def claim(self, kind: ClaimKind, value: str, *, stream: StreamId) -> None:
        self.claims.append(Claim(kind, value, stream))

    def release(self, kind: ClaimKind, value: str) -> None:
        self.claims.append(Claim(kind, value, None))

    async def holds(self, kind: ClaimKind, value: str, *, stream: StreamId) -> bool:
        """Return whether a stream holds a claim: what another one holds is not its to release."""
        return await self._streams.record.claimant(kind, value) == stream

    async def head(self) -> int:
        """Return the last position of the record."""
        return (await self._streams.record.head()).position

    def postpone(self, stream: Stream[Any], *key: UUID, seconds: float, rank: int, command: Struct) -> None:
        """Have another command run in the place of this one after some seconds.

        It names what was decided now, because the record will have moved on. Of several for one stream, the one of the
        highest rank runs.
        """
        self.postponed = Postponed(stream.id(*key), self.now + timedelta(seconds=seconds), rank, command)

    def act_as(self, user_id: UserId) -> None:
        """Name the actor where the caller was a stranger until now: who registers or logs in."""
        self.caller = replace(self.caller, user_id=user_id)

    def written(self) -> tuple[Write, ...]:
        """Return what is to be appended, a write for each stream that is given events."""
        return tuple(
            Write(stream_id, self.folds[stream_id].version, tuple(events))
            for stream_id, (_, events) in self.writes.items()
            if events
        )

    def contended(self) -> Iterator[StreamId]:
        """Return the streams that others may write at the same time; one that is new is nobody else's."""
        return (stream_id for stream_id in self.writes if self.folds[stream_id].version)

    def append(self, command: Struct, writes: tuple[Write, ...], receipt: Receipt | None) -> Append:
        """Return the append of these writes; every other stream that was loaded guards it."""
        written = {write.stream for write in writes}
        guards = tuple(
            (stream_id, folded.version)
            for stream_id, folded in self.folds.items()
            if stream_id not in written and stream_id not in self.unguarded
        )
        return Append(type(command).__name__, self.caller, writes, guards, tuple(self.claims), receipt)

    def position(self) -> int:
        """Return the position of what the command is about, as it was loaded; 0 if it is about nothing."""
        about = next(iter(self.writes), None)
        return 0 if about is None else self.folds[about].position


Handler = Callable[[Any, UnitOfWork], Awaitable[None]]
