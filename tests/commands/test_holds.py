"""Legal holds beside whoever destroys: a hold that is placed at the same moment is never missed."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest
from msgspec import Struct

from adapters.clock import now
from commands import HANDLERS
from commands.account import GrantRole
from commands.command_bus import CommandBus
from commands.hold import PlaceHold, ReleaseHold, holds_of
from commands.unit_of_work import UnitOfWork
from domain.account import AccountRole
from domain.errors import ConflictError, RoleNeededError
from domain.events import Caller
from domain.file import FILE, FileReceived
from domain.hold import HoldId, HoldScopeError, covering
from domain.ids import FileId, RoomId, UserId
from tests.commands.test_desk import person, room_of
from tests.deployments import ledger

MAY, JUNE = datetime(2026, 5, 1, tzinfo=UTC), datetime(2026, 6, 1, tzinfo=UTC)


class Destroy(Struct, frozen=True):
    """Stands for any command that destroys what a person wrote in a room: it writes some event if nothing holds that."""

    person: UserId
    room: RoomId
    key: FileId


class HeldError(ConflictError, code="test.held"):
    """A hold covers it."""


def destroying(meanwhile: Callable[[], Awaitable[Any]]) -> Callable[[Destroy, UnitOfWork], Awaitable[None]]:
    async def destroy(command: Destroy, unit: UnitOfWork) -> None:
        holds = await holds_of(unit)
        if covering(holds, person=command.person, room=command.room, since=MAY, until=JUNE, at=unit.now):
            raise HeldError
        await unit.load_new(FILE, command.key)
        await meanwhile()
        received = FileReceived(command.key, command.person, "f", "text/plain", 1, "00")
        unit.write(FILE, command.key, events=[received])

    return destroy


def bus_on(record: Any, **more: Any) -> CommandBus:
    return CommandBus(record, {**HANDLERS, **more.get("handlers", {})}, now=now, chance=lambda n: uuid4().bytes[:n])


async def manager_of(command_bus: CommandBus) -> Caller:
    manager = await person(command_bus)
    assert manager.user_id
    await command_bus.do(GrantRole(manager.user_id, "records_manager"), Caller())
    return manager


async def test_a_hold_placed_while_somebody_destroys_is_seen_or_comes_too_late(database_url: str) -> None:
    """The hold is appended between the look at holds and the append of what destroys: that is refused, and decided anew."""
    async with ledger(database_url) as (_, record, command_bus):
        ada, manager = await person(command_bus), await manager_of(command_bus)
        room_id, placed = await room_of(command_bus, ada), list[HoldId]()
        assert ada.user_id

        async def place_once() -> None:
            if not placed:
                placed.append(HoldId(uuid4()))
                await command_bus.do(PlaceHold(placed[0], "Matter", (ada.user_id,)), manager)  # type: ignore[arg-type]

        other = bus_on(record, handlers={Destroy: destroying(place_once)})
        with pytest.raises(HeldError):
            await other.do(Destroy(ada.user_id, room_id, FileId(uuid4())), Caller())
        assert len(placed) == 1
        # Nor is it missed by somebody whose cached holds are older.
        await command_bus.do(ReleaseHold(placed[0]), manager)
        with pytest.raises(HeldError):
            await other.do(Destroy(ada.user_id, room_id, FileId(uuid4())), Caller())


async def test_only_records_managers_place_and_release_holds(database_url: str) -> None:
    async with ledger(database_url) as (_, _, command_bus):
        ada, hold_id = await person(command_bus), HoldId(uuid4())
        assert ada.user_id
        roles: tuple[AccountRole, ...] = ("auditor", "admin")
        for role in roles:
            await command_bus.do(GrantRole(ada.user_id, role), Caller())
            for command in (PlaceHold(hold_id, "Matter"), ReleaseHold(hold_id)):
                with pytest.raises(RoleNeededError):
                    await command_bus.do(command, ada)


async def test_a_hold_names_people_and_rooms_that_there_are(database_url: str) -> None:
    async with ledger(database_url) as (_, _, command_bus):
        manager = await manager_of(command_bus)
        room_id = await room_of(command_bus, manager)
        assert manager.user_id
        for people, rooms, pointer in (
            ((manager.user_id, UserId(uuid4())), (), "/persons/1"),
            ((), (RoomId(uuid4()),), "/rooms/0"),
        ):
            with pytest.raises(HoldScopeError) as refused:
                await command_bus.do(PlaceHold(HoldId(uuid4()), "Matter", people, rooms), manager)
            assert refused.value.pointer == pointer
        done = await command_bus.do(PlaceHold(HoldId(uuid4()), "Matter", (manager.user_id,), (room_id,)), manager)
        assert done.events
