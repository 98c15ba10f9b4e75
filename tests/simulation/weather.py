"""Processes that can be killed or frozen, and links on which anything may be late, lost, or done without an answer.

Every link asks its process before and after each call: a killed one does nothing any more, a frozen one waits. All chance
comes from one seed, so a run can be had again.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import timedelta
from functools import partial
from hashlib import blake2b
from random import Random
from typing import Any, Literal, TypeVar
from uuid import UUID

from msgspec.structs import replace

from adapters.memory.event_store import MemoryRecord
from adapters.memory.lanes import MemoryLanes, MemoryStreams
from adapters.postgres.clock_watch import ClockWatch
from adapters.redis.cluster_state import ClusterStateUnavailableError, People, PresenceMessage, SocketEntry
from adapters.redis.connections import REDIS_SECONDS
from adapters.redis.lanes import CONTROL, LANE_AGE_SECONDS, LANE_BLOCK_MS, Entry, LanesUnavailableError
from domain.errors import DomainError
from domain.events import Event, Recorded, UnknownEvent
from domain.ids import RecordId, RoomId, StreamId, UserId
from domain.ports.database import Db
from domain.ports.record import (
    Answer,
    Append,
    Appended,
    ClaimKind,
    EventPage,
    Head,
    KeysMissingError,
    ReceiptFound,
    RecordUnavailableError,
)
from tests.simulation.tables import MemoryTables

T = TypeVar("T")
Server = Literal["postgres", "redis"]
ERRORS: dict[Server, type[Exception]] = {"postgres": RecordUnavailableError, "redis": LanesUnavailableError}
PAUSES = (0.0, 0.0, 0.0001, 0.0003, 0.001, 0.003, 0.02)


class Weather:
    """How the servers are, and all chance of a run."""

    def __init__(self, seed: int) -> None:
        self.chance = Random(seed)
        self.away: set[Server] = set()
        self.is_frozen = False
        self.lost_answers = 0.0
        self.ahead = timedelta(0)  # of the database's clock
        self.missing_keys: set[UUID] = set()  # whose data keys are not in the vault
        self.failures: list[str] = []
        self._trace = blake2b(digest_size=8)

    @property
    def digest(self) -> str:
        """What happened so far, in what order: equal for equal runs."""
        return self._trace.hexdigest()

    def note(self, what: str) -> None:
        self._trace.update(f"{asyncio.get_running_loop().time():.6f} {what}\n".encode())

    def clear_up(self) -> None:
        self.away.clear()
        self.is_frozen = False
        self.lost_answers = 0.0
        self.ahead = timedelta(0)
        self.missing_keys.clear()


class Process:
    """Some tasks that live and die together."""

    def __init__(self, name: str, weather: Weather) -> None:
        self.name = name
        self.weather = weather
        self.is_killed = False
        self._thawed = asyncio.Event()
        self._thawed.set()
        self._tasks: list[asyncio.Task[Any]] = []

    def start(self, work: Coroutine[Any, Any, Any]) -> "asyncio.Task[Any]":
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.append(task)
        task.add_done_callback(self._done)
        return task

    def kill(self) -> None:
        """As by -9: from this moment on nothing that it does has any effect."""
        self.is_killed = True
        self._thawed.set()
        for task in list(self._tasks):
            task.cancel()

    def _done(self, task: "asyncio.Task[Any]") -> None:
        self._tasks.remove(task)
        error = None if task.cancelled() else task.exception()
        if error is not None and not self.is_killed and not isinstance(error, (DomainError, *ERRORS.values())):
            self.weather.failures.append(f"{self.name} failed: {error!r}")

    def freeze(self) -> None:
        self._thawed.clear()

    def thaw(self) -> None:
        self._thawed.set()

    async def pause(self) -> None:
        """Let some time pass between two steps; a killed process never comes back from it."""
        await asyncio.sleep(self.weather.chance.choice(PAUSES))
        await self._thawed.wait()
        if self.is_killed:
            await asyncio.get_running_loop().create_future()

    async def through(self, server: Server, what: str, call: Callable[[], Awaitable[T]]) -> T:
        """Ask a server: it may be away, or do what is asked and its answer be lost."""
        weather = self.weather
        await self.pause()
        weather.note(f"{self.name} {what}")
        if server == "redis" and weather.is_frozen:
            await asyncio.sleep(REDIS_SECONDS)
            raise LanesUnavailableError("frozen")
        if server in weather.away:
            raise ERRORS[server](f"{server} is away")
        answer = await call()
        await self.pause()
        if weather.chance.random() < weather.lost_answers:
            raise ERRORS[server]("the answer was lost")
        return answer


class RecordLink:
    """The record as one process has it: with a watch on the database's clock, and perhaps without some topics, as a
    process of a release before. What is sealed under a key that is missing it neither reads nor writes."""

    def __init__(
        self, process: Process, record: MemoryRecord, watch: ClockWatch, *, unknown: frozenset[str] = frozenset()
    ) -> None:
        self._process = process
        self._record = record
        self._watch = watch
        self._unknown = unknown
        self.hand: Callable[[Sequence[Recorded[Event]]], None] | None = None

    async def append(self, append: Append) -> Answer:
        async def judged() -> Answer:
            self._require_keys(event for write in append.writes for event in write.events)
            head = await self._record.head()
            if head.clock > self._watch.latest():
                self._watch.judge(head.clock, head.at)
            answer = await self._record.append(append)
            if isinstance(answer, Appended):
                self._watch.believe(answer.events[-1].at, answer.events[-1].at)
            return answer

        answer = await self._process.through("postgres", "append", judged)
        if self.hand is not None and isinstance(answer, Appended):
            self.hand(answer.events)
        return answer

    def hear(self, position: int) -> None:
        """Whoever follows was woken by the append itself."""

    async def renew(self, known: RecordId, told: int) -> bool:
        return await self._process.through("postgres", "renew", lambda: self._record.renew(known, told))

    async def head(self) -> Head:
        return await self._process.through("postgres", "head", self._record.head)

    async def streams(
        self, ids: Sequence[StreamId], *, after: Mapping[StreamId, int] | None = None
    ) -> Mapping[StreamId, Sequence[Recorded[Event]]]:
        found = await self._process.through("postgres", "streams", lambda: self._record.streams(ids, after=after))
        return {stream: self._read(events) for stream, events in found.items()}

    async def stream_pages(self, after: Mapping[StreamId, int], *, limit: int) -> Mapping[StreamId, EventPage]:
        found = await self._process.through(
            "postgres", "streams", lambda: self._record.stream_pages(after, limit=limit)
        )
        return {stream: EventPage(self._read(page.events), page.is_last) for stream, page in found.items()}

    async def after(
        self, position: int, *, until: int | None = None, limit: int, metas: bool = True
    ) -> Sequence[Recorded[Event]]:
        limit = min(limit, self._process.weather.chance.choice((1, 2, 5, limit)))  # pages of all sizes
        return self._read(
            await self._process.through(
                "postgres", "after", lambda: self._record.after(position, until=until, limit=limit, metas=metas)
            )
        )

    async def room_after(self, room_id: RoomId, position: int, *, until: int, limit: int) -> EventPage:
        events, is_last = await self._process.through(
            "postgres", "room", lambda: self._record.room_after(room_id, position, until=until, limit=limit)
        )
        return EventPage(self._read(events), is_last)

    async def room_before(self, room_id: RoomId, position: int, *, limit: int) -> EventPage:
        events, is_last = await self._process.through(
            "postgres", "room before", lambda: self._record.room_before(room_id, position, limit=limit)
        )
        return EventPage(self._read(events), is_last)

    def _read(self, events: Sequence[Recorded[Event]]) -> Sequence[Recorded[Event]]:
        """Return facts as this process can read them."""
        self._require_keys(recorded.event for recorded in events)
        return [
            replace(recorded, event=UnknownEvent(recorded.event.topic, recorded.event.frame_room()))
            if recorded.event.topic in self._unknown
            else recorded
            for recorded in events
        ]

    def _require_keys(self, events: Iterable[Event]) -> None:
        missing = self._process.weather.missing_keys
        if missing and any(event.sealed and event.encryption_subject()[0] in missing for event in events):
            raise KeysMissingError("a key is missing")

    async def previous_in_rooms(self, rooms: Sequence[tuple[RoomId, int]]) -> Sequence[int]:
        return await self._process.through("postgres", "previous", lambda: self._record.previous_in_rooms(rooms))

    async def claimant(self, kind: ClaimKind, value: str) -> StreamId | None:
        return await self._process.through("postgres", "claimant", lambda: self._record.claimant(kind, value))

    async def receipt(self, digest: bytes) -> ReceiptFound | None:
        return await self._process.through("postgres", "receipt", lambda: self._record.receipt(digest))

    @asynccontextmanager
    async def wakes(self) -> AsyncIterator[AsyncIterator[int]]:
        async with self._record.wakes() as wakes:
            yield self._wakes(wakes)

    async def _wakes(self, wakes: AsyncIterator[int]) -> AsyncIterator[int]:
        async for position in wakes:
            await self._process.pause()
            yield position


class TablesLink:
    """The read tables as one process has them."""

    def __init__(self, process: Process, tables: MemoryTables) -> None:
        self._process = process
        self._tables = tables

    async def all(self, row: Any, sql: str, *args: object) -> list[Any]:
        return await self._process.through("postgres", "rows", lambda: self._tables.all(row, sql, *args))

    async def one(self, row: Any, sql: str, *args: object) -> Any:
        return await self._process.through("postgres", "row", lambda: self._tables.one(row, sql, *args))

    async def value(self, sql: str, *args: object) -> Any:
        return await self._process.through("postgres", "value", lambda: self._tables.value(sql, *args))

    async def run(self, sql: str, *args: object) -> str:
        return await self._process.through("postgres", "run", lambda: self._tables.run(sql, *args))

    async def copy(self, table: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
        await self._tables.copy(table, columns, rows)

    def transaction(self, *, durable: bool = True) -> AbstractAsyncContextManager[Db]:
        return self._transaction()

    @asynccontextmanager
    async def _transaction(self) -> AsyncIterator[Db]:
        await self._process.through("postgres", "begin", _nothing)
        async with self._tables.transaction() as draft:
            yield draft
            await self._process.through("postgres", "before commit", _nothing)
        await self._process.through("postgres", "commit", _nothing)


class LanesLink(MemoryLanes):
    """The lanes as one process has them. A batch may be cut off between two lanes."""

    def __init__(self, process: Process, streams: MemoryStreams, count: int) -> None:
        super().__init__(streams, count)
        self._process = process

    async def ping(self) -> None:
        await self._process.through("redis", "ping", super().ping)

    async def publish(
        self, entries: Sequence[Entry], *, published: int | None, forgotten: Sequence[tuple[RoomId | None, int]] = ()
    ) -> frozenset[int]:
        weather = self._process.weather
        if entries and weather.chance.random() < weather.lost_answers:
            lanes = {CONTROL if entry.room_id is None else self.lane_of(entry.room_id) for entry in entries}
            cut = weather.chance.choice(sorted(lanes))
            some = [e for e in entries if (CONTROL if e.room_id is None else self.lane_of(e.room_id)) != cut]
            before = self._streams.published
            publish = super().publish
            await self._process.through("redis", "publish some", lambda: publish(some, published=published))
            self._streams.published = before
            raise LanesUnavailableError("cut off between two lanes")
        publish = super().publish
        return await self._process.through(
            "redis", "publish", lambda: publish(entries, published=published, forgotten=forgotten)
        )

    async def trim(self, *, age_seconds: float = LANE_AGE_SECONDS) -> None:
        trim = super().trim
        await self._process.through("redis", "trim", lambda: trim(age_seconds=age_seconds))

    async def published(self) -> int | None:
        return await self._process.through("redis", "told", super().published)

    async def last(self, lane: int) -> str:
        last = super().last
        return await self._process.through("redis", "last", lambda: last(lane))

    async def read(self, places: Mapping[int, str]) -> dict[int, tuple[str, list[Entry]]]:
        deadline = asyncio.get_running_loop().time() + LANE_BLOCK_MS / 1000
        while True:
            left = deadline - asyncio.get_running_loop().time()
            found = await self._process.through("redis", "read", partial(self._read_once, places, min(0.3, left)))
            if found or left <= 0 or self._interrupted:
                self._interrupted = False
                return found

    async def interrupt(self) -> None:
        await self._process.through("redis", "interrupt", super().interrupt)

    async def _read_once(self, places: Mapping[int, str], seconds: float) -> dict[int, tuple[str, list[Entry]]]:
        try:
            async with asyncio.timeout(max(0.0, seconds)):
                while not (found := self._after(places)) and not self._interrupted:
                    async with self._streams.added:
                        await self._streams.added.wait()
                return found
        except TimeoutError:
            return {}


class NoRoster:
    """A roster that nobody answers for: presence is not what is simulated."""

    gateway = "alone"

    async def beat(self) -> tuple[bool, frozenset[str]]:
        raise ClusterStateUnavailableError("not simulated")

    async def report(self, *entries: SocketEntry) -> str | None:
        raise ClusterStateUnavailableError("not simulated")

    async def publish(self, messages: Sequence[tuple[int, PresenceMessage]]) -> None:
        raise ClusterStateUnavailableError("not simulated")

    async def people(self, room_ids: Sequence[RoomId]) -> dict[RoomId, dict[str, People]]:
        raise ClusterStateUnavailableError("not simulated")

    async def listen(self, lanes: Iterable[int]) -> None:
        raise ClusterStateUnavailableError("not simulated")

    async def mark(self, user_id: UserId, room_id: RoomId, position: int) -> None:
        raise ClusterStateUnavailableError("not simulated")

    async def marks(self, user_id: UserId) -> dict[RoomId, int]:
        raise ClusterStateUnavailableError("not simulated")


async def _nothing() -> None:
    pass
