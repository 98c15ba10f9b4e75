"""The record in Postgres: reading it, following it, and appending to it by group commit.

One writer per process takes whatever waits (no lingering: what queued up during the last commit is the next batch) and
hands it to `record.append`, which judges each command alone. Within a batch a stream, claim or receipt that one command
writes is touched by no other: who would, waits for the next batch, in order.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import date, datetime
from time import perf_counter
from typing import Any, get_args
from uuid import UUID

import asyncpg
import structlog
from msgspec import Struct

from adapters.clock import lapsed
from adapters.postgres.clock_watch import ClockLeapt, ClockWatch
from adapters.postgres.codec import StoredRow, decode_all, encode, key_names
from adapters.postgres.data_keys import KeyName, Vault
from adapters.postgres.database import Database, connect, translated
from adapters.prometheus.record import AppendMetrics
from domain.bounds import (
    APPEND_BYTES_MAX,
    APPEND_COMMANDS_MAX,
    APPEND_QUEUE_MAX,
    CLOCK_ALARM_SECONDS,
    POLL_SECONDS,
    RECEIPTS_FORGOTTEN_MAX,
)
from domain.errors import Busy
from domain.events import Event, Meta, Recorded
from domain.ids import EventId, KeyId, RecordId, RoomId, StreamId, uuid7
from domain.ports import (
    Answer,
    Append,
    Appended,
    Chance,
    ClaimKind,
    ClaimTaken,
    Clock,
    Conflicted,
    Head,
    NothingWritten,
    ReceiptFound,
    RecordUnavailable,
)

log = structlog.get_logger()

APPEND = """
    SELECT command, outcome, first, last, at, detail
    FROM record.append($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18)
"""
# Judges the clock first; where it says a later time than this one, nothing is called and no row answered. It may leap while
# the append waits for its turn: the times that were given are judged too, and take back what was written.
APPEND_IN_TIME = """
    SELECT a.command, a.outcome, a.first, a.last, record.believe(a.at, $1) AS at, a.detail
    FROM (SELECT $2::int AS commands WHERE clock_timestamp() <= $1::timestamptz OFFSET 0) believed
    CROSS JOIN LATERAL record.append(
        believed.commands, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19
    ) a
"""
SELECT_HEAD = "SELECT record, position, recorded_at, clock_timestamp() FROM record.head"
SELECT_STREAMS = """
    SELECT e.position, e.stream, e.version, e.topic, e.data, e.meta, e.room_id, e.recorded_at
    FROM unnest($1::uuid[], $2::int[]) asked (stream, version)
    CROSS JOIN LATERAL (
        SELECT position, stream, version, topic, data, meta, room_id, recorded_at FROM record.events
        WHERE events.stream = asked.stream AND events.version > asked.version ORDER BY version LIMIT $3
    ) e ORDER BY e.stream, e.version
"""
SELECT_AFTER = """
    SELECT position, stream, version, topic, data, meta, room_id, recorded_at FROM record.events
    WHERE position > $1 AND position <= $2 ORDER BY position LIMIT $3
"""
# Bounds and order name the room too, and the index says `IS NOT NULL`: so no plan can walk the events of all rooms,
# looking for those of a quiet one (`tests/record/test_plans.py`).
SELECT_ROOM_AFTER = """
    SELECT position, stream, version, topic, data, meta, room_id, recorded_at FROM record.events
    WHERE room_id IS NOT NULL AND (room_id, position) > ($1, $2) AND (room_id, position) <= ($1, $3)
    ORDER BY room_id, position LIMIT $4
"""
SELECT_ROOM_BEFORE = """
    SELECT position, stream, version, topic, data, meta, room_id, recorded_at FROM record.events
    WHERE room_id IS NOT NULL AND (room_id, position) < ($1, $2) AND (room_id, position) > ($1, 0)
    ORDER BY room_id DESC, position DESC LIMIT $3
"""
SELECT_PREVIOUS = """
    SELECT coalesce((
        SELECT e.position FROM record.events e
        WHERE e.room_id IS NOT NULL AND (e.room_id, e.position) < (asked.room_id, asked.position)
            AND (e.room_id, e.position) > (asked.room_id, 0)
        ORDER BY e.room_id DESC, e.position DESC LIMIT 1
    ), 0) FROM unnest($1::uuid[], $2::bigint[]) WITH ORDINALITY asked (room_id, position, i) ORDER BY asked.i
"""
SELECT_CLAIMANT = "SELECT stream FROM record.claims WHERE kind = $1 AND digest = $2"
SELECT_CLAIMED = "SELECT digest FROM record.claims WHERE kind = $1 AND digest = ANY ($2::bytea[])"
SELECT_RECEIPT = "SELECT first, last, request FROM record.receipts WHERE digest = $1"
FORGET_RECEIPTS = "SELECT record.forget_receipts($1, $2)"
RENEW = "SELECT record.renew($1, $2)"
CHANNEL = "hansard_record"
CLOCK_LEAPT = "HC001"  # of `record.believe`
APPENDED = 0  # of the outcomes of `record.append`
POSITION_MAX = 2**63 - 1
STEP_OUT_SECONDS = 5.0
CLAIM_KINDS: tuple[ClaimKind, ...] = get_args(ClaimKind)
OUTCOMES: Mapping[type[Answer], str] = {
    Appended: "appended",
    Conflicted: "conflicted",
    ClaimTaken: "claim_taken",
    ReceiptFound: "repeated",
}
SEALED_BYTES = 1024  # of what is no text: a file's variants


class _Waiting(Struct):
    """A command in the queue, its bytes made; `touched` are the streams, claims and receipt it writes or guards."""

    append: Append
    metas: list[Meta]
    answer: asyncio.Future[Answer]
    written: frozenset[object]
    touched: frozenset[object]
    size: int
    since: float


class PostgresRecord:
    """The port `domain.ports.Record`. `run()` is the writer; without it nothing is appended."""

    def __init__(
        self,
        db: Database,
        vault: Vault,
        *,
        now: Clock,
        chance: Chance,
        clock: ClockWatch | None = None,
        metrics: AppendMetrics | None = None,
    ) -> None:
        """`clock` judges that of Postgres; None: by itself, as is usual."""
        self._db = db
        self._clock = clock or ClockWatch()
        self._vault = vault
        self._now = now
        self._chance = chance
        self._queue: deque[_Waiting] = deque()
        self._wake = asyncio.Event()
        self._connection: Any = None
        self._closing = False
        self._alarmed = -CLOCK_ALARM_SECONDS
        self._metrics = metrics or AppendMetrics()
        self._metrics.waiting.set_function(lambda: len(self._queue))

    # Appending

    async def append(self, append: Append) -> Answer:
        if len(self._queue) >= APPEND_QUEUE_MAX:
            raise Busy
        if self._closing:
            raise RecordUnavailable("This process is shutting down.")
        answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._queue.append(self._waiting(append, answer))
        self._wake.set()
        return await answer

    async def run(self) -> None:
        """Append whatever comes, for ever; on cancellation what waits is appended first, then refused."""
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
            self._fail(self._queue, RecordUnavailable("This process is shutting down."))
            self._queue.clear()
            if self._connection is not None:
                self._connection.terminate()

    async def step(self) -> int:
        """Append one batch; answers how many commands it held."""
        batch = self._gather()
        if not self._queue:
            self._wake.clear()
        if batch:
            self._metrics.batch_commands.observe(len(batch))
            await self._commit(batch)
        return len(batch)

    def _waiting(self, append: Append, answer: "asyncio.Future[Answer]") -> _Waiting:
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
        return _Waiting(append, metas, answer, frozenset(written), frozenset(touched), size, perf_counter())

    def _gather(self) -> list[_Waiting]:
        """Take from the queue, in order, what may stand in one batch; the rest keeps its place."""
        batch: list[_Waiting] = []
        later: list[_Waiting] = []
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

    async def _commit(self, batch: list[_Waiting]) -> None:
        """Append a batch and answer each of its commands; one that cannot be written does not fail its neighbours."""
        try:
            answers = await self._call(batch)
        except RecordUnavailable as error:
            self._drop_connection()
            self._fail(batch, error)
        except Exception as error:  # of whatever kind: halves are tried until the one that it comes from stands alone
            if len(batch) == 1:
                self._fail(batch, _blamed(error))
                return
            middle = len(batch) // 2
            try:
                await self._commit(batch[:middle])
            except BaseException:  # the writer was stopped: whoever stands in the other half hears it too
                self._fail(batch[middle:], NothingWritten("The writer was stopped."))
                raise
            await self._commit(batch[middle:])
        except BaseException:
            self._drop_connection()
            self._fail(batch, RecordUnavailable("The writer was stopped."))
            raise
        else:
            now, observe = perf_counter(), self._metrics.seconds.observe
            for waiting, answer in zip(batch, answers, strict=True):
                if not waiting.answer.done():
                    waiting.answer.set_result(answer)
                observe(now - waiting.since)
            self._metrics.answered(OUTCOMES[type(answer)] for answer in answers)

    async def _call(self, batch: list[_Waiting]) -> list[Answer]:
        day = self._now().date()
        names: set[KeyName] = set()
        for waiting in batch:
            events = (event for write in waiting.append.writes for event in write.events)
            for event, meta in zip(events, waiting.metas, strict=True):
                names.update(key_names(event, meta, day))
        keys = await self._vault.make(names)
        columns = _Columns()
        for number, waiting in enumerate(batch, 1):
            columns.add(number, waiting, day, keys, self._vault)
        if self._connection is None or self._connection.is_closed():
            self._connection = await connect(self._db.url)
        rows = await self._append(len(batch), columns.all())
        if not rows:
            self._judge_clock(await self.head())
            rows = await self._append(len(batch), columns.all())
            if not rows:
                raise ClockLeapt(ClockLeapt.__doc__)
        answers: list[Answer] = [Conflicted()] * len(batch)
        for command, outcome, first, last, at, detail in rows:
            answers[command - 1] = _answer(batch[command - 1], outcome, first, last, at, detail)
        return answers

    async def _append(self, commands: int, columns: list[list[Any]]) -> list[Any]:
        """Call `record.append`; no rows where the database's clock cannot be believed."""
        began = perf_counter()
        try:
            with translated():
                rows = await self._connection.fetch(APPEND_IN_TIME, self._clock.latest(), commands, *columns)
        except asyncpg.PostgresError as error:
            if error.sqlstate != CLOCK_LEAPT:
                raise
            return []
        self._metrics.commit_seconds.observe(perf_counter() - began)
        if rows and (at := rows[0]["at"]) is not None and rows[0]["outcome"] == APPENDED:
            self._clock.believe(at, at)
        return list(rows)

    def _judge_clock(self, head: Head) -> None:
        """Raise `ClockLeapt`, and say so in the log, unless the record or an operator has gone on there already."""
        try:
            self._clock.judge(head.clock, head.at)
        except ClockLeapt as error:
            if lapsed() - self._alarmed >= CLOCK_ALARM_SECONDS:
                self._alarmed = lapsed()
                log.error("the clock has leapt: nothing is recorded", reason=str(error))
            raise

    def _drop_connection(self) -> None:
        if self._connection is not None:
            self._connection.terminate()
            self._connection = None

    def _fail(self, batch: "Sequence[_Waiting] | deque[_Waiting]", error: BaseException) -> None:
        self._metrics.answered("failed" for _ in batch)
        for waiting in batch:
            if not waiting.answer.done():
                waiting.answer.set_exception(error)

    # Reading

    async def head(self) -> Head:
        head = await self._db.one(_head, SELECT_HEAD)
        assert head is not None, "the migrations make the head's row"
        return head

    async def renew(self, known: RecordId, told: int) -> bool:
        return bool(await self._db.value(RENEW, known, told))

    async def streams(
        self, ids: Sequence[StreamId], *, after: Mapping[StreamId, int] | None = None, limit: int | None = None
    ) -> Mapping[StreamId, Sequence[Recorded[Event]]]:
        facts: dict[StreamId, list[Recorded[Event]]] = {stream: [] for stream in ids}
        versions = [(after or {}).get(stream, 0) for stream in facts]
        for fact in await self._facts(SELECT_STREAMS, list(facts), versions, limit):
            facts[fact.stream].append(fact)
        return facts

    async def after(self, position: int, *, until: int | None = None, limit: int) -> Sequence[Recorded[Event]]:
        return await self._facts(SELECT_AFTER, position, POSITION_MAX if until is None else until, limit)

    async def room_after(self, room_id: RoomId, position: int, *, until: int, limit: int) -> Sequence[Recorded[Event]]:
        return await self._facts(SELECT_ROOM_AFTER, room_id, position, until, limit)

    async def room_before(self, room_id: RoomId, position: int, *, limit: int) -> Sequence[Recorded[Event]]:
        return await self._facts(SELECT_ROOM_BEFORE, room_id, position, limit)

    async def previous_in_rooms(self, rooms: Sequence[tuple[RoomId, int]]) -> Sequence[int]:
        if not rooms:
            return ()
        return await self._db.all(int, SELECT_PREVIOUS, [room for room, _ in rooms], [at for _, at in rooms])

    async def claimant(self, kind: ClaimKind, value: str) -> StreamId | None:
        stream = await self._db.value(SELECT_CLAIMANT, kind, self._vault.master.claim(kind, value))
        return None if stream is None else StreamId(stream)

    async def receipt(self, digest: bytes) -> ReceiptFound | None:
        return await self._db.one(ReceiptFound, SELECT_RECEIPT, digest)

    async def unclaimed(self, kind: ClaimKind, values: Sequence[str]) -> set[str]:
        """Return those of these values that nobody holds."""
        digests = {self._vault.master.claim(kind, value): value for value in values}
        held = await self._db.all(bytes, SELECT_CLAIMED, kind, list(digests))
        return {value for digest, value in digests.items() if digest not in held}

    async def forget_receipts(self, *, older_than_hours: int) -> int:
        """Forget what Idempotency-Keys wrote longer ago than this, `RECEIPTS_FORGOTTEN_MAX` at most; answers how many."""
        return int(await self._db.value(FORGET_RECEIPTS, older_than_hours, RECEIPTS_FORGOTTEN_MAX))

    async def _facts(self, sql: str, *args: object) -> list[Recorded[Event]]:
        return await decode_all(await self._db.all(StoredRow, sql, *args), self._vault)

    # Following

    @asynccontextmanager
    async def wakes(self) -> AsyncIterator[AsyncIterator[int]]:
        """LISTEN on a connection of its own; while there is none, the head is asked once a `POLL_SECONDS`."""
        ears = _Ears(self._db.url)
        try:
            yield ears.follow(self)
        finally:
            await ears.close()


class _Ears:
    """LISTEN with reconnection; a notification only wakes, the position comes from it or from the head."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._connection: Any = None
        self._heard = asyncio.Event()
        self._position = 0

    async def follow(self, record: PostgresRecord) -> AsyncIterator[int]:
        while True:
            try:
                if self._connection is None or self._connection.is_closed():
                    self._connection = await connect(self._url)
                    with translated():
                        await self._connection.add_listener(CHANNEL, self._hear)
                    self._position = (await record.head()).position
                else:
                    await self._wait(record)
            except RecordUnavailable:
                await asyncio.sleep(POLL_SECONDS)
                continue
            yield self._position

    async def _wait(self, record: PostgresRecord) -> None:
        """Return when something was appended; what is heard while the follower works is not lost."""
        try:
            async with asyncio.timeout(POLL_SECONDS):
                await self._heard.wait()
        except TimeoutError:
            self._position = (await record.head()).position
        self._heard.clear()

    def _hear(self, connection: object, pid: int, channel: str, payload: str) -> None:
        self._position = max(self._position, int(payload))
        self._heard.set()

    async def close(self) -> None:
        if self._connection is not None:
            self._connection.terminate()


class _Columns:
    """The arrays of `record.append`, in the order of its arguments."""

    def __init__(self) -> None:
        self._expected: tuple[list[Any], ...] = ([], [], [])
        self._events: tuple[list[Any], ...] = ([], [], [], [], [], [], [])
        self._claims: tuple[list[Any], ...] = ([], [], [], [])
        self._receipts: tuple[list[Any], ...] = ([], [], [])

    def add(self, number: int, waiting: _Waiting, day: date, keys: Mapping[KeyName, KeyId], vault: Vault) -> None:
        append = waiting.append
        metas = iter(waiting.metas)
        for write in append.writes:
            _push(self._expected, number, write.stream, write.expected)
            for version, event in enumerate(write.events, write.expected + 1):
                data, meta = encode(event, next(metas), stream=write.stream, day=day, keys=keys, vault=vault)
                _push(self._events, number, write.stream, version, event.topic, data, meta, event.audience())
        for stream, version in append.guards:
            _push(self._expected, number, stream, version)
        for claim in append.claims:
            _push(self._claims, number, claim.kind, vault.master.claim(claim.kind, claim.value), claim.stream)
        if append.receipt:
            _push(self._receipts, number, append.receipt.digest, append.receipt.request)

    def all(self) -> list[list[Any]]:
        return [*self._expected, *self._events, *self._claims, *self._receipts]


def _about(value: object) -> int:
    """Return about how many bytes a sealed field takes: of a text its characters, else a generous guess."""
    return len(value) if isinstance(value, str) else 0 if value is None else SEALED_BYTES


def _push(columns: tuple[list[Any], ...], *values: object) -> None:
    for column, value in zip(columns, values, strict=True):
        column.append(value)


def _answer(waiting: _Waiting, outcome: int, first: int, last: int, at: datetime, detail: str | None) -> Answer:
    match outcome:
        case 0:  # APPENDED
            return Appended(tuple(_recorded(waiting, first, at)))
        case 2:
            return ClaimTaken(next(kind for kind in CLAIM_KINDS if kind == detail))
        case 3:
            return ReceiptFound(first, last, bytes.fromhex(detail or ""))
        case _:
            return Conflicted()


def _recorded(waiting: _Waiting, first: int, at: datetime) -> list[Recorded[Event]]:
    facts: list[Recorded[Event]] = []
    for write in waiting.append.writes:
        for version, event in enumerate(write.events, write.expected + 1):
            meta = waiting.metas[len(facts)]
            facts.append(Recorded(first + len(facts), write.stream, version, at, event, meta))
    return facts


def _head(record: UUID, position: int, at: datetime, clock: datetime) -> Head:
    return Head(RecordId(record), position, at, clock)


def _blamed(error: Exception) -> Exception:
    """Tell what the command itself is to blame for (SQLSTATE classes 22, 23 and 42) from the server's state."""
    if isinstance(error, asyncpg.PostgresError) and str(error.sqlstate)[:2] not in ("22", "23", "42"):
        return RecordUnavailable(f"Postgres refuses to write: {error}")
    return error
