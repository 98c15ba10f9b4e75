"""A follower that gathers is woken by looks at the record: commits wake neither Postgres nor its process for it."""

import asyncio
from contextlib import AbstractAsyncContextManager
from typing import Any
from uuid import uuid4

from adapters.postgres.event_store import PostgresRecord
from commands.account import RegisterAccount
from domain.events import Caller
from domain.ids import UserId
from domain.ports.record import RecordUnavailableError
from projections import AUDIT_INDEX, MESSAGE_HTML, checkpoints
from tests.deployments import ledger, running
from workers.projector import Follower
from workers.shared_reading import SharedReading


class Deaf:
    """A record that wakes nobody, and is away for a moment now and then."""

    def __init__(self, record: PostgresRecord) -> None:
        self._record = record
        self._asked = 0

    def wakes(self) -> AbstractAsyncContextManager[Any]:
        raise AssertionError("nobody is to be woken")

    async def head(self) -> Any:
        self._ask()
        return await self._record.head()

    async def after(self, position: int, *, until: int | None = None, limit: int) -> Any:
        self._ask()
        return await self._record.after(position, until=until, limit=limit)

    def _ask(self) -> None:
        self._asked += 1
        if self._asked == 3:
            raise RecordUnavailableError("away for a moment")

    def __getattr__(self, name: str) -> Any:
        return getattr(self._record, name)


async def test_it_follows_without_being_woken(database_url: str) -> None:
    async with ledger(database_url) as (db, record, command_bus):
        deaf: Any = Deaf(record)
        reading = SharedReading(deaf)
        async with (
            running(reading.run(), Follower(AUDIT_INDEX, reading.gathering(0.01), db, owner="one").run()),
            asyncio.timeout(30),
        ):
            for name in ("ada", "ben"):
                registered = RegisterAccount(UserId(uuid4()), f"{name}@example.com", name, "x")
                position = (await command_bus.do(registered, Caller())).position
                while await checkpoints.position(db, "audit_index") < position:
                    await asyncio.sleep(0.01)


async def test_it_is_said_that_rows_changed_only_if_any_did(database_url: str) -> None:
    async with ledger(database_url) as (db, record, command_bus):
        changed, committed = list[str](), list[int]()
        audit_index = Follower(AUDIT_INDEX, record, db, owner="one", changed=lambda: changed.append("audit index"))
        html = Follower(
            MESSAGE_HTML, record, db, owner="one", changed=lambda: changed.append("html"),
            committed=lambda events: committed.append(len(events)),
        )  # fmt: skip
        position = (
            await command_bus.do(RegisterAccount(UserId(uuid4()), "a@example.com", "ada", "x"), Caller())
        ).position
        assert (await audit_index.step(), await html.step()) == (position, position)
        assert (changed, committed) == (["audit index"], [position])
        assert await checkpoints.position(db, "message_html") == position
