"""Whatever breaks between any two steps: after healing, everybody has heard exactly what they may."""

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, MutableMapping, Sequence
from datetime import UTC, datetime
from random import Random
from typing import Any

import msgspec
import pytest
import structlog
from msgspec.structs import replace

from adapters.memory import MemoryRecord
from adapters.postgres.clock_watch import ClockWatch
from adapters.redis.lanes import Entry
from commands.command_bus import Desk
from commands.folds import Folded
from domain.events import Event, Recorded, Stream
from domain.ids import RoomId, StreamId
from domain.message import MessagePosted
from domain.ports import Answer, Append
from gateway.realtime.feeds import Feed, Room, Told
from gateway.realtime.hub import Hub
from tests.simulation.__main__ import hush
from tests.simulation.rebuilding import rebuild
from tests.simulation.tables import MemoryTables
from tests.simulation.weather import RecordLink
from tests.simulation.world import World, live_through
from workers.publisher import Publisher

SEEDS = 200
CHUNK = 20
PLANTED_SEEDS = 40


@pytest.fixture(autouse=True)
def hushed() -> Iterator[None]:
    before = structlog.get_config()
    hush()
    yield
    structlog.configure(**before)


@pytest.mark.parametrize("first", range(1, SEEDS + 1, CHUNK))
def test_everybody_hears_exactly_what_they_may(first: int) -> None:
    failed = {seed: faults for seed in range(first, first + CHUNK) if (faults := live_through(seed)[0])}
    assert not failed, f"run it again with: make simulate SEED={next(iter(failed))}"


def test_a_seed_is_the_same_run_whatever_the_process() -> None:
    program = "from tests.simulation.__main__ import *; hush(); print(live_through(7)[1])"
    digests = {
        subprocess.run(
            [sys.executable, "-c", program],
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for hash_seed in ("1", "2")
    }
    assert len(digests) == 1
    assert live_through(8)[1] not in digests


class DeafHub(Hub):
    """Takes what a lane lost for told, and says so: clients that look at `prev` would else find out by themselves."""

    def hear(self, entry: Entry) -> None:
        room = None if entry.room_id is None else self._rooms.get(entry.room_id)
        if room is not None and entry.prev > room.seen:
            frame = msgspec.json.encode({**msgspec.json.decode(entry.frame), "prev": room.seen})
            entry = entry._replace(prev=room.seen, frame=frame)
        super().hear(entry)


class ForgetfulHub(Hub):
    """Goes live without giving what came between the last page and that moment."""

    def _went_live(self, feed: Feed) -> bool:
        feed.place = max(feed.place, feed.room.seen)
        return super()._went_live(feed)


class RepeatingHub(Hub):
    """Tells what was told already: who resumes hears it again."""

    def _tell(self, room: Room, told: Told) -> None:
        for feed in room.live:
            feed.place = min(feed.place, told.position - 1)
        super()._tell(room, told)
        for feed in list(room.live):
            if feed.place == told.position and told.position % 7 == 0:
                feed.connection.push(told.frame)


class EndlessHub(Hub):
    """Goes on telling those whose membership ended."""

    def _tell(self, room: Room, told: Told) -> None:
        super()._tell(room, told._replace(ended=None))


class LeakyHub(Hub):
    """Tells what becomes of messages from before a member's joining."""

    def _tell(self, room: Room, told: Told) -> None:
        super()._tell(room, told._replace(posted=None))


class GappyHub(Hub):
    """Withholds it, and has the next frame name what was withheld: whoever looks at `prev` finds a gap."""

    def _tell(self, room: Room, told: Told) -> None:
        super()._tell(room, told)
        for feed in room.live:
            feed.held = told.position


class ForgetfulPublisher(Publisher):
    """Passes over some events, and does not know it: the next frame names the event before as its `prev`."""

    def _entries(self, fact: Recorded[object], heard: MutableMapping[RoomId, int]) -> list[Entry]:
        return [] if fact.position % 11 == 0 else super()._entries(fact, heard)


class TrustingRecord(MemoryRecord):
    """Checks no guards: a decision on a state since gone is recorded."""

    async def append(self, append: Append) -> Answer:
        return await super().append(replace(append, guards=()))


class BelievingWatch(ClockWatch):
    """Believes whatever the database's clock says."""

    def latest(self) -> datetime:
        return datetime.max.replace(tzinfo=UTC)


class PatientTables(MemoryTables):
    """Waits for a lease's end, however far that is: its owner took it while the clock had leapt."""

    def lease_seconds_max(self, seconds: float) -> float:
        return float("inf")


class ErasingLink(RecordLink):
    """Reads as erased whatever has no key."""

    def _read(self, facts: Sequence[Recorded[Event]]) -> Sequence[Recorded[Event]]:
        missing = self._process.weather.missing_keys
        return [
            replace(fact, event=replace(fact.event, content=""))
            if isinstance(fact.event, MessagePosted) and fact.event.sender_id in missing
            else fact
            for fact in facts
        ]


class TrustingDesk(Desk):
    """Decides on a stream that holds an event which it does not know."""

    async def read(self, streams: Mapping[StreamId, Stream[Any]]) -> dict[StreamId, Folded[Any]]:
        return await self._folds.read(streams)


async def forgetful_rebuild(record: MemoryRecord, tables: MemoryTables, chance: Random) -> list[str]:
    """Exchanges tables that lack the newest message, and compares nothing."""
    await rebuild(record, tables, chance)
    rows = tables.rows["read.messages"]
    tables.rows = {**tables.rows, "read.messages": {key: rows[key] for key in sorted(rows)[:-1]}}
    return []


@pytest.mark.parametrize(
    ("part", "planted"),
    [
        ("hub", DeafHub),
        ("hub", ForgetfulHub),
        ("hub", EndlessHub),
        ("hub", LeakyHub),
        ("hub", GappyHub),
        ("publisher", ForgetfulPublisher),
        ("store", TrustingRecord),
        ("watch", BelievingWatch),
        ("read_tables", PatientTables),
        ("record_link", ErasingLink),
        ("desk", TrustingDesk),
        ("rebuild", staticmethod(forgetful_rebuild)),
    ],
    ids=lambda value: getattr(value, "__name__", value),
)
def test_a_planted_fault_is_found(part: str, planted: Any) -> None:
    class Faulty(World):
        pass

    setattr(Faulty, part, planted)
    assert any(live_through(seed, Faulty)[0] for seed in range(1, PLANTED_SEEDS + 1))
