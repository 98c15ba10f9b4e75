"""The record on real Postgres: positions, versions, guards, claims, receipts, what is sealed, and what is refused."""

import asyncio
import os
from datetime import UTC, datetime
from uuid import UUID, uuid4

import asyncpg
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from adapters.clock import now
from adapters.postgres.codec import decode_all
from adapters.postgres.data_keys import Vault
from adapters.postgres.database import Database
from adapters.postgres.event_store import PostgresRecord
from domain.events import Caller, UnreadableEvent
from domain.ids import MessageId, RoomId, StreamId, UserId
from domain.membership import MemberLeft
from domain.message import MESSAGE, MessagePosted
from domain.ports.record import (
    Append,
    Appended,
    Claim,
    ClaimTaken,
    Conflicted,
    Receipt,
    ReceiptFound,
    RecordUnavailableError,
    Write,
)
from tests.deployments import MASTER, ledger, running

ROOM, SENDER = RoomId(uuid4()), UserId(uuid4())
HOLD_LOCK = "LOCK TABLE record.append_lock IN EXCLUSIVE MODE"
LATER_EVENT = """
    INSERT INTO record.events (position, stream, version, topic, data, meta, recorded_at)
    VALUES (1, gen_random_uuid(), 1, 'later.topic', '{}', '{}', $1)
"""


def post(content: str = "hi", *, guards: tuple[tuple[StreamId, int], ...] = (), **more: object) -> Append:
    """An append of one new message."""
    message_id = MessageId(uuid4())
    write = Write(MESSAGE.id(message_id), 0, (MessagePosted(message_id, ROOM, SENDER, content),))
    return Append("PostMessage", Caller(user_id=SENDER, address="203.0.113.9"), (write,), guards, **more)  # type: ignore[arg-type]


def leave(stream: StreamId, expected: int) -> Append:
    return Append("LeaveRoom", Caller(user_id=SENDER), (Write(stream, expected, (MemberLeft(ROOM, SENDER),)),))


async def test_positions_are_dense_and_in_order_under_many_writers(database_url: str) -> None:
    async with (
        ledger(database_url) as (_, one, _),
        ledger(database_url) as (_, two, _),
        ledger(database_url) as (_, three, _),
    ):
        answers = await asyncio.gather(*(record.append(post()) for _ in range(300) for record in (one, two, three)))
        positions = sorted(recorded.position for answer in answers for recorded in answer.events)  # type: ignore[union-attr]
        assert positions == list(range(1, 901))
        events = await one.after(0, limit=1_000)
        assert [recorded.position for recorded in events] == positions
        assert [recorded.at for recorded in events] == sorted(recorded.at for recorded in events)


async def test_a_follower_skips_nothing_under_eight_writers(database_url: str) -> None:
    async with ledger(database_url) as (_, record, _):
        seen: list[int] = []

        async def follow() -> None:
            async with record.wakes() as wakes:
                async for _ in wakes:
                    while events := await record.after(seen[-1] if seen else 0, limit=100):
                        seen.extend(recorded.position for recorded in events)
                    if len(seen) >= 800:
                        return

        async def write() -> None:
            async with ledger(database_url, size=2) as (_, own, _):
                for _ in range(100):
                    await own.append(post())

        async with asyncio.timeout(60), asyncio.TaskGroup() as group:
            group.create_task(follow())
            for _ in range(8):
                group.create_task(write())
        assert seen == list(range(1, 801))


async def test_a_stream_moved_on_or_a_guard_that_fails_writes_nothing(database_url: str) -> None:
    stream, guard = StreamId(uuid4()), StreamId(uuid4())
    async with ledger(database_url) as (_, record, _):
        assert isinstance(await record.append(leave(guard, 0)), Appended)
        assert isinstance(await record.append(leave(stream, 0)), Appended)
        assert await record.append(leave(stream, 0)) == Conflicted()
        assert await record.append(post(guards=((guard, 0),))) == Conflicted()
        assert isinstance(await record.append(post(guards=((guard, 1), (stream, 1)))), Appended)
        assert (await record.head()).position == 3


async def test_one_conflict_never_fails_its_neighbours(database_url: str) -> None:
    stream = StreamId(uuid4())
    async with ledger(database_url) as (_, record, _):
        answers = await asyncio.gather(*(record.append(leave(stream, 0) if i % 2 else post()) for i in range(40)))
        assert sum(isinstance(answer, Appended) for answer in answers) == 21
        assert sum(answer == Conflicted() for answer in answers) == 19


async def test_claims_are_held_by_one_stream_and_can_be_released(database_url: str) -> None:
    mine, other = StreamId(uuid4()), StreamId(uuid4())
    async with ledger(database_url) as (db, record, _):
        assert isinstance(await record.append(post(claims=(Claim("email", "a@b.c", mine),))), Appended)
        assert await record.append(post(claims=(Claim("email", "a@b.c", other),))) == ClaimTaken("email")
        assert await record.claimant("email", "a@b.c") == mine
        assert isinstance(await record.append(post(claims=(Claim("email", "a@b.c", None),))), Appended)
        assert await record.claimant("email", "a@b.c") is None
        rows = await db.value("SELECT count(*) FROM record.claims")
        assert rows == 0
        answers = await asyncio.gather(
            *(record.append(post(claims=(Claim("username", "ada", StreamId(uuid4())),))) for _ in range(30))
        )
        assert sum(isinstance(answer, Appended) for answer in answers) == 1


async def test_fifty_parallel_uses_of_a_receipt_write_once(database_url: str) -> None:
    receipt = Receipt(b"key", b"body")
    async with ledger(database_url) as (_, one, _), ledger(database_url) as (_, two, _):
        answers = await asyncio.gather(
            *(record.append(post(receipt=receipt)) for _ in range(25) for record in (one, two))
        )
        assert sum(isinstance(answer, Appended) for answer in answers) == 1
        assert sum(answer == ReceiptFound(1, 1, b"body") for answer in answers) == 49
        assert await one.receipt(b"key") == ReceiptFound(1, 1, b"body")
        assert await one.forget_receipts(older_than_hours=0) == 1
        assert await one.receipt(b"key") is None


async def test_the_database_refuses_to_alter_the_record(database_url: str) -> None:
    async with ledger(database_url) as (db, record, _):
        await record.append(post())
        superuser = await asyncpg.connect(database_url)
        for statement in (
            "UPDATE record.events SET data = 'x'",
            "DELETE FROM record.events",
            "TRUNCATE record.events",
            "DELETE FROM record.head",
        ):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await superuser.execute(statement)
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await db.run(statement)
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await db.run(
                "INSERT INTO record.events SELECT 99, stream, 99, topic, data, meta, room_id, recorded_at FROM record.events"
            )
        await superuser.close()
        assert (await record.head()).position == 1


async def test_what_is_personal_stands_nowhere_in_plain(database_url: str) -> None:
    async with ledger(database_url) as (_, record, _):
        await record.append(post("a very private sentence"))
        superuser = await asyncpg.connect(database_url)
        dump = b"".join(
            [bytes(v) for row in await superuser.fetch("SELECT data, meta FROM record.events") for v in row]
        )
        assert b"private sentence" not in dump and b"203.0.113.9" not in dump
        assert str(SENDER).encode() in dump
        await superuser.execute("UPDATE vault.data_keys SET wrapped = NULL")
        await superuser.close()
    async with ledger(database_url) as (_, record, _):
        (recorded,) = await record.after(0, limit=1)
        assert recorded.erased and recorded.event.content == ""  # type: ignore[attr-defined]
        assert recorded.event.sender_id == SENDER  # type: ignore[attr-defined]


async def test_a_sealed_box_cannot_be_moved_to_another_event(database_url: str) -> None:
    from adapters.postgres.codec import StoredRow

    async with ledger(database_url) as (db, record, _):
        await record.append(post("one"))
        await record.append(post("two"))
        rows = await db.all(
            StoredRow,
            "SELECT position, stream, version, topic, data, meta, room_id, recorded_at FROM record.events ORDER BY 1",
        )
        moved = replace(rows[0], data=rows[1].data)
        [recorded] = await decode_all([moved], Vault(db, MASTER))
        assert recorded.event == UnreadableEvent("message.posted", ROOM, "not what was sealed")


async def test_a_poisoned_command_fails_alone(database_url: str) -> None:
    bad = Append("Bad", Caller(user_id=SENDER), (Write(StreamId(uuid4()), 0, (Poison(ROOM, SENDER),)),))
    async with ledger(database_url) as (_, record, _):
        answers = await asyncio.gather(
            *(record.append(bad if i == 7 else post()) for i in range(20)), return_exceptions=True
        )
        assert sum(isinstance(answer, Appended) for answer in answers) == 19
        assert isinstance(answers[7], asyncpg.PostgresError)


class Poison(MemberLeft, frozen=True):
    """An event whose topic no Postgres takes."""

    topic = "poison\x00"


async def test_a_killed_connection_fails_what_was_in_flight_and_the_next_append_works(database_url: str) -> None:
    async with ledger(database_url) as (_, record, _):
        await record.append(post())
        superuser = await asyncpg.connect(database_url)
        await superuser.execute(f"BEGIN; {HOLD_LOCK}")
        waiting = asyncio.create_task(record.append(post()))
        killer = await asyncpg.connect(database_url)
        blocked = "SELECT pid FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
        while (pid := await killer.fetchval(blocked)) is None:
            await asyncio.sleep(0)
        await killer.execute("SELECT pg_terminate_backend($1)", pid)
        with pytest.raises(RecordUnavailableError):
            await waiting
        await superuser.execute("ROLLBACK")
        assert isinstance(await record.append(post()), Appended)
        await superuser.close()
        await killer.close()


async def test_appends_that_wait_at_shutdown_are_written(database_url: str) -> None:
    db = await Database.open(database_url, size=2)
    record = PostgresRecord(db, Vault(db, MASTER), now=now, chance=os.urandom)
    async with running(record.run()):
        waiting = [asyncio.create_task(record.append(post())) for _ in range(50)]
        await asyncio.sleep(0)
    assert sum(isinstance(answer, Appended) for answer in await asyncio.gather(*waiting)) == 50
    with pytest.raises(RecordUnavailableError):
        await record.append(post())
    await db.close()


# A batch is judged as if its commands had come one by one: writes and guards on four streams, in any mixture.
commands = st.lists(
    st.tuples(
        st.integers(0, 3), st.integers(0, 3), st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), max_size=2)
    ),
    min_size=1,
    max_size=25,
)


@example([(0, 0, []), (0, 1, [(1, 0)]), (1, 0, [])])  # the third once overtook the second, which waits for the first
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(commands)
async def test_a_batch_equals_its_commands_one_by_one(
    database_url: str, asked: list[tuple[int, int, list[tuple[int, int]]]]
) -> None:
    streams = [StreamId(uuid4()) for _ in range(4)]
    versions = [0, 0, 0, 0]
    expected = []
    for stream, version, guards in asked:
        holds = versions[stream] == version and all(versions[s] == v for s, v in guards if s != stream)
        versions[stream] += holds
        expected.append(holds)
    async with ledger(database_url, size=2) as (_, record, _):
        before = (await record.head()).position
        appends = [
            Append(
                "X",
                Caller(),
                (Write(streams[stream], version, (MemberLeft(ROOM, SENDER),)),),
                tuple((streams[s], v) for s, v in guards if s != stream),
            )
            for stream, version, guards in asked
        ]
        answers = await asyncio.gather(*map(record.append, appends))
        assert [isinstance(answer, Appended) for answer in answers] == expected
        assert (await record.head()).position == before + sum(expected)
        found = await record.streams(streams)
        assert [[recorded.version for recorded in found[stream]] for stream in streams] == [
            list(range(1, v + 1)) for v in versions
        ]


async def test_recorded_time_never_runs_backwards(database_url: str) -> None:
    async with ledger(database_url) as (_, record, _):
        superuser = await asyncpg.connect(database_url)
        future = datetime(2100, 1, 1, tzinfo=UTC)
        await superuser.execute(LATER_EVENT, future)
        await superuser.close()
        answer = await record.append(post())
        assert isinstance(answer, Appended) and answer.events[0].at == future


async def test_previous_in_rooms_counts_only_what_the_room_heard(database_url: str) -> None:
    async with ledger(database_url) as (_, record, _):
        for _ in range(3):
            await record.append(post())
        assert await record.previous_in_rooms([(ROOM, 3), (ROOM, 1), (RoomId(UUID(int=1)), 9)]) == [2, 0, 0]
