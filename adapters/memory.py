"""The record and the lanes in memory: for tests and simulations. Held to the real ones by the same contract suites.

Nothing here waits for the world: an append is judged and done at once, and a reader that waits for entries waits for the
event loop's clock, which a simulation owns.
"""

import asyncio
import zlib
from collections import defaultdict
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from uuid import UUID

from adapters.redis.lanes import CONTROL, Entry
from domain.bounds import LANE_AGE_SECONDS, LANE_BLOCK_MS, LANE_ENTRIES_MAX, LANE_READ_ENTRIES_MAX, POLL_SECONDS
from domain.events import Event, Meta, Recorded
from domain.ids import EventId, RecordId, RoomId, StreamId, uuid7
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
    ReceiptFound,
    RoomPage,
)


class MemoryRecord:
    """The port `domain.ports.Record`. What is sealed elsewhere is plain here."""

    def __init__(self, record: RecordId, *, now: Clock, chance: Chance) -> None:
        self.facts: list[Recorded[Event]] = []
        self._record = record
        self._now = now
        self._chance = chance
        self._at = now()
        self._streams: defaultdict[StreamId, list[Recorded[Event]]] = defaultdict(list)
        self._rooms: defaultdict[RoomId, list[Recorded[Event]]] = defaultdict(list)
        self._claims: dict[tuple[ClaimKind, str], StreamId] = {}
        self._receipts: dict[bytes, ReceiptFound] = {}
        self._appended = asyncio.Condition()

    async def append(self, append: Append) -> Answer:
        if append.receipt is not None and (kept := self._receipts.get(append.receipt.digest)) is not None:
            return kept
        expected = [(write.stream, write.expected) for write in append.writes]
        if any(len(self._streams[stream]) != version for stream, version in (*expected, *append.guards)):
            return Conflicted()
        for claim in append.claims:
            holder = self._claims.get((claim.kind, claim.value))
            if claim.stream is not None and holder is not None and holder != claim.stream:
                return ClaimTaken(claim.kind)
        facts = self._write(append)
        async with self._appended:
            self._appended.notify_all()
        return Appended(tuple(facts))

    async def head(self) -> Head:
        return Head(self._record, len(self.facts), self._at, self._now())

    async def renew(self, known: RecordId, told: int) -> bool:
        if (self._record, len(self.facts) < told) != (known, True):
            return False
        self._record = RecordId(UUID(bytes=self._chance(16), version=4))
        return True

    async def streams(
        self, ids: Sequence[StreamId], *, after: Mapping[StreamId, int] | None = None, limit: int | None = None
    ) -> Mapping[StreamId, Sequence[Recorded[Event]]]:
        versions = after or {}
        return {stream: self._streams.get(stream, [])[versions.get(stream, 0) :][:limit] for stream in ids}

    async def after(self, position: int, *, until: int | None = None, limit: int) -> Sequence[Recorded[Event]]:
        return self.facts[position:until][:limit]

    async def room_after(self, room_id: RoomId, position: int, *, until: int, limit: int) -> RoomPage:
        heard = self._rooms.get(room_id, ())
        found = [fact for fact in heard if position < fact.position <= until]
        return RoomPage(found[:limit], len(found) < limit)

    async def room_before(self, room_id: RoomId, position: int, *, limit: int) -> RoomPage:
        heard = [fact for fact in self._rooms.get(room_id, ()) if fact.position < position]
        return RoomPage(heard[::-1][:limit], len(heard) < limit)

    async def previous_in_rooms(self, rooms: Sequence[tuple[RoomId, int]]) -> Sequence[int]:
        return [
            max((fact.position for fact in self._rooms.get(room_id, ()) if fact.position < position), default=0)
            for room_id, position in rooms
        ]

    async def claimant(self, kind: ClaimKind, value: str) -> StreamId | None:
        return self._claims.get((kind, value))

    async def receipt(self, digest: bytes) -> ReceiptFound | None:
        return self._receipts.get(digest)

    @asynccontextmanager
    async def wakes(self) -> AsyncIterator[AsyncIterator[int]]:
        yield self._follow()

    async def _follow(self) -> AsyncIterator[int]:
        position = -1
        while True:
            if len(self.facts) == position:
                with suppress(TimeoutError):
                    async with asyncio.timeout(POLL_SECONDS), self._appended:
                        await self._appended.wait()
            position = len(self.facts)
            yield position

    def _write(self, append: Append) -> list[Recorded[Event]]:
        self._at = max(self._at, self._now())
        caller, first = append.caller, len(self.facts) + 1
        for write in append.writes:
            for version, event in enumerate(write.events, write.expected + 1):
                event_id = EventId(uuid7(int(self._at.timestamp() * 1000), self._chance(10)))
                meta = Meta(
                    event_id, append.command, caller.user_id, caller.session_id, caller.correlation,
                    caller.causation, caller.address, caller.agent, caller.reason,
                )  # fmt: skip
                fact = Recorded(len(self.facts) + 1, write.stream, version, self._at, event, meta)
                self.facts.append(fact)
                self._streams[write.stream].append(fact)
                if (room_id := event.audience()) is not None:
                    self._rooms[room_id].append(fact)
        for claim in append.claims:
            if claim.stream is None:
                self._claims.pop((claim.kind, claim.value), None)
            else:
                self._claims.setdefault((claim.kind, claim.value), claim.stream)
        if append.receipt is not None:
            kept = ReceiptFound(first, len(self.facts), append.receipt.request)
            self._receipts[append.receipt.digest] = kept
        return self.facts[first - 1 :]


class MemoryStreams:
    """What a Redis holds of the lanes. `forget` empties it, as a flush or a restart without its file does."""

    def __init__(self) -> None:
        self.entries: defaultdict[int, list[Entry]] = defaultdict(list)
        self.forgotten: set[tuple[int, int]] = set()  # lane and position of what is gone; nothing can take its place
        self.marks: list[tuple[float, int]] = []
        self.told: int | None = None
        self.added = asyncio.Condition()

    def forget(self) -> None:
        self.entries.clear()
        self.forgotten.clear()
        self.marks.clear()
        self.told = None


class MemoryLanes:
    """One client of `MemoryStreams`, with the methods of `adapters.redis.lanes.Lanes`."""

    def __init__(self, streams: MemoryStreams, count: int) -> None:
        self.count = count
        self._streams = streams
        self._interrupted = False

    async def close(self) -> None:
        pass

    async def ping(self) -> None:
        pass

    def lane_of(self, room_id: RoomId) -> int:
        return zlib.crc32(room_id.bytes) % self.count

    async def publish(
        self, entries: Sequence[Entry], *, told: int | None, forgotten: Sequence[tuple[RoomId, int]] = ()
    ) -> frozenset[int]:
        for entry in entries:
            lane = self._streams.entries[CONTROL if entry.room_id is None else self.lane_of(entry.room_id)]
            if not lane or entry.position > lane[-1].position:
                lane.append(entry)
            del lane[:-LANE_ENTRIES_MAX]
        self._streams.forgotten |= {(self.lane_of(room_id), position) for room_id, position in forgotten}
        if told is not None:
            self._streams.told = told
        async with self._streams.added:
            self._streams.added.notify_all()
        return frozenset()

    async def forget(self) -> None:
        self._streams.forget()

    async def trim(self, *, age_seconds: float = LANE_AGE_SECONDS) -> None:
        streams, now = self._streams, asyncio.get_running_loop().time()
        if streams.told is None:
            return
        if all(told != streams.told for _, told in streams.marks):
            streams.marks.append((now, streams.told))
        old = max((told for at, told in streams.marks if at <= now - age_seconds), default=0)
        streams.marks = [(at, told) for at, told in streams.marks if told > old]
        for lane, entries in streams.entries.items():
            streams.forgotten |= {(lane, entry.position) for entry in entries if entry.position <= old}

    async def told(self) -> int | None:
        return self._streams.told

    async def last(self, lane: int) -> str:
        kept = self._kept(lane)
        return _place(kept[-1]) if kept else "0-0"

    async def read(self, places: Mapping[int, str]) -> dict[int, tuple[str, list[Entry]]]:
        with suppress(TimeoutError):
            async with asyncio.timeout(LANE_BLOCK_MS / 1000):
                while not self._after(places) and not self._interrupted:
                    async with self._streams.added:
                        await self._streams.added.wait()
        self._interrupted = False
        return self._after(places)

    async def interrupt(self) -> None:
        self._interrupted = True
        async with self._streams.added:
            self._streams.added.notify_all()

    def _after(self, places: Mapping[int, str]) -> dict[int, tuple[str, list[Entry]]]:
        found = {}
        for lane, place in places.items():
            position = int(place.partition("-")[0])
            entries = [entry for entry in self._kept(lane) if entry.position > position][:LANE_READ_ENTRIES_MAX]
            if entries:
                found[lane] = (_place(entries[-1]), entries)
        return found

    def _kept(self, lane: int) -> list[Entry]:
        forgotten = self._streams.forgotten
        return [entry for entry in self._streams.entries.get(lane, ()) if (lane, entry.position) not in forgotten]


def _place(entry: Entry) -> str:
    return f"{entry.position}-0"
