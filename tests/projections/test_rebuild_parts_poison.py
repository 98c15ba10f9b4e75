"""An event that a rebuild cannot take which is divided among processes: parked by the part that it is in, or the end of all parts where the
policy is to stop, with a sentence that says what to do."""

from pathlib import Path
from uuid import uuid4

import pytest

from adapters.postgres.database import Database
from adapters.postgres.event_store import PostgresRecord
from domain.message import MessagePosted
from projections import LIVE, building_parts, building_tables, parked, rebuilds
from runtime.composition.part_processes import PartProcesses
from tests.conftest import Servers
from tests.deployments import as_login
from tests.poison import SPOILT, spoil
from tests.projections.test_rebuild import SELECT_NEXT
from tests.projections.test_rebuild_parts import divided, followed, of_parts, settings
from tests.projections.test_replay import broken
from workers.rebuild import Rebuild
from workers.rebuild_reports import Progress
from workers.rebuild_runs import Run
from workers.replay import Replay
from workers.table_swap import RebuildRefusedError

JOBS = 2


async def posted_in(record: PostgresRecord, number: int) -> int:
    """Return the position of a message in the middle of a part."""
    found = await record.part(number, JOBS).after(0, until=(await record.head()).position, limit=2_000)
    positions = [each.position for each in found if isinstance(each.event, MessagePosted)]
    return positions[len(positions) // 2]


async def require_as_by_one(record: PostgresRecord, db: Database) -> None:
    verdicts = await Rebuild(LIVE, record, db, progress=lambda progress: None).run(swap=False)
    assert [verdict.table for verdict in verdicts if not verdict.is_equal] == []


async def test_a_part_parks_what_it_cannot_take_and_a_replay_takes_it(
    servers: Servers, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with followed(servers, monkeypatch) as (db, record, _):
        poisoned = [await posted_in(record, number) for number in range(JOBS)]
        old = broken(lambda recorded: recorded.position in poisoned)
        verdicts = await Rebuild(old, record, db, progress=lambda progress: None, jobs=JOBS).run(swap=True)
        assert "read.messages" in [verdict.table for verdict in verdicts if not verdict.is_equal]
        assert [found.position for found in await parked.listed(db, limit=10)] == sorted(poisoned)
        replayed = await Replay(LIVE, record, db, progress=lambda progress: None).run()
        assert (replayed.taken, replayed.left) == (JOBS, [])
        await require_as_by_one(record, db)


async def test_a_part_that_stops_ends_all_and_one_that_parks_goes_on(
    servers: Servers, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    async with followed(servers, monkeypatch) as (db, record, url):
        position = await posted_in(record, 1)
        await spoil(url, position, data=SPOILT["half a box"])
        stopping = settings(tmp_path) | {"HANSARD_STOPPING": "live"}
        with pytest.raises(RebuildRefusedError) as refused:
            await divided(db, record, PartProcesses(as_login(url, "operator"), stopping).fill, [], jobs=JOBS).run(
                swap=True
            )
        said = str(refused.value)
        assert said.startswith(
            f"Part 2 of 2 of live is not filled. The event at position {position:,} (message.posted) cannot"
        )
        assert "HANSARD_STOPPING" in said and said.endswith(
            "Then rebuild it again: what is made of it stays, and the same code goes on with that."
        )
        assert of_parts() == [] and await parked.counts(db) == {}
        parts = await building_parts.of(db, "live")
        assert parts[1].position < position <= parts[1].until_position
        told: list[Progress] = []
        unit = divided(db, record, PartProcesses(as_login(url, "operator"), settings(tmp_path)).fill, told, jobs=JOBS)
        verdicts = await unit.run(swap=True)
        assert told[0].began == told[0].done == building_parts.done(parts)
        assert [verdict.table for verdict in verdicts if not verdict.is_equal] != []
        assert [(found.position, found.error) for found in await parked.listed(db, limit=10)] == [
            (position, "unreadable: not what was sealed")
        ]
        await require_as_by_one(record, db)


@pytest.mark.parametrize("jobs", [1, JOBS])
async def test_administrators_see_why_a_rebuild_stopped(
    servers: Servers, monkeypatch: pytest.MonkeyPatch, jobs: int
) -> None:
    async with followed(servers, monkeypatch) as (db, record, _):
        position = await posted_in(record, 0)
        stops = broken(lambda recorded: recorded.position == position)._replace(policy="stop")
        asked = uuid4()
        await rebuilds.ask(db, asked, "live", version=LIVE.version, is_shadow=False, jobs=jobs)
        with pytest.raises(
            RebuildRefusedError, match=f"The event at position {position:,} .* cannot be taken: ValueError"
        ):
            await Run(stops, record, db, run_by="test", jobs=jobs).run(swap=True, rebuild_id=asked)
        row = await rebuilds.of(db, asked)
        assert row and row.state == "failed" and row.fault and "HANSARD_STOPPING" in row.fault
        begun = await building_tables.of(db, "live")
        assert begun and 0 < begun.position < position and await parked.counts(db) == {}
        verdicts = await Run(LIVE, record, db, run_by="test", jobs=jobs).run(swap=True)
        assert all(verdict.is_equal for verdict in verdicts) and await db.all(str, SELECT_NEXT) == []
