"""The same record makes the same rows: followed in small batches or large ones, beside those who write, or rebuilt at once, by one
or in parts."""

import asyncio
import random
from collections.abc import Sequence

import pytest

from adapters.postgres.database import Database
from adapters.postgres.event_store import PostgresRecord
from projections import PROJECTIONS
from projections.tables import Group
from tests.conftest import Servers, fresh_database
from tests.deployments import running
from tests.projections.test_read_models import small_step
from tests.runtime.test_generating import generate, generated
from workers import rebuild
from workers.projector import Follower
from workers.rebuild import Rebuild

HISTORIES = 16  # followed in batches of any size
UNDER_LOAD = 4  # followed and rebuilt while they are written
EVENTS = 260


async def checksums(group: Group, record: PostgresRecord, db: Database, *, jobs: int = 1) -> Sequence[str]:
    """Rebuild a group beside the served tables. Return the checksums of its tables, after comparing them with those."""
    verdicts = await Rebuild(group, record, db, progress=lambda progress: None, jobs=jobs).run(swap=False)
    assert [verdict.table for verdict in verdicts if not verdict.is_equal] == []
    return [verdict.rebuilt for verdict in verdicts]


@pytest.mark.parametrize("first", range(100, 100 + HISTORIES, 4))
async def test_rows_follow_from_the_record_alone(servers: Servers, first: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rebuild, "DIVIDED_EVENTS_MIN", 1)
    for seed in range(first, first + 4):
        chance = random.Random(seed)
        async with fresh_database(servers) as url, generated(url, events=EVENTS, seed=seed) as (db, record, _):
            head = (await record.head()).position
            for group in PROJECTIONS.values():
                follower = Follower(group, record, db, owner="test")
                while follower.lease is None or follower.lease.position < head:
                    await small_step(follower, record, chance.randint(1, 90))
                once = await checksums(group, record, db)
                assert once == await checksums(group, record, db, jobs=chance.randint(2, 5)), seed


@pytest.mark.parametrize("seed", range(200, 200 + UNDER_LOAD))
async def test_rows_are_the_same_under_load(servers: Servers, seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rebuild, "DIVIDED_EVENTS_MIN", 1)
    async with fresh_database(servers) as url, generated(url, events=EVENTS, seed=seed) as (db, record, _):
        followers = [Follower(group, record, db, owner="test") for group in PROJECTIONS.values()]
        async with running(*(follower.run() for follower in followers)):
            writing = asyncio.create_task(generate(record, events=2 * EVENTS, seed=seed + 1000))
            for group in PROJECTIONS.values():
                await checksums(group, record, db, jobs=2)
            await writing
        for group in PROJECTIONS.values():
            follower = Follower(group, record, db, owner="after")
            while await follower.step() > 0:
                pass
            await checksums(group, record, db)
