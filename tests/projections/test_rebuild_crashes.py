"""A rebuild that is killed leaves what is served alone, and the next one goes on from where it was."""

import asyncio
import json
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest

from adapters.postgres.database import Database
from adapters.postgres.event_store import PostgresRecord
from domain.ports.database import Db
from domain.ports.record import RecordUnavailableError
from projections import LIVE, building_tables, kept_tables, parked
from projections.parked import Parked
from projections.tables import Group
from tests.deployments import as_login, ledger, until
from tests.projections.crashing_rebuild import BATCH_EVENTS, Ending
from tests.projections.test_read_models import make_history, project
from tests.projections.test_rebuild import SELECT_NEXT, rebuilt
from workers import table_filling
from workers.rebuild import Rebuild
from workers.rollback import Rollback
from workers.table_filling import Filling
from workers.table_swap import RebuildRefusedError
from workers.unserved_tables import drop_unserved

ROOT = Path(__file__).parents[2]
KILLS = 20
SELECT_SUM = "SELECT md5(string_agg(md5(r::text), '' ORDER BY md5(r::text))) FROM {} r"
SELECT_OLD = "SELECT relname::text FROM pg_catalog.pg_class WHERE relname LIKE '%\\_\\_old%'"
SELECT_LOCKS = """
    SELECT count(*) FROM pg_catalog.pg_locks l JOIN pg_catalog.pg_database d ON d.oid = l.database
    WHERE l.locktype = 'advisory' AND d.datname = current_database() AND l.classid::bigint = hashtext('hansard rebuild') & 4294967295
"""


async def sums(db: Database) -> dict[str, str]:
    """Return the checksum of every table that is served."""
    return {table.name: await db.value(SELECT_SUM.format(table.name)) for table in LIVE.tables}


async def is_free(db: Database) -> bool:
    """Return whether Postgres has noticed that a process is gone: its connections hold locks until then."""
    return not await db.value(SELECT_LOCKS)


@asynccontextmanager
async def crashing(database_url: str) -> AsyncIterator[Callable[[Ending], Awaitable[Any]]]:
    """What has a rebuild end in a way, and answers what came of it."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.projections.crashing_rebuild", database_url, cwd=ROOT, stdin=PIPE, stdout=PIPE
    )  # fmt: skip

    async def end(ending: Ending) -> Any:
        assert process.stdin and process.stdout
        process.stdin.write(msgspec.json.encode(ending) + b"\n")
        return json.loads(await process.stdout.readline())

    try:
        yield end
    finally:
        process.kill()
        await process.wait()


async def test_killed_at_any_statement_it_leaves_what_is_served_and_the_next_one_goes_on(database_url: str) -> None:
    async with crashing(database_url) as end, ledger(database_url) as (db, record, command_bus):
        await make_history(command_bus, 70, 160)
        await project(record, db)
        served, head = await sums(db), (await record.head()).position
        whole = await end(Ending())
        assert whole["is_equal"] and whole["said"] == [] and head > 5 * BATCH_EVENTS
        came_to, not_begun = set[int](), 0
        for kill in range(KILLS):
            at = 1 + kill * (whole["statements"] - 1) // (KILLS - 1)
            found = await end(Ending("before" if kill % 2 else "amid", at))
            assert found == {"signal": 9}, (at, found)
            await until(lambda: is_free(db))
            assert await sums(db) == served, at
            building = await building_tables.of(db, "live")
            not_begun += building is None
            if building is not None:
                assert building.position % BATCH_EVENTS == 0 or building.position == head
                came_to.add(building.position)
            ended = await end(Ending())
            assert ended["is_equal"] and await sums(db) == served, at
            if building is None:
                assert ended["said"] == []
            else:
                [said] = ended["said"]
                assert said.startswith("live: going on with") and said.endswith(f"position {building.position:,}.")
                assert ended["statements"] < whole["statements"]
        assert len(came_to) >= 5 and head in came_to and not_begun <= KILLS / 2, (came_to, not_begun)
        assert await db.all(str, SELECT_NEXT) == []


class Interrupted(Rebuild):
    """Postgres goes away after two batches."""

    batches = 0

    async def _note(self, db: Db, events: Sequence[Parked], position: int) -> None:
        await super()._note(db, events, position)
        self.batches += 1
        if self.batches == 3:
            raise RecordUnavailableError("away")


@asynccontextmanager
async def interrupted(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[tuple[Database, PostgresRecord]]:
    """A rebuild that came to position 40."""
    monkeypatch.setattr(table_filling, "LAST_STRETCH_EVENTS", 0)
    monkeypatch.setattr(table_filling, "REBUILD_BATCH_EVENTS_MAX", 20)
    monkeypatch.setattr(table_filling, "REBUILD_COMMIT_EVENTS_MIN", 20)
    async with ledger(database_url) as (db, record, command_bus):
        await make_history(command_bus, 71, 80)
        await project(record, db)
        with pytest.raises(RecordUnavailableError):
            await Interrupted(LIVE, record, db, progress=lambda progress: None).run(swap=True)
        building = await building_tables.of(db, "live")
        assert building and building.position == 40
        yield db, record


async def said_by(record: PostgresRecord, db: Database, *, group: Group = LIVE, afresh: bool = False) -> list[str]:
    said: list[str] = []
    unit = Rebuild(group, record, db, progress=lambda progress: None, say=said.append)
    verdicts = await unit.run(swap=False, afresh=afresh)
    assert all(verdict.is_equal for verdict in verdicts) and await db.all(str, SELECT_NEXT) == []
    return said


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ("record = gen_random_uuid()", "was of another record."),
        ("version = 2", f"was of version 2, and this release writes version {LIVE.version}."),
        ("code = '0.1.0+ab'", "was made by another code (0.1.0+ab, this is "),
        ("suffix = '__next_gone'", "has no read.users of the columns that are served now."),
    ],
)
async def test_what_is_of_other_code_or_another_record_is_not_gone_on_with(
    database_url: str, monkeypatch: pytest.MonkeyPatch, change: str, reason: str
) -> None:
    async with interrupted(database_url, monkeypatch) as (db, record):
        await db.run(f"UPDATE read.building_tables SET {change}")
        [said] = await said_by(record, db)
        assert said.startswith("live: beginning afresh. The rebuild of ") and reason in said


async def test_an_operator_may_begin_afresh_or_drop_what_was_begun(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with interrupted(database_url, monkeypatch) as (db, record):
        assert await said_by(record, db, afresh=True) == []
        with pytest.raises(RecordUnavailableError):
            await Interrupted(LIVE, record, db, progress=lambda progress: None).run(swap=True)
        assert (
            await drop_unserved(db, LIVE)
            == "live: those of a rebuild that came to position 40 are gone; what is served stays."
        )
        assert await db.all(str, SELECT_NEXT) == [] and await said_by(record, db) == []
        await rebuilt(record, db)
        assert (await drop_unserved(db, LIVE)).startswith("live: the tables that were served up to position ")
        assert await db.all(str, SELECT_OLD) == [] and await kept_tables.of(db, "live") is None
        assert await drop_unserved(db, LIVE) == "live: nothing was kept, and nothing was begun."


async def test_a_run_that_lost_its_lock_writes_nothing_into_the_tables_of_the_next(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its connection, which holds the lock, is gone; those of its pool are not."""
    async with interrupted(database_url, monkeypatch) as (db, record):

        class Overtaken(Rebuild):
            async def _note(self, db: Db, events: Sequence[Parked], position: int) -> None:
                if position == 60:
                    await building_tables.take(other, "live", self._next)
                await super()._note(db, events, position)

        other = await Database.open(as_login(database_url, "operator"), size=2)
        with pytest.raises(RebuildRefusedError, match=r"^What was built of live is somebody else's by now"):
            await Overtaken(LIVE, record, db, progress=lambda progress: None).run(swap=True)
        building = await building_tables.of(db, "live")
        assert building and building.position == 40
        [said] = await said_by(record, db)
        assert said.endswith("which came to position 40.")
        await other.close()


class LateDatabase(Database):
    """Before somebody takes what is being built, something else happens."""

    before: Callable[[], Awaitable[None]]

    async def value(self, sql: str, *args: object) -> Any:
        if sql == building_tables.TAKE:
            await self.before()
        return await super().value(sql, *args)


async def test_what_a_run_that_lost_its_lock_wrote_until_the_next_one_took_its_tables_is_not_written_twice(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with interrupted(database_url, monkeypatch) as (db, record):
        building = await building_tables.of(db, "live")
        assert building is not None
        suffix, epoch = building.suffix, building.epoch

        async def note(transaction: Db, events: Sequence[Parked], position: int) -> None:
            await building_tables.move(transaction, "live", suffix, epoch, position)

        filling = Filling(LIVE, record, db, suffix, note=note, progress=lambda progress: None, position=40)

        async def go_on() -> None:
            await filling.until(50, db)

        late = await LateDatabase.open(as_login(database_url, "operator"), size=4)
        late.before = go_on
        assert (await said_by(record, late))[0].endswith("which came to position 40.")
        assert filling.position == 50 and await parked.counts(db) == {}
        await late.close()


async def test_a_rollback_leaves_no_rebuild_that_was_begun_before_it(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with interrupted(database_url, monkeypatch) as (db, record):
        await rebuilt(record, db)
        with pytest.raises(RecordUnavailableError):
            await Interrupted(LIVE, record, db, progress=lambda progress: None).run(swap=True)
        await Rollback(LIVE, record, db, progress=lambda progress: None).run()
        assert await said_by(record, db) == []
