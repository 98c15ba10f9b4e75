"""The record in memory. What is sealed elsewhere is plain here.

Nothing here waits for the world: an append is judged and done at once, and a reader that waits for events waits for the
event loop's clock, which a simulation owns.
"""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from uuid import UUID

from domain.bounds import POLL_SECONDS
from domain.events import Event, Meta, Recorded
from domain.ids import EventId, RecordId, RoomId, StreamId, uuid7
from domain.ports.clock import Chance, Clock
from domain.ports.record import (
    Answer,
    Append,
    Appended,
    ClaimKind,
    ClaimTaken,
    Conflicted,
    EventPage,
    Head,
    ReceiptFound,
)


class MemoryRecord:
    """The port `domain.ports.Record`."""

    def __init__(self, record: RecordId, *, now: Clock, chance: Chance) -> None:
        self.events: list[Recorded[Event]] = []
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
        events = self._write(append)
        async with self._appended:
            self._appended.notify_all()
        return Appended(tuple(events))

    async def head(self) -> Head:
        return Head(self._record, len(self.events), self._at, self._now())

    async def renew(self, known: RecordId, told: int) -> bool:
        if (self._record, len(self.events) < told) != (known, True):
            return False
        self._record = RecordId(UUID(bytes=self._chance(16), version=4))
        return True

    async def streams(
        self, ids: Sequence[StreamId], *, after: Mapping[StreamId, int] | None = None
    ) -> Mapping[StreamId, Sequence[Recorded[Event]]]:
        versions = after or {}
        return {stream: self._streams.get(stream, [])[versions.get(stream, 0) :] for stream in ids}

    async def stream_pages(self, after: Mapping[StreamId, int], *, limit: int) -> Mapping[StreamId, EventPage]:
        found = {stream: self._streams.get(stream, [])[version:] for stream, version in after.items()}
        return {stream: EventPage(events[:limit], len(events) < limit) for stream, events in found.items()}

    async def after(
        self, position: int, *, until: int | None = None, limit: int, metas: bool = True
    ) -> Sequence[Recorded[Event]]:
        return self.events[position:until][:limit]

    async def room_after(self, room_id: RoomId, position: int, *, until: int, limit: int) -> EventPage:
        heard = self._rooms.get(room_id, ())
        found = [recorded for recorded in heard if position < recorded.position <= until]
        return EventPage(found[:limit], len(found) < limit)

    async def room_before(self, room_id: RoomId, position: int, *, limit: int) -> EventPage:
        heard = [recorded for recorded in self._rooms.get(room_id, ()) if recorded.position < position]
        return EventPage(heard[::-1][:limit], len(heard) < limit)

    async def previous_in_rooms(self, rooms: Sequence[tuple[RoomId, int]]) -> Sequence[int]:
        return [
            max(
                (recorded.position for recorded in self._rooms.get(room_id, ()) if recorded.position < position),
                default=0,
            )
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
            if len(self.events) == position:
                with suppress(TimeoutError):
                    async with asyncio.timeout(POLL_SECONDS), self._appended:
                        await self._appended.wait()
            position = len(self.events)
            yield position

    def _write(self, append: Append) -> list[Recorded[Event]]:
        self._at = max(self._at, self._now())
        caller, first = append.caller, len(self.events) + 1
        for write in append.writes:
            for version, event in enumerate(write.events, write.expected + 1):
                event_id = EventId(uuid7(int(self._at.timestamp() * 1000), self._chance(10)))
                meta = Meta(
                    event_id, append.command, caller.user_id, caller.session_id, caller.correlation,
                    caller.causation, caller.address, caller.agent, caller.reason,
                )  # fmt: skip
                recorded = Recorded(len(self.events) + 1, write.stream, version, self._at, event, meta)
                self.events.append(recorded)
                self._streams[write.stream].append(recorded)
                if (room_id := event.frame_room()) is not None:
                    self._rooms[room_id].append(recorded)
        for claim in append.claims:
            if claim.stream is None:
                self._claims.pop((claim.kind, claim.value), None)
            else:
                self._claims.setdefault((claim.kind, claim.value), claim.stream)
        if append.receipt is not None:
            kept = ReceiptFound(first, len(self.events), append.receipt.request)
            self._receipts[append.receipt.digest] = kept
        return self.events[first - 1 :]
