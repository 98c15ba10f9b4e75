"""A follower that lingers looks by itself how far the record is: commits wake neither Postgres nor its process for it."""

import asyncio
from contextlib import AbstractAsyncContextManager
from typing import Any
from uuid import uuid4

from adapters.postgres.event_store import PostgresRecord
from commands.account import RegisterAccount
from domain.events import Caller
from domain.ids import UserId
from domain.ports.record import RecordUnavailableError
from projections import AUDIT_INDEX, checkpoints
from tests.deployments import ledger, running
from workers.projector import Follower


class Deaf:
    """A record that wakes nobody, and is away for a moment now and then."""

    def __init__(self, record: PostgresRecord) -> None:
        self._record = record
        self._asked = 0

    def wakes(self) -> AbstractAsyncContextManager[Any]:
        raise AssertionError("nobody is to be woken")

    async def head(self) -> Any:
        self._asked += 1
        if self._asked == 2:
            raise RecordUnavailableError("away for a moment")
        return await self._record.head()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._record, name)


async def test_it_follows_without_being_woken(database_url: str) -> None:
    async with ledger(database_url) as (db, record, command_bus):
        deaf: Any = Deaf(record)
        async with (
            running(Follower(AUDIT_INDEX, deaf, db, owner="one", linger_seconds=0.01).run()),
            asyncio.timeout(30),
        ):
            for name in ("ada", "ben"):
                registered = RegisterAccount(UserId(uuid4()), f"{name}@example.com", name, "x")
                position = (await command_bus.do(registered, Caller())).position
                while await checkpoints.position(db, "audit_index") < position:
                    await asyncio.sleep(0.01)
