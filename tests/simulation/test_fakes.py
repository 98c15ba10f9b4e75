"""The fakes of the simulation do what the real ones do: one history, both of them, the same answers."""

import asyncio
import os
from collections.abc import AsyncIterator
from datetime import timedelta
from random import Random
from typing import Any
from uuid import UUID

import pytest

from adapters.clock import now
from adapters.memory.event_store import MemoryRecord
from adapters.memory.lanes import MemoryLanes, MemoryStreams
from adapters.redis.lanes import CONTROL, Entry, Lanes
from domain.events import Caller, Recorded
from domain.ids import MessageId, RecordId, RoomId, StreamId, UserId, uuid7
from domain.membership import MemberLeft
from domain.message import MessagePosted
from domain.ports.record import Append, Appended, Claim, Receipt, Record, Write
from projections import LIVE, checkpoints, message_queries, rooms, sessions, users
from tests.deployments import ledger
from tests.simulation.tables import MemoryTables
from tests.simulation.world import World, live_through
from workers.projector import Follower

ROOMS = [RoomId(UUID(int=n)) for n in range(1, 4)]
STREAMS = [StreamId(UUID(int=n)) for n in range(11, 17)]
SENDER = UserId(UUID(int=99))


def deed(chance: Random, versions: dict[StreamId, int]) -> Append:
    """Return some append: mostly on what is there, sometimes on what is not; with claims, guards and receipts."""

    def version(stream: StreamId) -> int:
        return versions.get(stream, 0) - (chance.random() < 0.15)

    written, *guards = chance.sample(STREAMS, 3)
    room_id = chance.choice(ROOMS)
    message = MessagePosted(MessageId(UUID(int=chance.getrandbits(128))), room_id, SENDER, f"{chance.random()}")
    events = (message,) if chance.random() < 0.7 else (message, MemberLeft(room_id, SENDER))
    holder = chance.choice((*STREAMS[:2], None))
    claims = (
        (Claim(chance.choice(("email", "username")), chance.choice("ab"), holder),) if chance.random() < 0.4 else ()
    )
    key = bytes([chance.randrange(6)]) * 32
    receipt = Receipt(key, bytes([chance.randrange(2)]) * 32) if chance.random() < 0.4 else None
    return Append(
        "Deed", Caller(user_id=SENDER), (Write(written, max(0, version(written)), events),),
        tuple((stream, max(0, version(stream))) for stream in guards if chance.random() < 0.5), claims, receipt,
    )  # fmt: skip


def plain(value: Any) -> Any:
    """Leave out what differs by chance: times, and the ids of events."""
    if isinstance(value, Appended):
        return [plain(recorded) for recorded in value.events]
    if hasattr(value, "event"):
        return value.position, value.stream, value.version, value.event, value.meta.command, value.meta.actor
    return value


async def asked(record: Record) -> list[Any]:
    """Ask everything that can be asked of a record."""
    found: list[Any] = [(await record.head()).position]
    for after, until, limit in ((0, None, 1_000), (3, 9, 4), (500, None, 5)):
        found.append([plain(recorded) for recorded in await record.after(after, until=until, limit=limit)])
    streams = await record.streams([*STREAMS, StreamId(UUID(int=7))])
    found.append({stream: [plain(recorded) for recorded in events] for stream, events in streams.items()})
    for room_id in ROOMS:
        for page in (
            await record.room_after(room_id, 2, until=40, limit=7),
            await record.room_before(room_id, 40, limit=100),
        ):
            found.append(([plain(recorded) for recorded in page.events], page.is_last))
    found.append(list(await record.previous_in_rooms([(room_id, at) for room_id in ROOMS for at in (1, 5, 30)])))
    found += [await record.claimant(kind, value) for kind in ("email", "username") for value in "ab"]
    found += [await record.receipt(bytes([n]) * 32) for n in range(6)]
    return found


@pytest.mark.parametrize("seed", range(6))
async def test_a_record_in_memory_answers_as_postgres_does(database_url: str, seed: int) -> None:
    chance = Random(seed)
    async with ledger(database_url) as (_, real, _):
        fake = MemoryRecord((await real.head()).record, now=now, chance=os.urandom)
        versions: dict[StreamId, int] = {}
        for _ in range(60):
            append = deed(chance, versions)
            answers = [await record.append(append) for record in (real, fake)]
            assert plain(answers[0]) == plain(answers[1])
            if isinstance(answers[0], Appended):
                for recorded in answers[0].events:
                    versions[recorded.stream] = recorded.version
        assert await asked(real) == await asked(fake)
        assert len(versions) > 3


async def test_both_wake_their_followers(database_url: str) -> None:
    async with ledger(database_url) as (_, real, _):
        fake = MemoryRecord((await real.head()).record, now=now, chance=os.urandom)
        for record in (real, fake):
            async with record.wakes() as wakes, asyncio.timeout(10):
                position = await anext(wakes)
                await record.append(deed(Random(1), {}))
                while position < 1:
                    position = await anext(wakes)


async def test_tables_in_memory_hold_and_answer_what_postgres_does(database_url: str) -> None:
    """What the simulation's people did is followed into both, in batches of all sizes."""
    events = await asyncio.to_thread(history, 5)
    async with ledger(database_url) as (db, _, _):
        tables = MemoryTables()
        fake = MemoryRecord(RecordId(UUID(int=1)), now=now, chance=os.urandom)
        fake.events += events
        for store in (db, tables):
            chance = Random(3)
            follower = Follower(LIVE, _Paged(fake, chance), store, owner="one")
            while await follower.step() > 0:
                pass
            assert await checkpoints.position(store, "live") == len(events)
            assert await checkpoints.take(store, "live", LIVE.version, "two", 3) is None
            assert follower.lease is not None
            await checkpoints.let_go(store, "live", follower.lease.epoch)
            taken = await checkpoints.take(store, "live", LIVE.version, "two", 3)
            assert taken is not None and (taken.epoch, taken.position) == (follower.lease.epoch + 1, len(events))
            with pytest.raises(checkpoints.LeaseLostError):
                await checkpoints.renew(store, "live", follower.lease, 3)
            await checkpoints.renew(store, "live", taken, 3)
            assert await checkpoints.held(store, "live", taken.epoch) == taken
        for table in LIVE.tables:
            columns = (*table.key, *table.columns)
            async with db.session() as session:
                rows = map(tuple, await session.connection.fetch(f"SELECT {', '.join(columns)} FROM {table.name}"))
            kept = [(*key, *(row[name] for name in table.columns)) for key, row in tables.rows[table.name].items()]
            assert sorted(rows, key=repr) == sorted(kept, key=repr)
        room_ids = [key[0] for key in tables.rows["read.rooms"]]
        postings = [key[0] for key in tables.rows["read.messages"]]
        for question in (
            lambda store: rooms.activities(store, room_ids),
            lambda store: message_queries.deleted_among(store, postings),
            lambda store: sessions.ended_since(store, events[0].at - timedelta(hours=1)),
            lambda store: sessions.ended_since(store, events[-1].at),
            lambda store: users.inactive(store),
        ):
            real_answer, fake_answer = [await question(store) for store in (db, tables)]
            assert sorted(real_answer) == sorted(fake_answer)


def history(seed: int) -> list[Recorded[Any]]:
    """Return what a simulation left on its record."""
    worlds: list[World] = []

    class Kept(World):
        def __init__(self, seed: int) -> None:
            super().__init__(seed)
            worlds.append(self)

    assert live_through(seed, Kept)[0] == []
    return worlds[0].record.events


class _Paged:
    """A record that gives pages of chance length."""

    def __init__(self, record: MemoryRecord, chance: Random) -> None:
        self._record = record
        self._chance = chance

    async def after(self, position: int, *, until: int | None = None, limit: int, metas: bool = True) -> Any:
        return await self._record.after(position, until=until, limit=self._chance.randint(1, 30), metas=metas)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._record, name)


@pytest.fixture
async def both(redis_url: str) -> AsyncIterator[list[Any]]:
    real = Lanes.open(redis_url, RecordId(uuid7(9, os.urandom(10))), 3)
    yield [real, MemoryLanes(MemoryStreams(), 3)]
    await real.close()


async def test_lanes_in_memory_carry_what_redis_does(both: list[Any]) -> None:
    def entry(position: int, room: int | None) -> Entry:
        room_id = None if room is None else ROOMS[room]
        return Entry(position, room_id, 0 if room is None else position - 1, b"frame %d" % position, None)

    async def live(lanes: Any) -> list[Any]:
        found: list[Any] = [await lanes.published(), *[lanes.lane_of(room_id) for room_id in ROOMS]]
        every = dict.fromkeys((CONTROL, 0, 1, 2), "0-0")
        await lanes.publish([entry(1, 0), entry(2, 1), entry(2, None), entry(5, 0)], published=6)
        found += [await lanes.published(), [await lanes.last(lane) for lane in every], await lanes.read(every)]
        await lanes.publish(
            [entry(1, 0), entry(5, 0), entry(7, 2), entry(9, 0)], published=9
        )  # what is there is passed over
        found += [await lanes.published(), await lanes.read(dict.fromkeys(every, "5-0"))]
        waiting = asyncio.create_task(lanes.read(dict.fromkeys(every, "9-0")))
        while not waiting.done():
            await asyncio.sleep(0)
            await lanes.interrupt()
        found.append(waiting.result())
        waiting = asyncio.create_task(lanes.read(dict.fromkeys(every, "9-0")))
        await lanes.publish([entry(11, None)], published=11)
        found.append(await waiting)
        await lanes.publish(
            [entry(12, 1)], published=12, forgotten=[(ROOMS[0], 9), (ROOMS[0], 5), (ROOMS[1], 12), (ROOMS[2], 8)]
        )
        await lanes.publish([entry(9, 0), entry(12, 1)], published=12)  # what is gone does not come back
        found += [[await lanes.last(lane) for lane in every], await lanes.read(dict.fromkeys(every, "0-0"))]
        await lanes.trim(age_seconds=3_600)
        found.append(await lanes.read(dict.fromkeys(every, "0-0")))
        await lanes.publish([entry(13, 2)], published=13)
        await lanes.trim(age_seconds=3_600)
        await lanes.trim(age_seconds=0)
        await lanes.publish([entry(7, 2), entry(11, None), entry(14, 0)], published=14)
        found += [[await lanes.last(lane) for lane in every], await lanes.read(dict.fromkeys(every, "0-0"))]
        return found

    async with asyncio.timeout(20):
        assert await live(both[0]) == await live(both[1])
