"""Rebuilds beside readers, beside each other, and beside what goes wrong: nobody who reads is sent away, and no row is lost."""

import asyncio
import random

import asyncpg
import pytest

from adapters.postgres.database import Database, Session
from adapters.postgres.event_store import PostgresRecord
from projections import LIVE, MESSAGE_HTML, PROJECTIONS, checkpoints
from tests.deployments import as_login, ledger, running
from tests.projections.test_read_models import make_history, project
from workers import table_filling
from workers.projector import Follower
from workers.rebuild import Rebuild
from workers.rebuild_reports import Progress, Verdict
from workers.table_swap import RebuildRefusedError, alone, bare

# Readers that hold a table which is exchanged late while they ask for one that is exchanged early.
READS = (
    "SELECT count(*) FROM read.file_variants",
    "SELECT count(*) FROM read.messages",
    "SELECT count(*) FROM read.users",
)
SELECT_NEXT = "SELECT relname::text FROM pg_catalog.pg_class WHERE relname LIKE '%\\_\\_next%'"
SELECT_RIGHTS = """
    SELECT c.relname::text, pg_get_userbyid(c.relowner)::text, array(
        SELECT g.grantee::regrole || ':' || g.privilege_type FROM aclexplode(c.relacl) g ORDER BY 1)::text
    FROM pg_catalog.pg_class c WHERE c.relnamespace = to_regnamespace('read') AND c.relkind = 'r' AND c.relname !~ '__' ORDER BY 1
"""
SELECT_VACUUMED = """
    SELECT reloptions, relpages, relallvisible FROM pg_catalog.pg_class WHERE oid = 'read.messages'::regclass
"""


async def rebuilt(record: PostgresRecord, db: Database, *, swap: bool = True) -> list[Verdict]:
    return await Rebuild(LIVE, record, db, progress=lambda progress: None).run(swap=swap)


async def test_eight_rebuilds_beside_four_readers_send_nobody_away(database_url: str) -> None:
    async with ledger(database_url, size=12) as (db, record, command_bus):
        await make_history(command_bus, 1, 60)
        await project(record, db)
        reads, done = 0, asyncio.Event()

        async def read() -> None:
            nonlocal reads
            while not done.is_set():
                async with db.transaction() as transaction:
                    for sql in READS:
                        await transaction.value(sql)
                        await asyncio.sleep(0.002)
                reads += 1
                await asyncio.sleep(0.03)

        readers = [asyncio.create_task(read()) for _ in range(4)]
        for _ in range(8):
            assert all(verdict.is_equal and verdict.swapped for verdict in await rebuilt(record, db))
        done.set()
        await asyncio.gather(*readers)
        assert reads > 40
        assert await db.value("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()") == 0


async def test_of_two_rebuilds_at_once_the_second_is_told_so_and_no_row_is_lost(database_url: str) -> None:
    async with ledger(database_url) as (db, record, command_bus):
        await make_history(command_bus, 2, 60)
        await project(record, db)
        rows = await db.value("SELECT count(*) FROM read.messages")
        other = await Database.open(as_login(database_url, "operator"), size=4)
        async with alone(db, LIVE):
            with pytest.raises(RebuildRefusedError, match=r"^live is being rebuilt already, by somebody else: wait"):
                await rebuilt(record, other)
            html = await Rebuild(MESSAGE_HTML, record, other, progress=lambda progress: None).run(swap=True)
            assert html[0].is_equal, "another group is another lock"
        outcomes = await asyncio.gather(rebuilt(record, db), rebuilt(record, other), return_exceptions=True)
        told = [outcome for outcome in outcomes if isinstance(outcome, RebuildRefusedError)]
        assert len(told) <= 1 and len(told) + sum(isinstance(outcome, list) for outcome in outcomes) == 2
        assert await db.value("SELECT count(*) FROM read.messages") == rows > 0
        await other.close()


async def test_what_an_interrupted_rebuild_left_holds_up_none_while_somebody_reads_it(database_url: str) -> None:
    """`pg_dump` locks every table there is until it has ended."""
    async with ledger(database_url) as (db, record, command_bus):
        await make_history(command_bus, 2, 20)
        await project(record, db)
        owner, reader = await asyncpg.connect(database_url), await asyncpg.connect(database_url)
        await owner.execute("CREATE TABLE read.messages__next_dead (LIKE read.messages)")
        await owner.execute("ALTER TABLE read.messages__next_dead OWNER TO hansard_operator")
        async with reader.transaction():
            await reader.execute("LOCK TABLE read.messages__next_dead IN ACCESS SHARE MODE")
            assert all(verdict.is_equal for verdict in await rebuilt(record, db))
        assert await db.all(str, SELECT_NEXT) == ["messages__next_dead"]
        assert all(verdict.is_equal for verdict in await rebuilt(record, db))
        assert await db.all(str, SELECT_NEXT) == []
        await owner.close()
        await reader.close()


async def test_rebuilt_tables_carry_the_grants_and_the_owner_of_those_they_replace(database_url: str) -> None:
    owner = await asyncpg.connect(database_url)
    before = await owner.fetch(SELECT_RIGHTS)
    served = {bare(table) for group in PROJECTIONS.values() for table in group.tables}
    assert served < {row[0] for row in before} and {row[1] for row in before} == {"hansard_operator"}
    for seed, url in enumerate((as_login(database_url, "operator"), database_url), 30):
        async with ledger(database_url) as (_, record, command_bus):
            await make_history(command_bus, seed, 30)
            db = await Database.open(url, size=4)
            for group in PROJECTIONS.values():
                await Rebuild(group, record, db, progress=lambda progress: None).run(swap=True)
            assert await owner.fetch(SELECT_RIGHTS) == before
            await db.close()
    await owner.close()


async def test_rebuilt_tables_are_vacuumed_as_those_they_replace(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or unread messages would be counted by reading them, until Postgres comes to it."""
    monkeypatch.setattr(table_filling, "LAST_STRETCH_EVENTS", 0)
    owner = await asyncpg.connect(database_url)
    before = await owner.fetchrow(SELECT_VACUUMED)
    async with ledger(database_url) as (_, record, command_bus):
        await make_history(command_bus, 31, 60)
        db = await Database.open(as_login(database_url, "operator"), size=4)
        await project(record, db)
        await Rebuild(LIVE, record, db, progress=lambda progress: None).run(swap=True)
        await db.close()
    after = await owner.fetchrow(SELECT_VACUUMED)
    await owner.close()
    assert before["reloptions"] == after["reloptions"] == ["autovacuum_vacuum_insert_scale_factor=0.02"]
    assert before["relallvisible"] == 0 < after["relallvisible"] == after["relpages"]


async def test_what_would_lose_rows_is_not_exchanged(database_url: str) -> None:
    async with ledger(database_url) as (db, record, command_bus):
        await make_history(command_bus, 4, 60)
        await project(record, db)
        rows = await db.value("SELECT count(*) FROM read.messages")

        class Robbed(Rebuild):
            """Somebody empties the new table after it was compared."""

            async def _compare(self, session: Session, *, swapped: bool) -> tuple[list[Verdict], dict[str, int]]:
                found = await super()._compare(session, swapped=swapped)
                await db.run(f"TRUNCATE read.messages{self._next}")
                return found

        with pytest.raises(
            RebuildRefusedError, match=rf"^read.messages would lose {rows} of {rows} rows .* found 0 missing: nothing"
        ):
            await Robbed(LIVE, record, db, progress=lambda progress: None).run(swap=True)
        assert await db.value("SELECT count(*) FROM read.messages") == rows
        # A row too many among the served is found by the comparison, and does go.
        await db.run("INSERT INTO read.messages SELECT room_id, -1, id, sender_id, message_type, content, file_id, reply_to, "
                     "is_edited, created_at, updated_at, version, deleted, subject_id, subject_by, reacted, pinned, mentions, mentions_room, thread_id, root_position, in_room, threaded FROM read.messages LIMIT 1")  # fmt: skip
        verdicts = {verdict.table: verdict for verdict in await rebuilt(record, db)}
        assert not verdicts["read.messages"].is_equal
        assert await db.value("SELECT count(*) FROM read.messages") == rows
        assert await db.all(str, SELECT_NEXT) == [], "what interrupted rebuilds left is gone"


async def test_a_reader_that_stays_ends_the_tries_with_a_sentence(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workers.table_swap.SWAP_TRIES_MAX", 3)
    async with ledger(database_url) as (db, record, command_bus):
        await make_history(command_bus, 5, 30)
        follower = Follower(LIVE, record, db, owner="live")
        async with running(follower.run()):
            async with db.transaction() as transaction:
                await transaction.value("SELECT count(*) FROM read.files")
                with pytest.raises(
                    RebuildRefusedError, match=r"^The tables of live are ready and could not be exchanged in 3"
                ):
                    await rebuilt(record, db)
                await make_history(command_bus, random.randrange(10**9), 20)
                head = (await record.head()).position
                assert await checkpoints.have_reached(db, (LIVE.name,), head), "everybody else follows, and reads on"
            assert all(verdict.is_equal for verdict in await rebuilt(record, db))


async def test_progress_is_told(database_url: str) -> None:
    told: list[Progress] = []
    async with ledger(database_url) as (db, record, command_bus):
        await make_history(command_bus, 6, 30)
        await project(record, db)
        await Rebuild(LIVE, record, db, progress=told.append).run(swap=False)
        assert told[-1].done == told[-1].total == (await record.head()).position
        assert await db.all(str, SELECT_NEXT) == []
