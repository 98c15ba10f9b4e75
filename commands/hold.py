"""Legal holds: records managers place and release them. Whoever destroys something asks `holds_of` first."""

from datetime import datetime

from msgspec import Struct

from commands.unit_of_work import Handler, UnitOfWork
from domain import hold as decide
from domain.account import ACCOUNT, require_right
from domain.hold import ALL_HOLDS, HOLDS, NO_HOLDS, HoldId, Holds, HoldScopeError
from domain.ids import RoomId, UserId
from domain.rights import PersonalOperation
from domain.room import ROOM
from domain.text import check_hold_name


class PlaceHold(Struct, frozen=True):
    """No persons, rooms or times: all of them. Refused to people without the role."""

    hold_id: HoldId
    name: str
    persons: tuple[UserId, ...] = ()
    rooms: tuple[RoomId, ...] = ()
    from_at: datetime | None = None
    to_at: datetime | None = None


class ReleaseHold(Struct, frozen=True):
    hold_id: HoldId


async def holds_of(unit: UnitOfWork) -> Holds:
    """Return all holds (`domain.hold.covering` asks them), as a guard: what this unit of work appends conflicts with a hold
    that is placed at the same moment, and is decided anew."""
    return await unit.load(HOLDS, ALL_HOLDS) or NO_HOLDS


async def place(command: PlaceHold, unit: UnitOfWork) -> None:
    by = await _permitted(unit, "hold.place")
    check_hold_name(command.name)
    await _require_known(unit, command)
    events = decide.place(
        await unit.load(HOLDS, ALL_HOLDS),
        hold_id=command.hold_id,
        name=command.name,
        by=by,
        persons=command.persons,
        rooms=command.rooms,
        from_at=command.from_at,
        to_at=command.to_at,
    )
    unit.write(HOLDS, ALL_HOLDS, events=events)


async def release(command: ReleaseHold, unit: UnitOfWork) -> None:
    by = await _permitted(unit, "hold.release")
    events = decide.release(await unit.load(HOLDS, ALL_HOLDS), hold_id=command.hold_id, by=by)
    unit.write(HOLDS, ALL_HOLDS, events=events)


async def _require_known(unit: UnitOfWork, command: PlaceHold) -> None:
    """Refuse a hold that names somebody or some room that never was: it would keep nothing, and nobody would see that."""
    people = await unit.glance_all(*((ACCOUNT, (person,)) for person in command.persons))
    if None in people:
        raise HoldScopeError("There is no such person.", pointer=f"/persons/{people.index(None)}")
    rooms = await unit.glance_all(*((ROOM, (room,)) for room in command.rooms))
    if None in rooms:
        raise HoldScopeError("There is no such room.", pointer=f"/rooms/{rooms.index(None)}")


async def _permitted(unit: UnitOfWork, operation: PersonalOperation) -> UserId:
    user_id = unit.caller.user_id
    assert user_id, "authentication lets no stranger here"
    require_right(await unit.load(ACCOUNT, user_id), operation)
    return user_id


HANDLERS: dict[type[Struct], Handler] = {PlaceHold: place, ReleaseHold: release}
