"""The desk: takes a command, lets its handler decide on what the record says, and has the outcome appended.

A handler loads the streams it needs, asks the domain for decisions, and notes what is to be written. Every stream that
it loaded and does not write becomes a guard, so nothing is appended that was decided on a state since gone. Folded
streams are kept in a bounded cache: an accepted command then needs no read and one round trip. A conflict, and any
refusal or silence that was decided on cached folds, is decided once more on streams read from the record.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any, Generic, TypeVar
from uuid import UUID

from msgspec import Struct
from msgspec.structs import replace

from domain.facts import Caller, Event, Recorded, Stream, UnknownEvent
from domain.ids import StreamId, UserId, uuid7
from domain.limits import DECIDE_TRIES_MAX, FOLDS_CACHED_MAX, POSTPONED_LAST_SECONDS, POSTPONED_MAX
from domain.ports import (
    Append,
    Appended,
    Chance,
    Claim,
    ClaimKind,
    ClaimTaken,
    Clock,
    Conflicted,
    Receipt,
    ReceiptFound,
    Record,
    RecordUnavailable,
    Write,
)
from domain.refusals import Busy, EmailTaken, IdempotencyMismatch, Refused, UsernameTaken, WriteContended

State = TypeVar("State")
E = TypeVar("E", bound=Event)
TAKEN: dict[ClaimKind, tuple[type[Refused], str]] = {
    "email": (EmailTaken, "/email"),
    "username": (UsernameTaken, "/username"),
    "username_skeleton": (UsernameTaken, "/username"),
}


class Folded(Struct, Generic[State], frozen=True):
    """A stream as it was seen: its state, and version, position and time of its last event (0 and None: no event)."""

    state: State | None = None
    version: int = 0
    position: int = 0
    at: datetime | None = None


class Outcome(Struct, frozen=True):
    """What became of a command. `facts` () means: nothing had to change. `position` is what a reader may wait for."""

    facts: tuple[Recorded[Event], ...]
    position: int
    replayed: bool
    folds: Mapping[StreamId, Folded[Any]]

    def fact(self, kind: type[E]) -> Recorded[E] | None:
        """Return the first fact of this kind, if there is one."""
        for fact in self.facts:
            if isinstance(fact.event, kind):
                return fact  # type: ignore[return-value]
        return None

    def folded(self, stream: Stream[State], *key: UUID) -> Folded[State]:
        """Return a stream of this command as it is now; a stream that it never looked at is empty."""
        return self.folds.get(stream.id(*key), Folded())


class Postponed(Struct, frozen=True):
    stream: StreamId
    due: datetime
    rank: int


class Work:
    """One attempt at one command: what it loaded and what it is going to write."""

    def __init__(self, desk: "Desk", caller: Caller, *, fresh: bool) -> None:
        self.caller = caller
        self.now = desk.now()
        self.assumed = False
        self.claims: list[Claim] = []
        self.folds: dict[StreamId, Folded[Any]] = {}
        self.unguarded: set[StreamId] = set()
        self.writes: dict[StreamId, tuple[Stream[Any], list[Event]]] = {}
        self.postponed: Postponed | None = None
        self._desk = desk
        self._fresh = fresh

    async def load(self, stream: Stream[State], *key: UUID) -> State | None:
        """Return the state of a stream, None when it has no event; what is decided will be guarded by its version."""
        await self.load_all((stream, key))
        return self.folds[stream.id(*key)].state

    async def load_all(self, *wanted: tuple[Stream[Any], Sequence[UUID]]) -> tuple[Any, ...]:
        """Return several states with at most one read."""
        streams = {stream.id(*key): stream for stream, key in wanted}
        missing: dict[StreamId, Stream[Any]] = {}
        for stream_id, stream in streams.items():
            if stream_id in self.folds:
                continue
            cached = None if self._fresh else self._desk.cached(stream_id)
            if cached is None:
                missing[stream_id] = stream
            else:
                self.folds[stream_id] = cached
                self.assumed = True
        if missing:
            self.folds |= await self._desk.read(missing)
        return tuple(self.folds[stream.id(*key)].state for stream, key in wanted)

    async def peek(self, stream: Stream[State], *key: UUID) -> State | None:
        """Load without a guard: for what can never change in a way that matters."""
        self.unguarded.add(stream.id(*key))
        return await self.load(stream, *key)

    async def load_new(self, stream: Stream[State], *key: UUID) -> State | None:
        """Load a stream that most likely does not exist: the first attempt takes that for granted, without a read."""
        stream_id = stream.id(*key)
        if self._fresh or self._desk.cached(stream_id) is not None:
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
        """Whether a stream holds a claim: what another one holds is not its to release."""
        return await self._desk.record.claimant(kind, value) == stream

    async def head(self) -> int:
        """Return the last position of the record."""
        return (await self._desk.record.head()).position

    def postpone(self, stream: Stream[Any], *key: UUID, seconds: float, rank: int) -> None:
        """Have this command run again in a while; of several for one stream, the one of the highest rank."""
        self.postponed = Postponed(stream.id(*key), self.now + timedelta(seconds=seconds), rank)

    def act_as(self, user_id: UserId) -> None:
        """Name the actor where the caller was a stranger until now: who registers or logs in."""
        self.caller = replace(self.caller, user_id=user_id)


Handler = Callable[[Any, Work], Awaitable[None]]


class Desk:
    """Runs commands against a record. One for a process; its cache is only ever a guess that guards check."""

    def __init__(self, record: Record, handlers: Mapping[type[Struct], Handler], *, now: Clock, chance: Chance) -> None:
        self.record = record
        self.now = now
        self._handlers = handlers
        self._chance = chance
        self._cache: OrderedDict[StreamId, Folded[Any]] = OrderedDict()
        self._postponed: dict[StreamId, tuple[Postponed, Struct, Caller]] = {}
        self._due = asyncio.Event()
        self._closing = False

    async def run(self) -> None:
        """Do postponed commands when they are due, for ever; on cancellation those that wait are done at once."""
        try:
            while True:
                await self._wait_for_due()
                await self.step()
        finally:
            self._closing = True
            with suppress(TimeoutError):  # marks are hints: no process stays for them
                async with asyncio.timeout(POSTPONED_LAST_SECONDS):
                    await self.step(everything=True)

    async def step(self, *, everything: bool = False) -> int:
        """Do the postponed commands that are due; answers how many."""
        now = self.now()
        due = [entry for entry in self._postponed.values() if everything or entry[0].due <= now]
        for postponed, command, caller in due:
            if self._postponed.get(postponed.stream, (None,))[0] is postponed:
                del self._postponed[postponed.stream]
            with suppress(Refused, RecordUnavailable):
                await self.do(command, caller)
        return len(due)

    def new_id(self) -> UUID:
        return uuid7(int(self.now().timestamp() * 1000), self._chance(10))

    async def do(self, command: Struct, caller: Caller, receipt: Receipt | None = None) -> Outcome:
        """Run a command to its end. Raises `Refused` for a no, and `RecordUnavailable` when nobody can know."""
        if receipt and (kept := await self.record.receipt(receipt.digest)):
            return await self._replay(kept, receipt)
        fresh = False
        for _ in range(DECIDE_TRIES_MAX):
            work = Work(self, caller, fresh=fresh)
            try:
                await self._handlers[type(command)](command, work)
            except Refused:
                if work.assumed:
                    fresh = True
                    continue
                if receipt and (kept := await self.record.receipt(receipt.digest)):
                    return await self._replay(kept, receipt)
                raise
            if work.postponed and not self._closing:
                self._postpone(work.postponed, command, caller)
                return Outcome((), _position(work), False, work.folds)
            writes = _writes(work)
            if not writes:
                if work.assumed:
                    fresh = True
                    continue
                return Outcome((), _position(work), False, work.folds)
            answer = await self.record.append(_append(command, work, writes, receipt))
            match answer:
                case Appended(facts):
                    folds = self._folded(work, facts)
                    return Outcome(facts, facts[-1].position, False, folds)
                case Conflicted():
                    self._forget(work)
                    fresh = True
                case ClaimTaken(kind):
                    refusal, pointer = TAKEN[kind]
                    raise refusal(pointer=pointer)
                case ReceiptFound():
                    assert receipt is not None, "only a receipt that was sent can be found"
                    return await self._replay(answer, receipt)
        raise WriteContended

    async def admit(self, probe: Callable[[Work], Awaitable[None]], caller: Caller) -> None:
        """Raise what `probe` refuses on the present state, as `do` would; nothing is written."""
        work = Work(self, caller, fresh=False)
        try:
            await probe(work)
        except Refused:
            if not work.assumed:
                raise
            await probe(Work(self, caller, fresh=True))

    async def see(self, stream: Stream[State], *key: UUID) -> Folded[State]:
        """Return a stream read from the record."""
        stream_id = stream.id(*key)
        return (await self.read({stream_id: stream}))[stream_id]

    def cached(self, stream_id: StreamId) -> Folded[Any] | None:
        folded = self._cache.get(stream_id)
        if folded is not None:
            self._cache.move_to_end(stream_id)
        return folded

    async def read(self, streams: Mapping[StreamId, Stream[Any]]) -> dict[StreamId, Folded[Any]]:
        """Fold these streams from the record, in one read, and keep them at hand."""
        found = await self.record.streams(list(streams))
        folds = {}
        for stream_id, stream in streams.items():
            folded: Folded[Any] = Folded()
            for fact in found[stream_id]:
                folded = _evolved(stream, folded, fact)
            folds[stream_id] = folded
            self._keep(stream_id, folded)
        return folds

    def _folded(self, work: Work, facts: Sequence[Recorded[Event]]) -> dict[StreamId, Folded[Any]]:
        folds = dict(work.folds)
        for fact in facts:
            folds[fact.stream] = _evolved(work.writes[fact.stream][0], folds[fact.stream], fact)
        for stream_id in {fact.stream for fact in facts}:
            self._keep(stream_id, folds[stream_id])
        return folds

    def _keep(self, stream_id: StreamId, folded: Folded[Any]) -> None:
        """Keep the newer of two folds of a stream; that one does not exist is not worth keeping."""
        kept = self._cache.get(stream_id)
        if folded.version == 0 or (kept is not None and kept.version > folded.version):
            return
        self._cache[stream_id] = folded
        self._cache.move_to_end(stream_id)
        if len(self._cache) > FOLDS_CACHED_MAX:
            self._cache.popitem(last=False)

    def _forget(self, work: Work) -> None:
        for stream_id in work.folds:
            self._cache.pop(stream_id, None)

    def _postpone(self, postponed: Postponed, command: Struct, caller: Caller) -> None:
        waiting = self._postponed.get(postponed.stream)
        if waiting is None or waiting[0].rank < postponed.rank:
            if waiting is None and len(self._postponed) >= POSTPONED_MAX:
                raise Busy
            self._postponed[postponed.stream] = (postponed, command, caller)
            self._due.set()

    async def _wait_for_due(self) -> None:
        self._due.clear()
        now = self.now()
        waits = [(entry[0].due - now).total_seconds() for entry in self._postponed.values()]
        with suppress(TimeoutError):
            async with asyncio.timeout(max(0.0, min(waits)) if waits else None):
                await self._due.wait()

    async def _replay(self, kept: ReceiptFound, receipt: Receipt) -> Outcome:
        if kept.request != receipt.request:
            raise IdempotencyMismatch
        facts = tuple(await self.record.after(kept.first - 1, until=kept.last, limit=kept.last - kept.first + 1))
        return Outcome(facts, kept.last, True, {})


def _evolved(stream: Stream[Any], folded: Folded[Any], fact: Recorded[Any]) -> Folded[Any]:
    state = folded.state if isinstance(fact.event, UnknownEvent) else stream.evolve(folded.state, fact)
    return Folded(state, fact.version, fact.position, fact.at)


def _writes(work: Work) -> tuple[Write, ...]:
    return tuple(
        Write(stream_id, work.folds[stream_id].version, tuple(events))
        for stream_id, (_, events) in work.writes.items()
        if events
    )


def _append(command: Struct, work: Work, writes: tuple[Write, ...], receipt: Receipt | None) -> Append:
    written = {write.stream for write in writes}
    guards = tuple(
        (stream_id, folded.version)
        for stream_id, folded in work.folds.items()
        if stream_id not in written and stream_id not in work.unguarded
    )
    return Append(type(command).__name__, work.caller, writes, guards, tuple(work.claims), receipt)


def _position(work: Work) -> int:
    about = next(iter(work.writes), None)
    return 0 if about is None else work.folds[about].position
