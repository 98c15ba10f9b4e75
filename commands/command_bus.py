"""The command bus: takes a command, lets its handler decide on what the record says, and appends the events.

A handler loads the streams it needs, asks the domain for decisions, and notes what is to be written. Every stream that
it loaded and does not write becomes a guard, so nothing is appended that was decided on an outdated state. Folded
streams are cached (`commands/folds.py`): an accepted command then needs no read and one round trip. If there was a
conflict, or if cached folds led to a refusal or to no events, the command is decided once more on streams that were read
anew.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, suppress
from typing import Any, TypeVar
from uuid import UUID

import structlog
from msgspec import Struct

from commands.folds import Folded, Folds, evolved
from commands.glances import Glances
from commands.postponed import PostponedCommands
from commands.turns import Turns
from commands.unit_of_work import Handler, Outcome, UnitOfWork
from domain.errors import (
    DomainError,
    EmailTakenError,
    EndpointTakenError,
    IdempotencyMismatchError,
    RecordNewerError,
    UsernameTakenError,
    WriteContendedError,
)
from domain.events import Caller, Event, Recorded, Stream
from domain.ids import StreamId, uuid7
from domain.ports.clock import Chance, Clock
from domain.ports.record import (
    Appended,
    ClaimKind,
    ClaimTaken,
    Conflicted,
    Receipt,
    ReceiptFound,
    Record,
    RecordUnavailableError,
    Snapshots,
)

DECIDE_TRIES_MAX = 12
POSTPONED_LAST_SECONDS = 5.0

log = structlog.get_logger()

State = TypeVar("State")
TAKEN: dict[ClaimKind, tuple[type[DomainError], str]] = {
    "email": (EmailTakenError, "/email"),
    "username": (UsernameTakenError, "/username"),
    "username_skeleton": (UsernameTakenError, "/username"),
    "push_endpoint": (EndpointTakenError, "/endpoint"),
}


class CommandBus:
    """Runs commands against a record. One for a process; its cache is a guess that guards check."""

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
        self.glances = Glances()
        self._folds = Folds(record, snapshots)
        self._turns = Turns(chance)
        self._postponed = PostponedCommands(now)
        self._closing = False

    async def run(self) -> None:
        """Do postponed commands when they are due, until cancelled; then do at once those that still wait."""
        try:
            while True:
                await self._postponed.wait()
                await self.step()
        finally:
            self._closing = True
            with suppress(TimeoutError):  # read marks are hints: no process stays alive for them
                async with asyncio.timeout(POSTPONED_LAST_SECONDS):
                    await self.step(everything=True)

    async def step(self, *, everything: bool = False) -> int:
        """Do the postponed commands that are due; return how many."""
        due = self._postponed.take(everything=everything)
        for postponed, caller in due:
            with suppress(DomainError, RecordUnavailableError):
                await self.do(postponed.command, caller)
        return len(due)

    def new_id(self) -> UUID:
        return uuid7(int(self.now().timestamp() * 1000), self._chance(10))

    async def do(self, command: Struct, caller: Caller, receipt: Receipt | None = None) -> Outcome:
        """Run a command until it is decided. Raise `DomainError` if it is refused, `RecordUnavailableError` if that is unknown."""
        if receipt and (kept := await self.record.receipt(receipt.digest)):
            return await self._replay(kept, receipt)
        unit = UnitOfWork(self, caller, fresh=False)
        outcome = await self._try(command, unit, caller, receipt)
        return outcome if outcome is not None else await self._insist(command, unit, caller, receipt)

    async def _insist(self, command: Struct, unit: UnitOfWork, caller: Caller, receipt: Receipt | None) -> Outcome:
        """Decide on streams that are read anew, until there is an outcome; in turn with others where there was a conflict."""
        met = 0
        async with AsyncExitStack() as turn:
            for _ in range(DECIDE_TRIES_MAX - 1):
                if unit.conflicted:
                    met += 1
                    await self._turns.wait(turn, unit.contended(), met=met)
                unit = UnitOfWork(self, caller, fresh=True)
                outcome = await self._try(command, unit, caller, receipt)
                if outcome is not None:
                    return outcome
        raise WriteContendedError

    async def _try(self, command: Struct, unit: UnitOfWork, caller: Caller, receipt: Receipt | None) -> Outcome | None:
        """Decide once, and append the events. Return None if the command must be decided anew, on streams brought up to date."""
        try:
            await self._handlers[type(command)](command, unit)
        except DomainError:
            if unit.assumed:
                return None
            if receipt and (kept := await self.record.receipt(receipt.digest)):
                return await self._replay(kept, receipt)
            raise
        if unit.postponed and not self._closing:
            self._postponed.add(unit.postponed, caller)
            return Outcome((), unit.position(), False, unit.folds, unit.postponed.command)
        writes = unit.written()
        if not writes:
            return None if unit.assumed else Outcome((), unit.position(), False, unit.folds)
        answer = await self.record.append(unit.append(command, writes, receipt))
        match answer:
            case Appended(events):
                folds = await self._folded(unit, events)
                return Outcome(events, events[-1].position, False, folds)
            case Conflicted():
                unit.conflicted = True
                return None
            case ClaimTaken(kind):
                refusal, pointer = TAKEN[kind]
                raise refusal(pointer=pointer)
            case ReceiptFound():
                assert receipt is not None, "only a receipt that was sent can be found"
                return await self._replay(answer, receipt)

    async def admit(self, probe: Callable[[UnitOfWork], Awaitable[None]], caller: Caller) -> None:
        """Raise the refusal that `probe` raises on the present state. Decide as `do` does, but write nothing."""
        unit = UnitOfWork(self, caller, fresh=False)
        try:
            await probe(unit)
        except DomainError:
            if not unit.assumed:
                raise
            await probe(UnitOfWork(self, caller, fresh=True))

    async def see(self, stream: Stream[State], *key: UUID) -> Folded[State]:
        """Read a stream from the record."""
        stream_id = stream.id(*key)
        return (await self.read({stream_id: stream}))[stream_id]

    def forget(self) -> None:
        """Forget every state that is kept: data keys were destroyed, and what they sealed is not to be remembered either."""
        self._folds.forget()
        self.glances.forget()

    def cached(self, stream: Stream[State], stream_id: StreamId) -> Folded[State] | None:
        return self._folds.cached(stream, stream_id)

    async def read(self, streams: Mapping[StreamId, Stream[Any]]) -> dict[StreamId, Folded[Any]]:
        """Bring these streams up to date from the record, and cache them. Raise `RecordNewerError` if one holds an unknown
        event."""
        folds = await self._folds.read(streams)
        for stream_id, folded in folds.items():
            if folded.unknown:
                log.error("a stream holds an event of a newer version", stream=str(stream_id), topic=folded.unknown)
                raise RecordNewerError
        return folds

    async def _folded(self, unit: UnitOfWork, events: Sequence[Recorded[Event]]) -> dict[StreamId, Folded[Any]]:
        folds = dict(unit.folds)
        written: dict[StreamId, list[Recorded[Event]]] = {}
        for recorded in events:
            written.setdefault(recorded.stream, []).append(recorded)
        for stream_id, appended in written.items():
            stream, before = unit.writes[stream_id][0], folds[stream_id]
            folds[stream_id] = evolved(stream, before, appended)
            await self._folds.keep(stream, stream_id, folds[stream_id], since=before)
        return folds

    async def _replay(self, kept: ReceiptFound, receipt: Receipt) -> Outcome:
        if kept.request not in (receipt.request, receipt.before):
            raise IdempotencyMismatchError
        events: list[Recorded[Event]] = []
        while page := await self.record.after(
            kept.first - 1 + len(events), until=kept.last, limit=kept.last - kept.first + 1
        ):
            events += page
        return Outcome(tuple(events), kept.last, True, {})
