"""The unit of work: what one attempt at a command loaded, writes and claims; and the outcome of a command."""

from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Protocol, TypeVar, cast
from uuid import UUID

from msgspec import Struct
from msgspec.structs import replace

from commands.folds import Folded
from commands.glances import Glances
from domain.events import Caller, Event, Recorded, Stream
from domain.ids import StreamId, UserId
from domain.ports.clock import Clock
from domain.ports.record import Append, Claim, ClaimKind, Receipt, Record, Write

State = TypeVar("State")
E = TypeVar("E", bound=Event)


class Outcome(Struct, frozen=True):
    """What became of a command. `events` is () if nothing had to change. A reader may wait for `position`.

    `postponed` is the command that will be done in its place a little later. It is accepted already.
    """

    events: tuple[Recorded[Event], ...]
    position: int
    replayed: bool
    folds: Mapping[StreamId, Folded[Any]]
    postponed: Struct | None = None

    def recorded(self, kind: type[E]) -> Recorded[E] | None:
        """Return the first event of this kind, or None."""
        for recorded in self.events:
            if isinstance(recorded.event, kind):
                return recorded  # type: ignore[return-value]
        return None

    def folded(self, stream: Stream[State], *key: UUID) -> Folded[State]:
        """Return a stream of this command as it is now. A stream that the command did not load is empty."""
        return self.folds.get(stream.id(*key), Folded())


class Postponed(Struct, frozen=True):
    """A command that was accepted, and is done when it is due. Of two for one stream, the one with the higher rank is done."""

    stream: StreamId
    due: datetime
    rank: int
    command: Struct


class Streams(Protocol):
    """What a unit of work loads from."""

    now: Clock

    glances: Glances

    @property
    def record(self) -> Record: ...

    def cached(self, stream: Stream[State], stream_id: StreamId) -> Folded[State] | None: ...

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
        """Return the state of a stream, or None if it has no event. Its version becomes a guard."""
        [state] = await self.load_all((stream, key))
        return cast(State | None, state)

    async def load_all(self, *wanted: tuple[Stream[Any], Sequence[UUID]]) -> tuple[Any, ...]:
        """Return several states with at most one read."""
        folds, ids = self.folds, [stream.id(*key) for stream, key in wanted]
        missing: dict[StreamId, Stream[Any]] = {}
        for stream_id, (stream, _) in zip(ids, wanted, strict=True):
            if stream_id in folds:
                continue
            cached = None if self._fresh else self._streams.cached(stream, stream_id)
            if cached is None:
                missing[stream_id] = stream
            else:
                folds[stream_id] = cached
                self.assumed = True
        if missing:
            folds.update(await self._streams.read(missing))
        return tuple([folds[stream_id].state for stream_id in ids])

    async def peek(self, stream: Stream[State], *key: UUID) -> State | None:
        """Load without a guard, for a stream that can never change in a way that matters."""
        self.unguarded.add(stream.id(*key))
        return await self.load(stream, *key)

    async def glance(self, stream: Stream[State], *key: UUID) -> State | None:
        """Return the state of a stream that is neither guarded nor written: what it was half a minute ago is good enough."""
        [found] = await self.glance_all((stream, key))
        return found  # type: ignore[no-any-return]

    async def glance_all(self, *wanted: tuple[Stream[Any], Sequence[UUID]]) -> tuple[Any, ...]:
        """Return several states as `glance` does, with at most one read."""
        return await self._seen(*[(stream, stream.id(*key)) for stream, key in wanted])

    async def claimed(
        self, stream: Stream[State], kind: ClaimKind, value: str, *, holds: Callable[[State], bool]
    ) -> State | None:
        """Return the state of the stream that holds a claim, as a glance; None if none does. `holds` says of a state whether
        the claim is still its own."""
        stream_id = None if self._fresh else self._streams.glances.claimant(kind, value, self.now)
        if stream_id is not None:
            [found] = await self._seen((stream, stream_id))
            if found is not None and holds(found):
                return found  # type: ignore[no-any-return]
        stream_id = await self._streams.record.claimant(kind, value)
        if stream_id is None:
            return None
        self._streams.glances.keep_claimant(kind, value, stream_id, self.now)
        [found] = await self._seen((stream, stream_id))
        return found  # type: ignore[no-any-return]

    async def _seen(self, *wanted: tuple[Stream[Any], StreamId]) -> tuple[Any, ...]:
        glances, states = self._streams.glances, list[Any]()
        found = [None if self._fresh else glances.fold(stream_id, self.now) for _, stream_id in wanted]
        missing = {stream_id: stream for (stream, stream_id), seen in zip(wanted, found, strict=True) if seen is None}
        read = await self._streams.read(missing) if missing else {}
        for stream_id, folded in read.items():
            glances.keep(stream_id, folded, self.now)
        for (stream, stream_id), glance in zip(wanted, found, strict=True):
            own, seen = self._streams.cached(stream, stream_id), read[stream_id] if glance is None else glance
            states.append(own.state if own is not None and own.version > seen.version else seen.state)
        return tuple(states)

    async def load_new(self, stream: Stream[State], *key: UUID) -> State | None:
        """Load a stream that most likely does not exist: the first attempt takes that for granted, without a read."""
        stream_id = stream.id(*key)
        if self._fresh or self._streams.cached(stream, stream_id) is not None:
            return await self.load(stream, *key)
        self.assumed = True
        self.folds[stream_id] = Folded()
        return None

    def version(self, stream: Stream[Any], *key: UUID) -> int:
        """Return the version at which a stream was loaded."""
        return self.folds[stream.id(*key)].version

    def write(self, stream: Stream[Any], *key: UUID, events: Sequence[Event]) -> None:
        """Note the events that a loaded stream gets. The first stream noted is what the command is about."""
        stream_id = stream.id(*key)
        assert stream_id in self.folds, "a stream is loaded before it is written"
        self.writes.setdefault(stream_id, (stream, []))[1].extend(events)

    def claim(self, kind: ClaimKind, value: str, *, stream: StreamId) -> None:
        self.claims.append(Claim(kind, value, stream))

    def release(self, kind: ClaimKind, value: str) -> None:
        self.claims.append(Claim(kind, value, None))

    async def owns_claim(self, kind: ClaimKind, value: str, *, stream: StreamId) -> bool:
        """Return whether a claim belongs to this stream, which then may release it."""
        return await self._streams.record.claimant(kind, value) == stream

    async def head(self) -> int:
        """Return the last position of the record."""
        return (await self._streams.record.head()).position

    def postpone(self, stream: Stream[Any], *key: UUID, seconds: float, rank: int, command: Struct) -> None:
        """Have another command done in place of this one after some seconds.

        It names what was decided now, because the record will have moved on by then. Of several for one stream, the one
        with the highest rank is done.
        """
        self.postponed = Postponed(stream.id(*key), self.now + timedelta(seconds=seconds), rank, command)

    def act_as(self, user_id: UserId) -> None:
        """Name the actor of a caller who has no token yet: somebody who registers or logs in."""
        self.caller = replace(self.caller, user_id=user_id)

    def written(self) -> tuple[Write, ...]:
        """Return what is to be appended: a write for each stream that gets events."""
        return tuple(
            Write(stream_id, self.folds[stream_id].version, tuple(events))
            for stream_id, (_, events) in self.writes.items()
            if events
        )

    def contended(self) -> Iterator[StreamId]:
        """Return the streams that others may write at the same time. A new stream is not among them."""
        return (stream_id for stream_id in self.writes if self.folds[stream_id].version)

    def append(self, command: Struct, writes: tuple[Write, ...], receipt: Receipt | None) -> Append:
        """Return the append of these writes, guarded by every other stream that was loaded."""
        written = {write.stream for write in writes}
        guards = tuple(
            (stream_id, folded.version)
            for stream_id, folded in self.folds.items()
            if stream_id not in written and stream_id not in self.unguarded
        )
        return Append(type(command).__name__, self.caller, writes, guards, tuple(self.claims), receipt)

    def position(self) -> int:
        """Return the position of the stream that the command is about, as it was loaded, or 0 if there is none."""
        about = next(iter(self.writes), None)
        return 0 if about is None else self.folds[about].position


Handler = Callable[[Any, UnitOfWork], Awaitable[None]]
