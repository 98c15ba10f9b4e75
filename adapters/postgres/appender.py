"""The writer of a process: group commit of the commands that wait.

It does not linger: the commands that arrived during the last commit are the next batch, and Postgres judges each of
them by itself. Within a batch no two commands touch a stream, claim or receipt that one of them writes: the later one
waits for the next batch, in order. What other processes append at the same time is the business of `append_batch.py`.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from time import perf_counter
from typing import Any
from uuid import UUID

import asyncpg
import structlog

from adapters.clock import monotonic
from adapters.postgres.append_batch import BatchColumns, CommandOutcome, PendingAppend, answer_of, append_in_turn
from adapters.postgres.clock_watch import ClockLeaptError, ClockWatch
from adapters.postgres.codec import as_read_back, key_names
from adapters.postgres.data_keys import KeyName, Vault
from adapters.postgres.database import connect
from adapters.prometheus.record import AppendMetrics
from domain.errors import BusyError
from domain.events import Event, Meta, Recorded
from domain.ids import EventId, uuid7
from domain.ports.clock import Chance, Clock
from domain.ports.record import (
    Answer,
    Append,
    Appended,
    ClaimTaken,
    Conflicted,
    Head,
    NothingWrittenError,
    ReceiptFound,
    RecordUnavailableError,
)

CLOCK_ALARM_SECONDS = 10.0  # from one log line that says so to the next
APPEND_COMMANDS_MAX = 512
APPEND_BYTES_MAX = 4 * 1024 * 1024
APPEND_QUEUE_MAX = 10_000

log = structlog.get_logger()

APPENDED = 0  # of the outcomes of `record.append`
STEP_OUT_SECONDS = 5.0
OUTCOMES: Mapping[type[Answer], str] = {
    Appended: "appended",
    Conflicted: "conflicted",
    ClaimTaken: "claim_taken",
    ReceiptFound: "repeated",
}
SEALED_BYTES = 1024  # of what is no text: a file's variants


class Appender:
    """Appends what waits. `run()` does so for ever; without it nothing is appended."""

    def __init__(
        self,
        url: str,
        vault: Vault,
        *,
        now: Clock,
        chance: Chance,
        clock: ClockWatch,
        metrics: AppendMetrics,
        head: Callable[[], Awaitable[Head]],
    ) -> None:
        self._url = url
        self._vault = vault
        self._now = now
        self._chance = chance
        self._clock = clock
        self._head = head
        self._queue: deque[PendingAppend] = deque()
        self._wake = asyncio.Event()
        self._answered = asyncio.Event()  # set unless a batch is being appended
        self._answered.set()
        self._connection: Any = None
        self._closing = False
        self._alarmed = -CLOCK_ALARM_SECONDS
        self._hand_over: Callable[[Sequence[Recorded[Event]]], None] | None = None
        self._metrics = metrics
        self._metrics.waiting.set_function(lambda: len(self._queue))

    def hand_over_to(self, take: Callable[[Sequence[Recorded[Event]]], None]) -> None:
        """Call `take` with the events of each command once they are on the disk, in order of their positions."""
        self._hand_over = take

    async def append(self, append: Append) -> Answer:
        if len(self._queue) >= APPEND_QUEUE_MAX:
            raise BusyError
        if self._closing:
            raise RecordUnavailableError("This process is shutting down.")
        answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._queue.append(self._waiting(append, answer))
        self._wake.set()
        return await answer

    async def run(self) -> None:
        """Append what comes, for ever. When cancelled, append what waits, then refuse."""
        try:
            while True:
                await self._wake.wait()
                await self.step()
        finally:
            self._closing = True
            with suppress(Exception):
                async with asyncio.timeout(STEP_OUT_SECONDS):
                    while self._queue:
                        await self.step()
            self._fail(self._queue, RecordUnavailableError("This process is shutting down."))
            self._queue.clear()
            if self._connection is not None:
                self._connection.terminate()

    async def step(self) -> int:
        """Append one batch; return how many commands it held."""
        batch = self._gather()
        if not self._queue:
            self._wake.clear()
        if batch:
            self._metrics.batch_commands.observe(len(batch))
            self._answered.clear()
            try:
                await self._commit(batch)
            finally:
                self._answered.set()
        return len(batch)

    async def answered(self) -> None:
        """Wait until the batch that is being appended, if there is one, is answered and handed over."""
        await self._answered.wait()

    def _waiting(self, append: Append, answer: "asyncio.Future[Answer]") -> PendingAppend:
        caller = append.caller
        metas, size = [], 0
        for write in append.writes:
            for event in write.events:
                event_id = EventId(uuid7(int(self._now().timestamp() * 1000), self._chance(10)))
                metas.append(
                    Meta(
                        event_id, append.command, caller.user_id, caller.session_id, caller.correlation,
                        caller.causation, caller.address, caller.agent, caller.reason,
                    )
                )  # fmt: skip
                size += 512 + sum(_about(getattr(event, field)) for field in event.sealed)
        written: set[object] = {write.stream for write in append.writes}
        written |= {(claim.kind, claim.value) for claim in append.claims}
        if append.receipt:
            written.add(append.receipt.digest)
        touched = written | {stream for stream, _ in append.guards}
        return PendingAppend(append, metas, answer, frozenset(written), frozenset(touched), size, perf_counter())

    def _gather(self) -> list[PendingAppend]:
        """Take from the queue, in order, what may stand in one batch; the rest keeps its place."""
        batch: list[PendingAppend] = []
        later: list[PendingAppend] = []
        written: set[object] = set()
        awaited: set[object] = set()  # what those that wait looked at: nobody behind them may write it first
        size = 0
        while self._queue and len(batch) < APPEND_COMMANDS_MAX and size < APPEND_BYTES_MAX:
            waiting = self._queue.popleft()
            if waiting.answer.cancelled():
                continue
            if written.isdisjoint(waiting.touched) and awaited.isdisjoint(waiting.written):
                batch.append(waiting)
                size += waiting.size
            else:
                later.append(waiting)
                awaited |= waiting.touched
            written |= waiting.written
            if len(later) >= APPEND_COMMANDS_MAX:
                break
        self._queue.extendleft(reversed(later))
        return batch

    async def _commit(self, batch: list[PendingAppend]) -> None:
        """Append a batch and answer each of its commands. A command that cannot be written does not fail the others."""
        try:
            answers = await self._call(batch)
        except RecordUnavailableError as error:
            self.drop_connection()
            self._fail(batch, error)
        except Exception as error:  # of whatever kind: halves are tried until the one that it comes from stands alone
            if len(batch) == 1:
                self._fail(batch, _blamed(error))
                return
            middle = len(batch) // 2
            try:
                await self._commit(batch[:middle])
            except BaseException:  # the writer was stopped: whoever stands in the other half hears it too
                self._fail(batch[middle:], NothingWrittenError("The writer was stopped."))
                raise
            await self._commit(batch[middle:])
        except BaseException:
            self.drop_connection()
            self._fail(batch, RecordUnavailableError("The writer was stopped."))
            raise
        else:
            if self._hand_over is not None:
                for appended in (answer for answer in answers if isinstance(answer, Appended)):
                    self._hand_over([as_read_back(recorded) for recorded in appended.events])
            now, observe = perf_counter(), self._metrics.seconds.observe
            for waiting, answer in zip(batch, answers, strict=True):
                if not waiting.answer.done():
                    waiting.answer.set_result(answer)
                observe(now - waiting.since)
            self._metrics.answered(OUTCOMES[type(answer)] for answer in answers)

    async def _call(self, batch: list[PendingAppend]) -> list[Answer]:
        day = (self._clock.reading() or await self._record_clock()).date()
        names: set[KeyName] = set()
        for waiting in batch:
            events = (event for write in waiting.append.writes for event in write.events)
            for event, meta in zip(events, waiting.metas, strict=True):
                names.update(key_names(event, meta, day))
        keys = await self._vault.make(names)
        columns = BatchColumns()
        for number, waiting in enumerate(batch, 1):
            columns.add(number, waiting, day, keys, self._vault)
        if self._connection is None or self._connection.is_closed():
            self._connection = await connect(self._url)
        outcomes = await self._append(columns.all())
        if not outcomes:
            self._judge_clock(await self._head())
            outcomes = await self._append(columns.all())
            if not outcomes:
                raise ClockLeaptError(ClockLeaptError.__doc__)
        answers: list[Answer] = [Conflicted()] * len(batch)
        for found in outcomes:
            answers[found.command - 1] = answer_of(batch[found.command - 1], found)
        return answers

    async def _record_clock(self) -> datetime:
        """Ask for the record's clock: it says on which day an event is recorded, whatever this process thinks."""
        head = await self._head()
        return max(head.clock, head.at)

    async def _append(self, columns: list[list[Any]]) -> list[CommandOutcome]:
        """Append in turn with others; nothing if the database's clock cannot be believed."""
        ticket, began = UUID(bytes=self._chance(16), version=4), perf_counter()
        outcomes = await append_in_turn(self._connection, ticket, self._clock.latest(), columns)
        self._metrics.commit_seconds.observe(perf_counter() - began)
        if outcomes and (at := outcomes[0].at) is not None and outcomes[0].outcome == APPENDED:
            self._clock.believe(at, at)
        return outcomes

    def _judge_clock(self, head: Head) -> None:
        """Raise `ClockLeaptError`, and say so in the log, unless the record or an operator has gone on there already."""
        try:
            self._clock.judge(head.clock, head.at)
        except ClockLeaptError as error:
            if monotonic() - self._alarmed >= CLOCK_ALARM_SECONDS:
                self._alarmed = monotonic()
                log.error("the clock has leapt: nothing is recorded", reason=str(error))
            raise

    def drop_connection(self) -> None:
        """Leave the connection: of what was asked on it nobody knows more, and the next batch has one of its own."""
        if self._connection is not None:
            self._connection.terminate()
            self._connection = None

    def _fail(self, batch: "Sequence[PendingAppend] | deque[PendingAppend]", error: BaseException) -> None:
        self._metrics.answered("failed" for _ in batch)
        for waiting in batch:
            if not waiting.answer.done():
                waiting.answer.set_exception(error)


def _about(value: object) -> int:
    """Return about how many bytes a sealed field takes: of a text its characters, else a generous guess."""
    return len(value) if isinstance(value, str) else 0 if value is None else SEALED_BYTES


def _blamed(error: Exception) -> Exception:
    """Tell a fault of the command itself (SQLSTATE classes 22, 23 and 42) from the state of the server."""
    if isinstance(error, asyncpg.PostgresError) and str(error.sqlstate)[:2] not in ("22", "23", "42"):
        return RecordUnavailableError(f"Postgres refuses to write: {error}")
    return error
