"""Scenes: a room in which two people talk, a records manager, and a worker that disposes, by a clock that tests move."""

import dataclasses
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from msgspec.structs import replace

from commands.account import GrantRole
from domain.account import AccountRole
from domain.events import Caller
from domain.ids import RoomId, UserId
from domain.ports.record import Head
from domain.retention import DEFAULT, Effective, Source
from gateway.operations.retention import DryRun, run_dry
from tests.deployments import Gateway, Person, ledger
from workers.retaining import Retainer

WHY = {"Hansard-Reason": "policy of 2026"}


class Clock:
    """The record's time, some days on."""

    def __init__(self) -> None:
        self.days = 0.0

    def __call__(self, at: datetime) -> datetime:
        return at + timedelta(days=self.days)


@asynccontextmanager
async def retainer(database_url: str, clock: Clock, **more: Any) -> AsyncIterator[Retainer]:
    """A worker's loop of retention, with its log-in, not running."""
    async with ledger(database_url, size=4, kind="worker") as (db, record, command_bus):
        yield Retainer(record, command_bus, db, a_second=1e6, clock=clock, **more)


async def officer(hansard: Gateway, role: AccountRole = "records_manager") -> Person:
    someone = await hansard.person()
    await hansard.services.command_bus.do(GrantRole(UserId(UUID(someone.id)), role), Caller())
    return someone


async def put(manager: Person, path: str, **days: int) -> Any:
    """Set a policy; answers the answer."""
    return await manager.ask("PUT", path, 200, json=days, headers=WHY)


async def counts(hansard: Gateway, room_id: str, clock: Clock, *, days_max: int) -> DryRun:
    """What a dry run would say if the record's clock was as far on as this one; `DEFAULT`: of all rooms."""
    await hansard.settled()
    services: Any = hansard.services
    later = dataclasses.replace(services, record=_Later(services.record, clock))
    source: Source = "default" if RoomId(UUID(room_id)) == DEFAULT else "room"
    return await run_dry(later, RoomId(UUID(room_id)), Effective(source, None, days_max, None))


class _Later:
    """A record whose clock is some days on."""

    def __init__(self, record: Any, clock: Clock) -> None:
        self._record, self._clock = record, clock

    def __getattr__(self, name: str) -> Any:
        return getattr(self._record, name)

    async def head(self) -> Head:
        head: Head = await self._record.head()
        return replace(head, clock=self._clock(head.clock))
