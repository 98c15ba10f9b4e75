"""A hub that begins while Postgres, which was there a moment ago, is away."""

import asyncio
from typing import Any
from uuid import uuid4

import pytest

from adapters.clock import now
from adapters.credentials.tokens import EdDsaTokens
from adapters.redis.cluster_state import ClusterState
from adapters.redis.lanes import Lanes
from domain.ports.record import RecordUnavailableError
from domain.quotas import SocketLimit as SeatLimits
from gateway.edge.sessions import Sessions
from gateway.http.read_your_writes import Reads
from gateway.realtime import background_tasks
from gateway.realtime.connection_limit import SocketLimit
from gateway.realtime.hub import Hub
from tests.deployments import MASTER, ledger


class AwayAtFirst:
    """A database that does not answer its first question."""

    def __init__(self, db: Any) -> None:
        self.answers = asyncio.Event()
        self._db = db
        self._asked = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._db, name)

    async def value(self, sql: str, *args: object) -> Any:
        self._asked += 1
        if self._asked == 1:
            raise RecordUnavailableError("Postgres does not answer: it was killed")
        self.answers.set()
        return await self._db.value(sql, *args)


async def test_it_waits_for_postgres_and_begins_then(database_url: str, redis_url: str) -> None:
    """Its process listens already: ending it would cut off everybody who has come."""
    async with ledger(database_url) as (db, record, _):
        head = await record.head()
        lanes = Lanes.open(redis_url, head.record, 16)
        cluster_state = ClusterState.open(redis_url, head.record, uuid4().hex)
        sessions = Sessions(db, await EdDsaTokens.load(db, MASTER, issuer="hansard"), now)
        away: Any = AwayAtFirst(db)
        hub = Hub(
            record, away, lanes, cluster_state, SocketLimit(cluster_state, SeatLimits(of_user=20)), sessions, Reads(db)
        )
        running = asyncio.create_task(hub.run())
        try:
            async with asyncio.timeout(10):
                beginning = asyncio.create_task(away.answers.wait())
                await asyncio.wait((running, beginning), return_when=asyncio.FIRST_COMPLETED)
            assert not running.done(), "the hub ended"
        finally:
            for task in (running, beginning):
                task.cancel()
            await asyncio.gather(running, beginning, return_exceptions=True)
            await cluster_state.close()
            await lanes.close()


@pytest.mark.parametrize("fails", [False, True])
async def test_a_loop_whose_cancellation_was_swallowed_ends_all_the_same(
    fails: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As `asyncio.wait_for` swallows it when what it waits for ends at the same moment."""
    monkeypatch.setattr(background_tasks, "CANCEL_AGAIN_SECONDS", 0.05)
    swallowed = 0

    async def hard_of_hearing() -> None:
        nonlocal swallowed
        while True:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                swallowed += 1
                if swallowed > 2:
                    raise

    async def other() -> None:
        await asyncio.sleep(0)
        if fails:
            raise RecordUnavailableError("Postgres does not answer")
        await asyncio.Event().wait()

    running = asyncio.create_task(background_tasks.run_together(hard_of_hearing(), other()))
    if not fails:
        for _ in range(3):
            await asyncio.sleep(0)
        running.cancel()
    async with asyncio.timeout(20):
        with pytest.raises(RecordUnavailableError if fails else asyncio.CancelledError):
            await running
    assert swallowed == 3
