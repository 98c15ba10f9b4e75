"""Several processes append at once: one after the other, and whoever waits is appended together with the next."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any
from uuid import uuid4

import asyncpg
import pytest

from adapters.postgres.event_store import PostgresRecord
from adapters.postgres.head_listener import CHANNEL
from domain.ids import StreamId
from domain.ports.record import (
    Answer,
    Appended,
    Claim,
    Conflicted,
    NothingWrittenError,
    Receipt,
    ReceiptFound,
    RecordUnavailableError,
)
from tests.deployments import ledger
from tests.record.test_record import HOLD_LOCK, leave, post

QUEUED = "SELECT count(*) FROM record.queued_batches"
WAITING = """
    SELECT l.pid FROM pg_locks l
    WHERE l.relation = 'record.append_lock'::regclass AND NOT l.granted
        AND l.database = (SELECT d.oid FROM pg_database d WHERE d.datname = current_database())
"""
# Whoever appends beside the test's own connections (which hold their place in `crowd`) stands still before its first row.
STAND_STILL = """
    CREATE FUNCTION public.stand_still() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
    BEGIN PERFORM pg_advisory_xact_lock(80); RETURN NEW; END $$;
    CREATE TRIGGER stand_still BEFORE INSERT ON record.events FOR EACH ROW EXECUTE FUNCTION public.stand_still()
"""
STANDING_STILL = """
    SELECT l.pid FROM pg_locks l WHERE l.locktype = 'advisory' AND l.objid = 80 AND NOT l.granted
        AND l.database = (SELECT d.oid FROM pg_database d WHERE d.datname = current_database())
"""
# One event of each command, of streams at these versions.
APPEND_OR_QUEUE = """
    SELECT record.append_or_queue(
        $1, 'infinity', $2::int[], $3::uuid[], $4::int[],
        $2, $3, ARRAY(SELECT v + 1 FROM unnest($4) v), ARRAY(SELECT 'test.posted' FROM unnest($2)),
        ARRAY(SELECT ''::bytea FROM unnest($2)), ARRAY(SELECT ''::bytea FROM unnest($2)),
        ARRAY(SELECT NULL::uuid FROM unnest($2)), '{}', '{}', '{}', '{}', '{}', '{}', '{}'
    )
"""
ROWS = "SELECT ctid::text, xmin::text, xmax::text FROM record.identity"
ONLY_INDEX = "Index Only Scan Backward using events_pkey"


class Crowd:
    """Records as of several processes, and the lock that keeps them waiting."""

    def __init__(self, records: Sequence[PostgresRecord], owner: Any) -> None:
        self.records = records
        self.owner = owner

    async def append_at_once(self, appends: Sequence[Any]) -> list[Answer | BaseException]:
        """Have every process append one while somebody holds the lock; then let go."""
        hold = self.owner.transaction()
        await hold.start()
        await self.owner.execute(HOLD_LOCK)
        tasks = []
        for number, (record, append) in enumerate(zip(self.records, appends, strict=True), 1):
            tasks.append(asyncio.create_task(record.append(append)))
            while len(await self.owner.fetch(WAITING)) < number:
                await asyncio.sleep(0)
        await hold.rollback()
        async with asyncio.timeout(20):
            return await asyncio.gather(*tasks, return_exceptions=True)


@asynccontextmanager
async def crowd(database_url: str, count: int) -> AsyncIterator[Crowd]:
    async with AsyncExitStack() as stack:
        records = [(await stack.enter_async_context(ledger(database_url, size=2)))[1] for _ in range(count)]
        owner = await asyncpg.connect(database_url)
        stack.push_async_callback(owner.close)
        for record in records:
            await record.append(post())  # its connection is there, and its keys are made
        yield Crowd(records, owner)


async def test_whoever_waits_is_appended_in_one_commit(database_url: str) -> None:
    async with crowd(database_url, 6) as many:
        told: asyncio.Queue[str] = asyncio.Queue()
        await many.owner.add_listener(CHANNEL, lambda *said: told.put_nowait(said[-1]))
        answers = await many.append_at_once([post(str(i)) for i in range(6)])
        assert sorted(a.events[0].position for a in answers if isinstance(a, Appended)) == [7, 8, 9, 10, 11, 12]
        assert await asyncio.wait_for(told.get(), 20) == "12", "six processes shared a commit, which is told once"
        assert await many.owner.fetchval(QUEUED) == 0


async def test_each_of_those_that_wait_hears_its_own_answer(database_url: str) -> None:
    stream, mine, other = StreamId(uuid4()), StreamId(uuid4()), StreamId(uuid4())
    receipt = Receipt(os.urandom(32), b"body")
    async with crowd(database_url, 8) as many:
        await many.records[0].append(leave(stream, 0))
        answers = await many.append_at_once(
            [
                leave(stream, 1),
                leave(stream, 1),
                post(claims=(Claim("email", "a@b.c", mine),)),
                post(claims=(Claim("email", "a@b.c", other),)),
                post(receipt=receipt),
                post(receipt=receipt),
                post(guards=((stream, 0),)),
                post(guards=((mine, 4),)),
            ]
        )
        # Which of two is first, nobody promises.
        assert sorted(type(answer).__name__ for answer in answers[:2]) == ["Appended", "Conflicted"]
        assert sorted(type(answer).__name__ for answer in answers[2:4]) == ["Appended", "ClaimTaken"]
        assert sorted(type(answer).__name__ for answer in answers[4:6]) == ["Appended", "ReceiptFound"]
        assert answers[6:] == [Conflicted(), Conflicted()]
        written = {
            answer.events[0].position: answer.events[0].stream for answer in answers if isinstance(answer, Appended)
        }
        assert sorted(written) == [10, 11, 12] and (await many.records[0].head()).position == 12
        assert {recorded.position: recorded.stream for recorded in await many.records[0].after(9, limit=9)} == written
        [found] = [answer for answer in answers if isinstance(answer, ReceiptFound)]
        [first] = [answer.events[0].position for answer in answers[4:6] if isinstance(answer, Appended)]
        assert found == ReceiptFound(first, first, b"body")


async def test_whoever_is_refused_appends_for_those_that_wait_and_tells_of_it_once(database_url: str) -> None:
    """Its own answers say nothing of how far the record is then, and what is told must be the end of all."""
    stream, ticket = StreamId(uuid4()), uuid4()
    async with crowd(database_url, 1) as many:
        told: asyncio.Queue[str] = asyncio.Queue()
        await many.owner.add_listener(CHANNEL, lambda *said: told.put_nowait(said[-1]))
        await many.records[0].append(leave(stream, 0))
        assert await asyncio.wait_for(told.get(), 20) == "2"
        waiting = await asyncpg.connect(database_url)
        async with many.owner.transaction():
            await many.owner.execute(HOLD_LOCK)
            assert await waiting.fetchval(APPEND_OR_QUEUE, ticket, [1], [uuid4()], [0]) is None
        assert await many.records[0].append(leave(stream, 0)) == Conflicted()
        assert await asyncio.wait_for(told.get(), 20) == "3", "nothing of its own, and what it appended for another"
        assert told.empty(), "a commit is told once"
        [answer] = await waiting.fetchval("SELECT record.answer_queued($1, false)", ticket)
        assert (answer["outcome"], answer["first"]) == (0, 3)
        assert await waiting.fetchval(APPEND_OR_QUEUE, uuid4(), [1, 2], [stream, uuid4()], [0, 0]) is not None
        assert await asyncio.wait_for(told.get(), 20) == "4", "one of two is refused: the other one is told of"
        assert len(await waiting.fetchval(APPEND_OR_QUEUE, uuid4(), [1], [stream], [0])) == 1
        await many.records[0].append(post())
        assert await asyncio.wait_for(told.get(), 20) == "5", "who is refused alone tells nothing"
        await waiting.close()


async def test_what_cannot_be_written_fails_who_sent_it_and_no_other_process(database_url: str) -> None:
    async with crowd(database_url, 4) as many:
        bad = leave(StreamId(uuid4()), 0)
        await many.owner.execute(
            "CREATE FUNCTION pg_temp.no() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'no'; END $$"
        )
        await many.owner.execute(
            "CREATE TRIGGER bad BEFORE INSERT ON record.events FOR EACH ROW "
            f"WHEN (NEW.stream = '{bad.writes[0].stream}') EXECUTE FUNCTION pg_temp.no()"
        )
        answers = await many.append_at_once([post(), bad, post(), post()])
        refused = answers.pop(1)
        assert isinstance(refused, RecordUnavailableError) and "no" in str(refused)
        assert all(isinstance(answer, Appended) for answer in answers), answers
        assert await many.owner.fetchval(QUEUED) == 0


async def test_who_gives_up_waiting_is_appended_by_nobody_else(database_url: str) -> None:
    """Told "nothing was written", its caller may try something else: nothing of it may appear after that."""
    async with crowd(database_url, 2) as many:
        async with many.owner.transaction():
            await many.owner.execute(HOLD_LOCK)
            with pytest.raises(NothingWrittenError):
                await many.records[0].append(post("given up"))
            assert await many.owner.fetchval(QUEUED) == 0
        await many.append_at_once([post(), post()])
        assert (await many.records[0].head()).position == 4


async def test_an_answer_that_was_left_while_its_owner_gave_up_is_the_answer(database_url: str) -> None:
    async with crowd(database_url, 2) as many:
        one, two = many.records
        async with many.owner.transaction():
            await many.owner.execute(HOLD_LOCK)
            waiting = asyncio.create_task(one.append(post("in time")))
            while not (blocked := await many.owner.fetchval(WAITING)):
                await asyncio.sleep(0)
            await many.owner.execute("SELECT record.serve_queue()")
            await many.owner.execute("SELECT pg_cancel_backend($1)", blocked)
            while await many.owner.fetchval(WAITING):
                await asyncio.sleep(0)
        answer = await waiting
        assert isinstance(answer, Appended) and answer.events[0].position == 3
        assert isinstance(await two.append(post()), Appended)


async def test_who_dies_waiting_is_appended_once_or_not_at_all(database_url: str) -> None:
    async with crowd(database_url, 3) as many:
        stream = StreamId(uuid4())
        hold = many.owner.transaction()
        await hold.start()
        await many.owner.execute(HOLD_LOCK)
        tasks = [asyncio.create_task(many.records[i].append(leave(stream, 0) if i == 0 else post())) for i in range(3)]
        while len(await many.owner.fetch(WAITING)) < 3:
            await asyncio.sleep(0)
        many.records[0].appender.drop_connection()
        await hold.rollback()
        answers = await asyncio.gather(*tasks, return_exceptions=True)
        assert isinstance(answers[0], Exception)
        assert isinstance(answers[1], Appended) and isinstance(answers[2], Appended)
        found = (await many.records[1].streams([stream]))[stream]
        assert len(found) <= 1


async def test_a_long_snapshot_leaves_appending_alone(database_url: str) -> None:
    """A dump looks at the database as it was for an hour: no row that every append updates may grow under it."""
    async with crowd(database_url, 2) as many:
        reader = await asyncpg.connect(database_url)
        async with reader.transaction(isolation="repeatable_read", readonly=True):
            await reader.fetchval("SELECT position FROM record.head")
            before = await many.owner.fetch(ROWS)
            for _ in range(40):
                await asyncio.gather(*(record.append(post()) for record in many.records))
            assert await many.owner.fetch(ROWS) == before, "the one row of the record's id stands where it stood"
            await many.owner.execute("SET enable_seqscan = off")
            plan = str(await many.owner.fetch("EXPLAIN SELECT position, recorded_at FROM record.head"))
            assert plan.count("Index Scan Backward using events_pkey") + plan.count(ONLY_INDEX) == 2, plan
        await reader.close()


@asynccontextmanager
async def dying(database_url: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """A process that appends one post once it is told to, and then another: to be killed in the middle."""
    arguments = ("-m", "tests.record.writer", database_url, "2")
    pipes = {"stdout": asyncio.subprocess.PIPE}
    process = await asyncio.create_subprocess_exec(sys.executable, *arguments, **pipes)  # type: ignore[arg-type]
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def _wait_for(owner: Any, sql: str, count: int) -> list[Any]:
    async with asyncio.timeout(30):
        while len(found := await owner.fetch(sql)) < count:
            await asyncio.sleep(0)
    return list(found)


async def _whole_or_absent(record: PostgresRecord, owner: Any) -> int:
    """Check that the record is without gaps and that nothing is left behind in the queue; return its head."""
    events = await record.after(0, limit=100)
    assert [recorded.position for recorded in events] == list(range(1, len(events) + 1))
    await owner.execute("UPDATE record.queued_batches SET queued_at = queued_at - interval '2 minutes'")
    await owner.fetchval("SELECT record.forget_receipts(24, 10)")
    assert await owner.fetchval(QUEUED) == 0
    return len(events)


@pytest.mark.parametrize("is_backend_ended", [True, False], ids=["with its backend", "alone"])
async def test_a_process_that_is_killed_holding_the_lock_lets_the_others_go_on(
    database_url: str, is_backend_ended: bool
) -> None:
    """Its append stands still in the middle of its transaction while others queue. Its backend goes on without it, if it is
    left: then what it began is whole."""
    async with crowd(database_url, 3) as many:
        block = await asyncpg.connect(database_url)
        hold = block.transaction()
        await many.owner.execute(STAND_STILL)
        await hold.start()
        await block.execute("SELECT pg_advisory_xact_lock(80)")
        async with dying(database_url) as process:
            [holder] = await _wait_for(many.owner, STANDING_STILL, 1)
            tasks = [asyncio.create_task(record.append(post())) for record in many.records]
            await _wait_for(many.owner, WAITING, 3)
            assert await many.owner.fetchval(QUEUED) == 3
            process.kill()
            await process.wait()
            if is_backend_ended:
                assert await many.owner.fetchval("SELECT pg_terminate_backend($1, 20000)", holder["pid"])
            await hold.rollback()
            async with asyncio.timeout(30):
                answers = await asyncio.gather(*tasks)
        await block.close()
        first = 4 if is_backend_ended else 5
        positions = sorted(answer.events[0].position for answer in answers if isinstance(answer, Appended))
        assert positions == [first, first + 1, first + 2]
        assert await _whole_or_absent(many.records[0], many.owner) == first + 2


@pytest.mark.parametrize("is_backend_ended", [True, False], ids=["with its backend", "alone"])
async def test_a_process_that_is_killed_in_the_queue_is_appended_whole_or_not_at_all(
    database_url: str, is_backend_ended: bool
) -> None:
    async with crowd(database_url, 3) as many:
        hold = many.owner.transaction()
        await hold.start()
        await many.owner.execute(HOLD_LOCK)
        async with dying(database_url) as process:
            [queued] = await _wait_for(many.owner, WAITING, 1)
            tasks = [asyncio.create_task(record.append(post())) for record in many.records]
            await _wait_for(many.owner, WAITING, 4)
            process.kill()
            await process.wait()
            if is_backend_ended:
                assert await many.owner.fetchval("SELECT pg_terminate_backend($1, 20000)", queued["pid"])
            await hold.rollback()
            async with asyncio.timeout(30):
                answers = await asyncio.gather(*tasks)
        assert all(isinstance(answer, Appended) for answer in answers)
        if is_backend_ended:
            assert await many.owner.fetchval(QUEUED) == 1, "nobody is left who would take it out"
        assert await _whole_or_absent(many.records[0], many.owner) in (6, 7)
