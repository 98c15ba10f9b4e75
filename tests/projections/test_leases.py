"""Batches are bounded by time: whatever is in the record, one owner makes progress, and the loop has its turn meanwhile."""

import asyncio
import json
import os
import threading
import time
from collections.abc import Iterable, Sequence
from typing import Any

import asyncpg
import pytest

from adapters.clock import now
from adapters.postgres.database import Database
from adapters.postgres.event_store import PostgresRecord
from domain.events import Recorded
from domain.message import MessagePosted
from projections import checkpoints, message_html
from projections.tables import Change, Group, Projection
from tests.commands.test_folds import as_owner
from tests.deployments import ledger
from tests.projections.test_parking import SELECT_HTML, Scene, scene
from workers.projector import Follower

NEVER = threading.Event()  # waiting for it takes as long as is said, and holds no lock of the interpreter
SELECT_OWNERS = "SELECT epoch FROM read.checkpoints WHERE name = 'message_html'"


def slow_group(seconds: float, *positions: int) -> Group:
    """HTML whose handler takes a while: for the events at these positions, or for each."""

    def posted(recorded: Recorded[MessagePosted]) -> Iterable[Change]:
        NEVER.wait(seconds if not positions or recorded.position in positions else 0.0)
        yield message_html.MESSAGE_HTML.new(recorded.position, version=1, html="<p>slow</p>")

    return Group("message_html", 1, (Projection((message_html.MESSAGE_HTML,), {MessagePosted: posted}),))


def follow_in_a_thread(database_url: str, group: Group, stop: threading.Event, failures: list[Any]) -> threading.Thread:
    """Follow as another worker does: on a loop of its own, which a slow handler of ours does not hold up."""

    async def follow() -> None:
        async with ledger(database_url, size=3) as (db, record, _):
            following = asyncio.create_task(Follower(group, record, db, owner=threading.current_thread().name).run())
            while not stop.is_set() and not following.done():
                await asyncio.sleep(0.02)
            following.cancel()
            [outcome] = await asyncio.gather(following, return_exceptions=True)
            if isinstance(outcome, Exception):
                failures.append(outcome)

    thread = threading.Thread(target=lambda: asyncio.run(follow()))
    thread.start()
    return thread


async def followed_by(here: Scene, database_url: str, groups: Sequence[Group], seconds: float) -> None:
    """Have several workers follow until everything is written."""
    stop, failures = threading.Event(), list[Any]()
    threads = [follow_in_a_thread(database_url, group, stop, failures) for group in groups]
    head = (await here.record.head()).position
    try:
        async with asyncio.timeout(seconds):
            while await checkpoints.position(here.db, "message_html") < head and not failures:
                await asyncio.sleep(0.05)
    finally:
        stop.set()
        for thread in threads:
            await asyncio.to_thread(thread.join)
    assert not failures


async def test_a_lease_that_was_taken_while_the_clock_had_leapt_holds_up_nobody(database_url: str) -> None:
    """Whose owner ended then: without its end, everybody would wait for as long as the clock had leapt."""
    async with scene(database_url) as here:
        [position] = await here.post(1)
        for ahead, step in (("30 seconds", -1), ("2 days", 1)):
            await as_owner(
                database_url,
                ("INSERT INTO read.checkpoints (name, version) VALUES ('message_html', 1) ON CONFLICT DO NOTHING",),
                (
                    f"UPDATE read.checkpoints SET leased_to = now() + interval '{ahead}', moved_at = now() + interval '{ahead}'",
                ),
            )
            [lag] = await checkpoints.lags(here.db, ["message_html"])
            assert lag.events > 0 and lag.idle_seconds >= 0, "a time that is to come says nothing of what stands still"
            found = await Follower(slow_group(0.0), here.record, here.db, owner="next").step()
            assert (found > 0) == (step > 0)
        assert await here.db.all(int, SELECT_HTML) == [position]


async def test_two_workers_make_progress_through_what_outlasts_a_lease(database_url: str) -> None:
    """A hundred events of 0.1 s each: one batch of all takes more than three times as long as a lease."""
    async with scene(database_url) as here:
        positions = await here.post(100)
        await followed_by(here, database_url, (slow_group(0.1), slow_group(0.1)), seconds=60)
        assert await here.db.all(int, SELECT_HTML) == positions
        assert await here.db.value(SELECT_OWNERS) == 1, "nobody lost the lease in the middle of a batch"


async def test_one_event_that_outlasts_a_lease_is_got_over(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its owner cannot renew while it is at it: another takes over, and neither gets anywhere with a lease that short."""
    monkeypatch.setattr("workers.projector.LEASE_SECONDS", 0.5)
    async with scene(database_url) as here:
        positions = await here.post(5)
        groups = [slow_group(2.0, *positions[:2]) for _ in range(4)]
        await followed_by(here, database_url, groups, seconds=60)
        assert await here.db.all(int, SELECT_HTML) == positions


async def test_a_slow_batch_leaves_the_loop_its_turns(database_url: str) -> None:
    async with scene(database_url) as here:
        positions = await here.post(60)
        follower = Follower(slow_group(0.02), here.record, here.db, owner="one")
        following = asyncio.create_task(follower.step())
        turns, longest = 0, 0.0
        while not following.done():
            before = time.monotonic()
            await asyncio.sleep(0)
            turns, longest = turns + 1, max(longest, time.monotonic() - before)
        assert 0 < await following < len(positions), "it is cut after half a second, and goes on from there"
        assert turns > 20 and longest < 0.3
        while await follower.step() > 0:
            pass
        assert await here.db.all(int, SELECT_HTML) == positions


async def test_a_batch_that_is_too_much_for_a_statement_is_made_smaller(database_url: str) -> None:
    """Each row takes Postgres 20 ms here, and a statement may take half a second: no batch of a hundred is ever written."""
    async with scene(database_url) as here:
        positions = await here.post(100)
        await here.db.run(
            "CREATE FUNCTION read.dawdle() RETURNS trigger LANGUAGE plpgsql AS "
            "$$ BEGIN PERFORM pg_sleep(0.02); RETURN NEW; END $$"
        )
        await here.db.run(
            "CREATE TRIGGER dawdle BEFORE INSERT ON read.message_html FOR EACH ROW EXECUTE FUNCTION read.dawdle()"
        )
        db = await Database.open(database_url, size=2, statement_seconds=0.5)
        record = PostgresRecord(db, here.record._vault, now=now, chance=os.urandom)
        following = asyncio.create_task(Follower(slow_group(0.0), record, db, owner="one").run())
        async with asyncio.timeout(60):
            while len(await here.db.all(int, SELECT_HTML)) < len(positions):
                assert not following.done()
                await asyncio.sleep(0.05)
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)
        await db.close()
        assert await here.db.value("SELECT count(*) FROM read.parked_events") == 0


async def test_a_long_snapshot_leaves_checkpoints_alone(database_url: str) -> None:
    """A dump keeps all versions of the row: neither who moves it nor who reads it may walk through them."""
    async with ledger(database_url) as (db, _, _):
        lease = await checkpoints.take(db, "live", 1, "one", 60)
        assert lease is not None
        reader, owner = await asyncpg.connect(database_url), await asyncpg.connect(database_url)
        async with reader.transaction(isolation="repeatable_read", readonly=True):
            await reader.fetchval("SELECT count(*) FROM read.checkpoints")
            for position in range(1, 1_001):
                await checkpoints.move(db, "live", lease, position, 60)
                lease = checkpoints.Lease(lease.epoch, position, lease.version)
            await owner.execute("ANALYZE read.checkpoints")
            read = await buffers(owner, checkpoints.SELECT_POSITION, "live")
            moved = await buffers(owner, checkpoints.MOVE, "live", lease.epoch, 1_000, 1_001, 60)
        await reader.close()
        await owner.close()
        assert read <= 6 and moved <= 20, (read, moved)
        assert await checkpoints.position(db, "live") == 1_001


async def buffers(connection: asyncpg.Connection, sql: str, *args: object) -> int:
    """Run a statement, and return how many pages it looked at."""
    plan = json.loads(await connection.fetchval(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {sql}", *args))
    return int(plan[0]["Plan"]["Shared Hit Blocks"] + plan[0]["Plan"]["Shared Read Blocks"])
