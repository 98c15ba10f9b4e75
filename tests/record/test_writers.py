"""Many writers: processes that append at once and are killed, commands that cannot be written, queues that are full."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import asyncpg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from adapters.clock import now
from adapters.postgres.appender import APPEND_QUEUE_MAX
from adapters.postgres.data_keys import Vault
from adapters.postgres.database import Database
from adapters.postgres.event_store import PostgresRecord
from domain.errors import BusyError
from domain.events import Caller
from domain.ids import StreamId
from domain.membership import MemberLeft
from domain.ports.record import (
    Answer,
    Append,
    Appended,
    Claim,
    ClaimTaken,
    Conflicted,
    NothingWrittenError,
    Receipt,
    ReceiptFound,
    RecordUnavailableError,
    Write,
)
from tests.deployments import MASTER, ledger, running
from tests.record.test_record import HOLD_LOCK, ROOM, SENDER, post

REPOSITORY = Path(__file__).parents[2]


@asynccontextmanager
async def process(url: str, count: int) -> AsyncIterator[asyncio.subprocess.Process]:
    """A writer in a process of its own; it is gone after the block."""
    writer = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.record.writer", url, str(count), cwd=REPOSITORY, stdout=asyncio.subprocess.PIPE
    )
    try:
        yield writer
    finally:
        if writer.returncode is None:
            writer.kill()
        await writer.wait()


async def read_all(record: PostgresRecord) -> list[int]:
    positions: list[int] = []
    while events := await record.after(positions[-1] if positions else 0, limit=500):
        positions += [recorded.position for recorded in events]
    return positions


async def test_processes_that_write_at_once_leave_no_hole_and_a_killed_one_loses_nothing(database_url: str) -> None:
    async with process(database_url, 200) as one, process(database_url, 200) as two:
        async with process(database_url, 1_000_000) as killed, asyncio.timeout(60):
            assert killed.stdout and one.stdout and two.stdout
            acknowledged = [int(await killed.stdout.readline()) for _ in range(50)]
            killed.kill()
            acknowledged += [
                int(line) for line in (await killed.stdout.read()).splitlines(keepends=True) if line[-1:] == b"\n"
            ]
        async with asyncio.timeout(60):
            for writer in (one, two):
                assert writer.stdout
                acknowledged += [int(line) for line in (await writer.stdout.read()).splitlines()]
                assert await writer.wait() == 0
    async with ledger(database_url) as (_, record, _):
        head = (await record.head()).position
        assert await read_all(record) == list(range(1, head + 1))
        assert len(set(acknowledged)) == len(acknowledged) >= 450 and max(acknowledged) <= head
        assert head - len(acknowledged) <= 1, "of what was not acknowledged, one append at most was in flight"


async def test_a_command_that_cannot_be_encoded_fails_alone(database_url: str) -> None:
    async with ledger(database_url) as (_, record, _):
        answers = await asyncio.gather(
            *(record.append(post("\ud800" if i == 7 else "fine")) for i in range(20)), return_exceptions=True
        )
        assert isinstance(answers.pop(7), UnicodeEncodeError)
        assert all(isinstance(answer, Appended) for answer in answers)
        assert await read_all(record) == list(range(1, 20))


async def test_a_full_queue_refuses_at_once(database_url: str) -> None:
    db = await Database.open(database_url, size=2)
    record = PostgresRecord(db, Vault(db, MASTER), now=now, chance=os.urandom)
    append = post()
    waiting = [asyncio.create_task(record.append(append)) for _ in range(APPEND_QUEUE_MAX)]
    await asyncio.sleep(0)
    with pytest.raises(BusyError):
        await record.append(append)
    for task in waiting[1:]:
        task.cancel()
    async with running(record.run()):  # who gave up is not written; who waits is
        assert isinstance(await waiting[0], Appended)
        assert (await record.head()).position == 1
    await asyncio.gather(*waiting, return_exceptions=True)
    await db.close()


async def test_a_record_that_cannot_be_reached_answers_so_and_nothing_hangs() -> None:
    with pytest.raises(RecordUnavailableError):
        await Database.open("postgresql://nobody@127.0.0.1:1/nowhere")


async def test_who_stands_in_the_half_that_was_not_tried_is_answered_when_the_writer_is_stopped(
    database_url: str,
) -> None:
    """A batch with one bad command is halved; the writer is stopped while a lock holds the first half up."""
    db = await Database.open(database_url, size=2)
    record = PostgresRecord(db, Vault(db, MASTER), now=now, chance=os.urandom)
    appends = [asyncio.create_task(record.append(post("\ud800" if i == 7 else "fine"))) for i in range(8)]
    await asyncio.sleep(0)
    owner = await asyncpg.connect(database_url)
    async with owner.transaction():
        await owner.execute("LOCK TABLE record.events IN EXCLUSIVE MODE")  # who reads passes
        writer = asyncio.create_task(record.run())
        while not await owner.fetchval("SELECT count(*) FROM pg_locks WHERE NOT granted"):
            await asyncio.sleep(0)
        writer.cancel()
        async with asyncio.timeout(20):
            answers = await asyncio.gather(*appends, return_exceptions=True)
    assert all(isinstance(answer, (RecordUnavailableError, UnicodeEncodeError)) for answer in answers), answers
    assert sum(isinstance(answer, NothingWrittenError) for answer in answers) >= 4
    await asyncio.gather(writer, return_exceptions=True)
    await owner.close()
    await db.close()


async def test_a_server_that_takes_no_writes_is_left_for_the_one_that_does(database_url: str) -> None:
    """After a failover the old primary comes back as a standby: whoever keeps its connection writes never again."""
    async with ledger(database_url) as (_, record, _):
        await record.append(post())
        owner = await asyncpg.connect(database_url)
        name = await owner.fetchval("SELECT current_database()")
        await owner.execute(f'ALTER DATABASE "{name}" SET default_transaction_read_only = on')
        record.appender.drop_connection()
        with pytest.raises(NothingWrittenError):
            await record.append(post())
        await owner.execute("SET default_transaction_read_only = off")
        await owner.execute(f'ALTER DATABASE "{name}" SET default_transaction_read_only = off')
        await owner.close()
        assert isinstance(await record.append(post()), Appended), "on a connection of its own"


async def test_a_lock_that_is_held_too_long_fails_the_command_and_not_the_writer(database_url: str) -> None:
    async with ledger(database_url) as (_, record, _):
        superuser = await asyncpg.connect(database_url)
        async with superuser.transaction():
            await superuser.execute(HOLD_LOCK)
            with pytest.raises(NothingWrittenError):
                await record.append(post())
        await superuser.close()
        answer = await record.append(post())
        assert isinstance(answer, Appended) and answer.events[0].position == 1


# Commands that write one stream, and may take a claim, release one and send a receipt: in any mixture a batch of them is
# judged as if they had come one by one.
Asked = tuple[int, int, int | None, int | None, int | None]
asked_commands = st.lists(
    st.tuples(
        st.integers(0, 3), st.integers(0, 2),
        st.none() | st.integers(0, 2), st.none() | st.integers(0, 2), st.none() | st.integers(0, 2),
    ),
    min_size=1,
    max_size=20,
)  # fmt: skip


class Model:
    """The record in few words: versions, who holds what, and what receipts stand for."""

    def __init__(self, streams: list[StreamId], position: int) -> None:
        self.streams = streams
        self.versions = dict.fromkeys(streams, 0)
        self.holders: dict[str, StreamId] = {}
        self.receipts: dict[bytes, ReceiptFound] = {}
        self.position = position

    def append(self, append: Append) -> Any:
        (write,) = append.writes
        if append.receipt and append.receipt.digest in self.receipts:
            return self.receipts[append.receipt.digest]
        if self.versions[write.stream] != write.expected:
            return Conflicted()
        for claim in append.claims:
            if claim.stream and self.holders.get(claim.value, claim.stream) != claim.stream:
                return ClaimTaken("email")
        self.position += 1
        self.versions[write.stream] += 1
        for claim in append.claims:
            if claim.stream is None:
                self.holders.pop(claim.value, None)
        self.holders |= {claim.value: claim.stream for claim in append.claims if claim.stream}
        if append.receipt:
            self.receipts[append.receipt.digest] = ReceiptFound(self.position, self.position, append.receipt.request)
        return self.position


def command(streams: list[StreamId], run: bytes, asked: Asked) -> Append:
    which, expected, taken, released, receipt = asked
    stream = streams[which]
    claims = [] if taken is None else [Claim("email", f"{run.hex()}{taken}", stream)]
    if released is not None and released != taken:
        claims.append(Claim("email", f"{run.hex()}{released}", None))
    return Append(
        "X",
        Caller(),
        (Write(stream, expected, (MemberLeft(ROOM, SENDER),)),),
        claims=tuple(claims),
        receipt=None if receipt is None else Receipt(run + bytes([receipt]), b"body"),
    )


def told(answer: Answer) -> Any:
    return answer.events[0].position if isinstance(answer, Appended) else answer


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(asked_commands)
async def test_claims_and_receipts_of_a_batch_equal_those_of_commands_one_by_one(
    database_url: str, asked: list[Asked]
) -> None:
    streams, run = [StreamId(uuid4()) for _ in range(4)], uuid4().bytes
    async with ledger(database_url, size=2) as (_, record, _):
        model = Model(streams, (await record.head()).position)
        appends = [command(streams, run, each) for each in asked]
        # Who takes a claim and who may write next are decided in the order of the queue, so positions may differ where
        # nothing is shared; what each command is told may not.
        answers = [told(answer) for answer in await asyncio.gather(*map(record.append, appends))]
        expected = [model.append(append) for append in appends]
        assert [kind(answer) for answer in answers] == [kind(answer) for answer in expected]
        assert (await record.head()).position == model.position
        for value in {claim.value for append in appends for claim in append.claims}:
            assert await record.claimant("email", value) == model.holders.get(value)
        found = await record.streams(streams)
        assert {stream: len(found[stream]) for stream in streams} == model.versions


def kind(answer: Any) -> Any:
    return type(answer) if isinstance(answer, (int, ReceiptFound)) else answer
