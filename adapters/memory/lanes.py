"""The lanes in memory. A reader waits for entries by the event loop's clock, which a simulation owns."""

import asyncio
import zlib
from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextlib import suppress

from adapters.redis.lanes import (
    CONTROL,
    LANE_AGE_SECONDS,
    LANE_BLOCK_MS,
    LANE_ENTRIES_MAX,
    LANE_READ_ENTRIES_MAX,
    Entry,
)
from domain.ids import RoomId


class MemoryStreams:
    """What a Redis holds of the lanes. `forget` empties it, as a flush or a restart without its file does."""

    def __init__(self) -> None:
        self.entries: defaultdict[int, list[Entry]] = defaultdict(list)
        self.forgotten: set[tuple[int, int]] = set()  # lane and position of what is gone; nothing can take its place
        self.marks: list[tuple[float, int]] = []
        self.published: int | None = None
        self.added = asyncio.Condition()

    def forget(self) -> None:
        self.entries.clear()
        self.forgotten.clear()
        self.marks.clear()
        self.published = None


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
        self, entries: Sequence[Entry], *, published: int | None, forgotten: Sequence[tuple[RoomId | None, int]] = ()
    ) -> frozenset[int]:
        for entry in entries:
            lane = self._streams.entries[CONTROL if entry.room_id is None else self.lane_of(entry.room_id)]
            if not lane or entry.position > lane[-1].position:
                lane.append(entry)
            del lane[:-LANE_ENTRIES_MAX]
        self._streams.forgotten |= {
            (CONTROL if room_id is None else self.lane_of(room_id), position) for room_id, position in forgotten
        }
        if published is not None:
            self._streams.published = published
        async with self._streams.added:
            self._streams.added.notify_all()
        return frozenset()

    async def forget(self) -> None:
        self._streams.forget()

    async def trim(self, *, age_seconds: float = LANE_AGE_SECONDS) -> None:
        streams, now = self._streams, asyncio.get_running_loop().time()
        if streams.published is None:
            return
        if all(published != streams.published for _, published in streams.marks):
            streams.marks.append((now, streams.published))
        old = max((published for at, published in streams.marks if at <= now - age_seconds), default=0)
        streams.marks = [(at, published) for at, published in streams.marks if published > old]
        for lane, entries in streams.entries.items():
            streams.forgotten |= {(lane, entry.position) for entry in entries if entry.position <= old}

    async def published(self) -> int | None:
        return self._streams.published

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
