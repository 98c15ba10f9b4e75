"""The desk: takes a command, lets its handler decide on what the record says, and has the outcome appended.

A handler loads the streams it needs, asks the domain for decisions, and notes what is to be written. Every stream that
it loaded and does not write becomes a guard, so nothing is appended that was decided on a state since gone. Folded
streams are kept at hand (`commands/folds.py`): an accepted command then needs no read and one round trip. A conflict, and
any refusal or silence that was decided on folds at hand, is decided once more on streams brought up to date.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, suppress
from datetime import datetime, timedelta
from heapq import heappop, heappush
from typing import Any, TypeVar
from uuid import UUID

import structlog
from msgspec import Struct
from msgspec.structs import replace

from commands.folds import Folded, Folds, evolved
from commands.turns import Turns
from domain.bounds import DECIDE_TRIES_MAX, POSTPONED_LAST_SECONDS, POSTPONED_MAX
from domain.errors import Busy, EmailTaken, IdempotencyMismatch, RecordIsNewer, Refused, UsernameTaken, WriteContended
from domain.events import Caller, Event, Recorded, Stream
from domain.ids import StreamId, UserId, uuid7
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
    Snapshots,
    Write,
)

log = structlog.get_logger()

State = TypeVar("State")
E = TypeVar("E", bound=Event)
TAKEN: dict[ClaimKind, tuple[type[Refused], str]] = {
    "email": (EmailTaken, "/email"),
    "username": (UsernameTaken, "/username"),
    "username_skeleton": (UsernameTaken, "/username"),
}


class Outcome(Struct, frozen=True):
    """What became of a command. `facts` () means: nothing had to change. `position` is what a reader may wait for.

    `postponed` is the command that will be done in its place a little later: it is accepted as that, whatever comes.
    """

    facts: tuple[Recorded[Event], ...]
    position: int
    replayed: bool
    folds: Mapping[StreamId, Folded[Any]]
    postponed: Struct | None = None

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
    """A command that was accepted, and is done when it is due; of two for one stream the one of the higher rank."""

    stream: StreamId
    due: datetime
    rank: int
    command: Struct


class Work:
    """One attempt at one command: what it loaded and what it is going to write."""

    def __init__(self, desk: "Desk", caller: Caller, *, fresh: bool) -> None:
        self.caller = caller
        self.now = desk.now()
        self.assumed = False
        self.conflicted = False
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
            at_hand = None if self._fresh else self._desk.at_hand(stream, stream_id)
            if at_hand is None:
                missing[stream_id] = stream
            else:
                self.folds[stream_id] = at_hand
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
        if self._fresh or self._desk.at_hand(stream, stream_id) is not None:
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

    def postpone(self, stream: Stream[Any], *key: UUID, seconds: float, rank: int, command: Struct) -> None:
        """Have a command run in the place of this one in a while, which names what was decided now: the record will have
        moved on. Of several for one stream, the one of the highest rank."""
        self.postponed = Postponed(stream.id(*key), self.now + timedelta(seconds=seconds), rank, command)

    def act_as(self, user_id: UserId) -> None:
        """Name the actor where the caller was a stranger until now: who registers or logs in."""
        self.caller = replace(self.caller, user_id=user_id)


Handler = Callable[[Any, Work], Awaitable[None]]


class Desk:
    """Runs commands against a record. One for a process; its cache is only ever a guess that guards check."""

    def __init__(
        self,
        record: Record,
        handlers: Mapping[type[Struct], Handler],
        *,
        now: Clock,
        chance: Chance,
        snapshots: Snapshots | None = None,
    ) -> None:
        self.record = record
        self.now = now
        self._handlers = handlers
        self._chance = chance
        self._folds = Folds(record, snapshots)
        self._turns = Turns(chance)
        self._postponed: dict[StreamId, tuple[Postponed, Caller]] = {}
        self._dues: list[tuple[datetime, StreamId]] = []  # a heap; what was postponed further meanwhile is passed over
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
        now, done = self.now(), 0
        due: list[tuple[Postponed, Caller]] = []
        while self._dues and (everything or self._dues[0][0] <= now):
            at, stream_id = heappop(self._dues)
            waiting = self._postponed.get(stream_id)
            if waiting is not None and waiting[0].due == at:
                due.append(self._postponed.pop(stream_id))
        for postponed, caller in due:
            with suppress(Refused, RecordUnavailable):
                await self.do(postponed.command, caller)
            done += 1
        return done

    def new_id(self) -> UUID:
        return uuid7(int(self.now().timestamp() * 1000), self._chance(10))

    async def do(self, command: Struct, caller: Caller, receipt: Receipt | None = None) -> Outcome:
        """Run a command to its end. Raises `Refused` for a no, and `RecordUnavailable` when nobody can know."""
        if receipt and (kept := await self.record.receipt(receipt.digest)):
            return await self._replay(kept, receipt)
        fresh, met = False, 0
        async with AsyncExitStack() as turn:
            for _ in range(DECIDE_TRIES_MAX):
                work = Work(self, caller, fresh=fresh)
                outcome = await self._try(command, work, caller, receipt)
                if outcome is not None:
                    return outcome
                if work.conflicted:
                    met += 1
                    await self._turns.wait(turn, _contended(work), met=met)
                fresh = True
        raise WriteContended

    async def _try(self, command: Struct, work: Work, caller: Caller, receipt: Receipt | None) -> Outcome | None:
        """Decide once and have it appended; None: it must be decided anew, on streams brought up to date."""
        try:
            await self._handlers[type(command)](command, work)
        except Refused:
            if work.assumed:
                return None
            if receipt and (kept := await self.record.receipt(receipt.digest)):
                return await self._replay(kept, receipt)
            raise
        if work.postponed and not self._closing:
            self._postpone(work.postponed, caller)
            return Outcome((), _position(work), False, work.folds, work.postponed.command)
        writes = _writes(work)
        if not writes:
            return None if work.assumed else Outcome((), _position(work), False, work.folds)
        answer = await self.record.append(_append(command, work, writes, receipt))
        match answer:
            case Appended(facts):
                folds = await self._folded(work, facts)
                return Outcome(facts, facts[-1].position, False, folds)
            case Conflicted():
                work.conflicted = True
                return None
            case ClaimTaken(kind):
                refusal, pointer = TAKEN[kind]
                raise refusal(pointer=pointer)
            case ReceiptFound():
                assert receipt is not None, "only a receipt that was sent can be found"
                return await self._replay(answer, receipt)

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

    def at_hand(self, stream: Stream[State], stream_id: StreamId) -> Folded[State] | None:
        return self._folds.at_hand(stream, stream_id)

    async def read(self, streams: Mapping[StreamId, Stream[Any]]) -> dict[StreamId, Folded[Any]]:
        """Bring these streams up to date from the record, and keep them at hand. Raises `RecordIsNewer`."""
        folds = await self._folds.read(streams)
        for stream_id, folded in folds.items():
            if folded.unknown:
                log.error("a stream holds an event of a newer version", stream=str(stream_id), topic=folded.unknown)
                raise RecordIsNewer
        return folds

    async def _folded(self, work: Work, facts: Sequence[Recorded[Event]]) -> dict[StreamId, Folded[Any]]:
        folds = dict(work.folds)
        written: dict[StreamId, list[Recorded[Event]]] = {}
        for fact in facts:
            written.setdefault(fact.stream, []).append(fact)
        for stream_id, events in written.items():
            stream, before = work.writes[stream_id][0], folds[stream_id]
            folds[stream_id] = evolved(stream, before, events)
            await self._folds.keep(stream, stream_id, folds[stream_id], since=before)
        return folds

    def _postpone(self, postponed: Postponed, caller: Caller) -> None:
        """Have it wait; one that waits already keeps its time, and gives its place to a higher rank."""
        waiting = self._postponed.get(postponed.stream)
        if waiting is None:
            if len(self._postponed) >= POSTPONED_MAX:
                raise Busy
            heappush(self._dues, (postponed.due, postponed.stream))
            self._postponed[postponed.stream] = (postponed, caller)
            self._due.set()
        elif waiting[0].rank < postponed.rank:
            self._postponed[postponed.stream] = (replace(postponed, due=waiting[0].due), caller)

    async def _wait_for_due(self) -> None:
        self._due.clear()
        wait = max(0.0, (self._dues[0][0] - self.now()).total_seconds()) if self._dues else None
        with suppress(TimeoutError):
            async with asyncio.timeout(wait):
                await self._due.wait()

    async def _replay(self, kept: ReceiptFound, receipt: Receipt) -> Outcome:
        if kept.request not in (receipt.request, receipt.before):
            raise IdempotencyMismatch
        facts = tuple(await self.record.after(kept.first - 1, until=kept.last, limit=kept.last - kept.first + 1))
        return Outcome(facts, kept.last, True, {})


def _writes(work: Work) -> tuple[Write, ...]:
    return tuple(
        Write(stream_id, work.folds[stream_id].version, tuple(events))
        for stream_id, (_, events) in work.writes.items()
        if events
    )


def _contended(work: Work) -> Iterator[StreamId]:
    """Return the streams that others may write at the same time; one that is new is nobody else's."""
    return (stream_id for stream_id in work.writes if work.folds[stream_id].version)


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
