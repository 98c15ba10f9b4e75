"""A rebuild that is divided by room: killed in the midst it goes on with each part from where that was, and parts are filled by
processes of their own. That the tables are the same whoever makes them stands in `test_determinism.py`."""

import asyncio
import os
import tracemalloc
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path

import psutil
import pytest

from adapters.postgres.database import Database
from adapters.postgres.event_store import PostgresRecord
from domain.bounds import REBUILD_JOBS_MAX
from domain.ports.record import RecordUnavailableError
from projections import LIVE, NOTIFICATIONS, building_parts, building_tables
from runtime.composition.part_processes import PartProcesses
from runtime.operators.generating.in_order import InOrder
from tests.conftest import Servers, fresh_database
from tests.deployments import SECRET, as_login, until
from tests.projections.test_rebuild import SELECT_NEXT
from tests.runtime.test_generating import generate, generated
from workers import rebuild, table_filling
from workers.projector import Follower
from workers.rebuild import CONNECTIONS_SPARED, Rebuild
from workers.rebuild_parts import FillPart, Part, fill_part
from workers.rebuild_reports import Progress
from workers.rebuild_runs import Run
from workers.table_swap import RebuildRefusedError

EVENTS, BATCH_EVENTS, JOBS = 300, 20, 3


@asynccontextmanager
async def followed(servers: Servers, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[tuple[Database, InOrder, str]]:
    """A generated history with its live tables; rebuilds of it are divided."""
    monkeypatch.setattr(rebuild, "DIVIDED_EVENTS_MIN", 1)
    monkeypatch.setattr(table_filling, "REBUILD_BATCH_EVENTS_MAX", BATCH_EVENTS)
    monkeypatch.setattr(table_filling, "REBUILD_COMMIT_EVENTS_MIN", BATCH_EVENTS)
    async with fresh_database(servers) as url, generated(url, events=EVENTS, seed=15) as (db, record, _):
        follower = Follower(LIVE, record, db, owner="test")
        while await follower.step() > 0:
            await asyncio.sleep(0)
        yield db, record, url


def divided(
    db: Database, record: PostgresRecord, fill: FillPart | None, said: list[Progress], *, jobs: int = JOBS
) -> Rebuild:
    return Rebuild(LIVE, record, db, progress=said.append, say=lambda sentence: None, jobs=jobs, fill=fill)


def settings(home: Path) -> dict[str, str]:
    """Return the environment of processes that fill parts, and give them the master key."""
    key = home / "master.key"
    key.write_text(SECRET.hex())
    key.chmod(0o600)
    kept = {name: value for name, value in os.environ.items() if not name.startswith("HANSARD_")}
    return {**kept, "HANSARD_HOME": str(home), "HANSARD_MASTER_KEY_FILE": str(key)}


async def test_interrupted_each_part_goes_on_from_where_it_was(
    servers: Servers, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with followed(servers, monkeypatch) as (db, record, _):
        head = (await record.head()).position

        async def die(part: Part, come_to: Callable[[int], None]) -> None:
            """Fill a part, the first to its end; the last dies after a few batches."""

            def hear(position: int) -> None:
                come_to(position)
                if part.number == JOBS - 1 and position > head // 3:
                    raise RecordUnavailableError("killed")

            if part.number > 0:
                await until(first_is_over)
            await fill_part(LIVE, record, db, part, hear)

        async def first_is_over() -> bool:
            return any(part.position == head for part in await building_parts.of(db, "live"))

        with pytest.raises(RecordUnavailableError, match="killed"):
            await divided(db, record, die, []).run(swap=True)
        parts = await building_parts.of(db, "live")
        begun = await building_tables.of(db, "live")
        assert [(part.parts, part.until_position) for part in parts] == [(JOBS, head)] * JOBS
        assert parts[0].position == head and head // 3 < parts[-1].position < head
        assert begun is not None and begun.position == min(part.position for part in parts) < head
        resumed, told = list[Part](), list[Progress]()

        async def note(part: Part, come_to: Callable[[int], None]) -> None:
            resumed.append(part)
            await fill_part(LIVE, record, db, part, come_to)

        verdicts = await divided(db, record, note, told).run(swap=True)
        assert [part.position for part in resumed] == [part.position for part in parts]
        assert all(verdict.is_equal and verdict.swapped for verdict in verdicts)
        assert [each.done for each in told] == sorted(each.done for each in told) and told[0].began == told[
            0
        ].done == building_parts.done(parts)
        assert await building_parts.of(db, "live") == [] and await db.all(str, SELECT_NEXT) == []


async def test_parts_of_a_run_that_was_overtaken_write_nothing(
    servers: Servers, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with followed(servers, monkeypatch) as (db, record, _):

        async def late(part: Part, come_to: Callable[[int], None]) -> None:
            await building_tables.take(db, "live", part.suffix)
            await fill_part(LIVE, record, db, part, come_to)

        with pytest.raises(RebuildRefusedError, match=r"^What was built of live is somebody else's by now"):
            await divided(db, record, late, []).run(swap=True)
        assert [part.position for part in await building_parts.of(db, "live")] == [0] * JOBS
        begun = await building_tables.of(db, "live")
        assert begun and await db.value(f"SELECT count(*) FROM read.messages{begun.suffix}") == 0


async def test_a_group_that_looks_at_other_rooms_is_not_divided(
    servers: Servers, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with followed(servers, monkeypatch) as (db, record, _):
        follower, said = Follower(NOTIFICATIONS, record, db, owner="test"), list[str]()
        while await follower.step() > 0:
            await asyncio.sleep(0)
        unit = Rebuild(NOTIFICATIONS, record, db, progress=lambda progress: None, say=said.append, jobs=JOBS)
        assert all(verdict.is_equal for verdict in await unit.run(swap=False))
        assert said == [
            "notifications: it is made of what was true at each event, in all rooms, so one process rebuilds it."
        ]


async def test_parts_are_filled_by_processes_and_one_that_is_killed_is_gone_on_with(
    servers: Servers, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    async with followed(servers, monkeypatch) as (db, record, url):
        processes = PartProcesses(as_login(url, "operator"), settings(tmp_path))
        run = asyncio.create_task(divided(db, record, processes.fill, []).run(swap=True))
        await until(partial(are_there, JOBS))
        of_parts()[0].kill()
        with pytest.raises(RecordUnavailableError, match=r"^Part \d of 3 of live was interrupted"):
            await run
        assert of_parts() == [], "the others end with it"
        said: list[Progress] = []
        verdicts = await divided(db, record, processes.fill, said).run(swap=True)
        assert all(verdict.is_equal and verdict.swapped for verdict in verdicts)
        assert said[-1].share == 1.0 and of_parts() == []


def of_parts() -> list[psutil.Process]:
    return [each for each in psutil.Process().children() if "--part" in each.cmdline()]


async def are_there(count: int) -> bool:
    return len(of_parts()) == count


async def test_how_far_it_is_and_how_fast_is_told_from_the_beginning_to_the_end(
    servers: Servers, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with followed(servers, monkeypatch) as (db, record, _):
        head, told, steps = (await record.head()).position, list[Progress](), list[str]()
        unit = Rebuild(LIVE, record, db, progress=told.append, step=steps.append, say=lambda sentence: None, jobs=JOBS)
        await unit.run(swap=True)
        assert (told[0].done, told[0].total, told[0].share) == (0, head, 0.0), "before any part has written"
        assert {each.began for each in told} == {0} and told[-1].done == head
        assert [each.seconds for each in told] == sorted(each.seconds for each in told)
        assert steps == ["filling", "indexing", "comparing", "exchanging"]


async def test_with_more_jobs_than_connections_nobody_waits_for_a_connection(
    servers: Servers, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with followed(servers, monkeypatch) as (_, record, url):
        monkeypatch.setattr(rebuild, "DIVIDED_EVENTS_MIN", EVENTS * 100)
        few = await Database.open(as_login(url, "operator"), size=CONNECTIONS_SPARED + 1)
        async with AsyncExitStack() as stack:
            for _ in range(few.pool.size_max):
                await stack.enter_async_context(few.session())
        few.pool._wait_seconds = 0.0  # all are open: whoever finds none that is free gives up
        verdicts = await Run(LIVE, record, few, run_by="test", jobs=REBUILD_JOBS_MAX).run(swap=True)
        assert all(verdict.is_equal and verdict.swapped for verdict in verdicts)
        await few.close()


async def test_memory_does_not_grow_with_the_record(servers: Servers, monkeypatch: pytest.MonkeyPatch) -> None:
    """What Python holds at most while parts are filled; the resident size of the processes is measured by `make bench ROWS=R`."""
    async with followed(servers, monkeypatch) as (db, record, _):
        peaks: list[float] = []
        for events in (0, 3 * EVENTS):
            if events:
                await generate(record, events=events, seed=16)
                follower = Follower(LIVE, record, db, owner="after")
                await db.run("UPDATE read.checkpoints SET leased_to = '-infinity'")
                while await follower.step() > 0:
                    await asyncio.sleep(0)
            tracemalloc.start()
            try:
                await divided(db, record, None, []).run(swap=False)
                peaks.append(tracemalloc.get_traced_memory()[1])
            finally:
                tracemalloc.stop()
        assert (await record.head()).position > 3.5 * EVENTS and peaks[1] < 1.5 * peaks[0], peaks
