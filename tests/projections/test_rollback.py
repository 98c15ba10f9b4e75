"""A rollback serves the tables that a rebuild replaced, brought up to the record, and those alone; or it says why not."""

import asyncio
import io
from collections.abc import Sequence

import asyncpg
import pytest

from adapters.postgres.database import Database
from adapters.postgres.event_store import PostgresRecord
from domain.ports.database import Db
from domain.ports.record import RecordUnavailableError
from projections import LIVE, parked
from projections.parked import Parked
from projections.tables import Group
from runtime.operators.progress import ProgressShown
from tests.deployments import ledger, running
from tests.projections.test_read_models import make_history, project
from tests.projections.test_rebuild import SELECT_RIGHTS
from tests.projections.test_rebuild_differences import SOME_POSITION, shadow, told
from workers import table_filling
from workers.projector import Follower
from workers.rebuild import Rebuild
from workers.rebuild_reports import Progress, ServedAgain
from workers.rollback import Rollback
from workers.table_swap import RebuildRefusedError

SELECT_INDEXES = "SELECT indexname::text || indexdef FROM pg_catalog.pg_indexes WHERE schemaname = 'read' AND tablename !~ '__' ORDER BY 1"
TAMPER = "UPDATE read.messages SET content = 'as it was before' WHERE position = $1"
SELECT_TAMPERED = "SELECT count(*) FROM read.messages WHERE content = 'as it was before'"
PARKED = Parked(3, "message.posted", "ValueError")


async def rebuilt(record: PostgresRecord, db: Database) -> None:
    await Rebuild(LIVE, record, db, progress=lambda progress: None).run(swap=True)


async def rolled_back(record: PostgresRecord, db: Database, group: Group = LIVE) -> list[ServedAgain]:
    return await Rollback(group, record, db, progress=lambda progress: None).run()


async def test_what_was_served_before_is_served_again_with_all_that_was_written_since(database_url: str) -> None:
    owner = await asyncpg.connect(database_url)
    rights, indexes = await owner.fetch(SELECT_RIGHTS), await owner.fetch(SELECT_INDEXES)
    async with ledger(database_url) as (db, record, command_bus):
        await make_history(command_bus, 50, 80)
        await project(record, db)
        tampered = await db.value(SOME_POSITION)
        await db.run(TAMPER, tampered)
        await parked.park(db, "live", [PARKED])
        await rebuilt(record, db)
        assert (await db.value(SELECT_TAMPERED), await parked.counts(db)) == (0, {})

        await make_history(command_bus, 51, 80)
        await project(record, db)
        served = {table.table: table for table in await rolled_back(record, db)}
        assert served["read.messages"].rows == served["read.messages"].rows_before > 0
        assert served["read.messages"].position == (await record.head()).position
        found, _ = await shadow(LIVE, record, db)
        assert told(found) == {("read.messages", f"position {tampered}", "content")}, (
            "it is what it was, and up to date"
        )
        assert [(each.position, each.error) for each in await parked.listed(db, limit=9)] == [(3, "ValueError")]
        assert await owner.fetch(SELECT_RIGHTS) == rights and await owner.fetch(SELECT_INDEXES) == indexes

        await make_history(command_bus, 52, 40)
        await project(record, db)
        await rolled_back(record, db)  # a second one is the way back
        assert (await shadow(LIVE, record, db))[0] == [] and await parked.counts(db) == {}
        await rebuilt(record, db)
        await rolled_back(record, db)
        assert (await shadow(LIVE, record, db))[0] == []
    await owner.close()


async def test_while_everybody_writes_and_reads_nobody_sees_a_step_back(database_url: str) -> None:
    async with ledger(database_url, size=14) as (db, record, command_bus):
        await make_history(command_bus, 53, 40)
        await project(record, db)
        await rebuilt(record, db)
        reads = 0

        async def read() -> None:
            nonlocal reads
            rows = 0
            while True:
                now = await db.value("SELECT count(*) FROM read.messages")
                assert now >= rows
                rows, reads = now, reads + 1
                await asyncio.sleep(0.002)

        async def write(seed: int) -> None:
            while True:
                await make_history(command_bus, seed, 40)
                seed += 1

        async with running(Follower(LIVE, record, db, owner="live").run(), write(2_000), read(), read()):
            for _ in range(4):
                before = reads
                await rolled_back(record, db)
                assert reads > before
            assert (await shadow(LIVE, record, db))[0] == []


async def test_one_that_is_interrupted_goes_on_from_where_it_was(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(table_filling, "LAST_STRETCH_EVENTS", 0)
    monkeypatch.setattr(table_filling, "REBUILD_BATCH_EVENTS_MAX", 20)
    monkeypatch.setattr(table_filling, "REBUILD_COMMIT_EVENTS_MIN", 20)

    class PowerCutError(RecordUnavailableError):
        """Postgres is away."""

    class Interrupted(Rollback):
        batches = 0

        async def _note(self, db: Db, events: Sequence[Parked], position: int) -> None:
            await super()._note(db, events, position)
            self.batches += 1
            if self.batches == 3:
                raise PowerCutError

    async with ledger(database_url) as (db, record, command_bus):
        await make_history(command_bus, 54, 40)
        await project(record, db)
        await rebuilt(record, db)
        swapped_at = await db.value("SELECT position FROM read.kept_tables WHERE group_name = 'live'")
        await make_history(command_bus, 55, 90)
        await project(record, db)
        with pytest.raises(PowerCutError):
            await Interrupted(LIVE, record, db, progress=lambda progress: None).run()
        assert await db.value("SELECT position FROM read.kept_tables WHERE group_name = 'live'") == swapped_at + 40
        assert (await shadow(LIVE, record, db))[0] == [], "what is served was left alone"
        await rolled_back(record, db)
        assert (await shadow(LIVE, record, db))[0] == [], "no amount was added twice"


async def test_it_is_refused_with_the_reason(database_url: str) -> None:
    async with ledger(database_url) as (db, record, command_bus):
        await make_history(command_bus, 56, 20)
        await project(record, db)
        with pytest.raises(RebuildRefusedError, match=r"^No tables of live are kept that could be served again"):
            await rolled_back(record, db)
        await rebuilt(record, db)
        newer = LIVE._replace(version=LIVE.version + 1)
        with pytest.raises(RebuildRefusedError, match=r"are kept are of version 3, and this release writes version 4"):
            await rolled_back(record, db, newer)
        owner = await asyncpg.connect(database_url)
        await owner.execute("ALTER TABLE read.rooms ADD COLUMN more int")
        with pytest.raises(
            RebuildRefusedError, match=r"^read.rooms__old is not there, or has other columns or indexes"
        ):
            await rolled_back(record, db)
        await owner.execute("ALTER TABLE read.rooms DROP COLUMN more")
        await owner.execute("DROP INDEX read.users_by_name__old")
        with pytest.raises(RebuildRefusedError, match=r"^read.users__old is not there, or has other"):
            await rolled_back(record, db)
        await owner.execute("DROP TABLE read.users__old")
        with pytest.raises(RebuildRefusedError, match=r"^read.users__old is not there, or has other"):
            await rolled_back(record, db)
        await owner.close()
        assert (await shadow(LIVE, record, db))[0] == []


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_progress_is_a_line_that_changes_on_a_terminal_and_a_line_each_tenth_elsewhere() -> None:
    steps = [Progress("live", done, 1_000, done / 100, 0) for done in range(0, 1_001, 20)]
    terminal, log = Terminal(), io.StringIO()
    shown, logged = ProgressShown(terminal), ProgressShown(log, clock=lambda: 0.0)
    for step in [*steps, steps[-1]]:
        shown(step)
        logged(step)
    assert terminal.getvalue().count("\n") == 1 and terminal.getvalue().count("\r") == len(steps)
    assert (
        "\r[########------------] live: 400 of 1,000 events (40%), 100/s, 0:00:06 left\x1b[K\r" in terminal.getvalue()
    )
    lines = log.getvalue().splitlines()
    assert len(lines) == 10 and lines[-1] == "live: 1,000 of 1,000 events (100%), 100/s"
    assert "\r" not in log.getvalue() and "\x1b" not in log.getvalue()


def test_where_a_tenth_takes_long_there_is_a_line_each_ten_seconds() -> None:
    seconds, log = 0.0, io.StringIO()
    logged = ProgressShown(log, clock=lambda: seconds)
    for second in range(1, 36):
        seconds = float(second)
        logged(Progress("live", second, 100_000, seconds, 0))
    assert [line.split(" of ")[0] for line in log.getvalue().splitlines()] == ["live: 10", "live: 20", "live: 30"]


def test_a_rollback_tells_the_rate_of_what_it_does_itself() -> None:
    assert (
        Progress("live", 1_500, 2_000, 5.0, 1_000).sentence()
        == "live: 1,500 of 2,000 events (50%), 100/s, 0:00:05 left"
    )
