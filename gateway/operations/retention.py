"""Dry runs of retention: what a policy would dispose of now, counted by what the worker does (`projections/retention_plan.py`)."""

from collections.abc import Sequence
from datetime import date, datetime
from typing import Annotated
from uuid import UUID

from msgspec import Meta, Struct
from msgspec.structs import replace

from domain.hold import ALL_HOLDS, HOLDS, HoldId, Holds
from domain.ids import RoomId
from domain.retention import DEFAULT, RETENTION, Effective, due_before, effective
from gateway.services import Services
from projections import retention_plan
from projections.retention_plan import Due

DRY_RUN_MESSAGES_MAX = 200_000  # a dry run that has counted so many stops, and says so
DRY_RUN_ROOMS_MAX = 500

Moment = Annotated[datetime, Meta(tz=True)]


class RoomCounts(Struct, frozen=True):
    """What a policy would dispose of in a room now. `held_…` is what legal holds keep of it."""

    room_id: RoomId
    messages: int
    files: int
    keys: int
    held_messages: int
    held_keys: int


class DryRun(Struct, frozen=True):
    """`is_complete` false: there is more than a dry run counts. `held_by` are the holds that keep something."""

    at: Moment
    rooms: list[RoomCounts]
    messages: int
    files: int
    keys: int
    held_messages: int
    held_keys: int
    held_by: list[HoldId]
    is_complete: bool


async def effective_in(services: Services, room_id: RoomId) -> Effective:
    """Return what holds in a room; in `DEFAULT`: in those without a policy of their own."""
    folds = await services.command_bus.read({RETENTION.id(each): RETENTION for each in (DEFAULT, room_id)})
    own = None if room_id == DEFAULT else folds[RETENTION.id(room_id)].state
    return effective(own, folds[RETENTION.id(DEFAULT)].state)


async def run_dry(services: Services, room_id: RoomId, proposed: Effective) -> DryRun:
    """Count what the worker would dispose of by this policy now, if the policy was old enough."""
    head = await services.record.head()
    at = max(head.at, head.clock)
    before = due_before(proposed, at)
    if before is None:
        return DryRun(at, [], 0, 0, 0, 0, 0, [], True)
    wanted = [room_id] if room_id != DEFAULT else await _rooms_of_default(services, before)
    holds = (await services.command_bus.see(HOLDS, ALL_HOLDS)).state
    found, held_by, left = list[RoomCounts](), set[HoldId](), DRY_RUN_MESSAGES_MAX
    for each in wanted:
        if left <= 0:
            break
        counts, keeping = await _count(services, each, before, holds, at, left)
        left -= counts.messages + counts.held_messages
        held_by |= keeping
        found += [counts] if counts.keys or counts.held_keys else []
    return DryRun(
        at, found, sum(room.messages for room in found), sum(room.files for room in found), sum(room.keys for room in found),
        sum(room.held_messages for room in found), sum(room.held_keys for room in found), sorted(held_by),
        left > 0 and len(wanted) < DRY_RUN_ROOMS_MAX,
    )  # fmt: skip


async def _count(
    services: Services, room_id: RoomId, before: date, holds: Holds | None, at: datetime, at_most: int
) -> tuple[RoomCounts, set[HoldId]]:
    """Return what is due in a room, and the holds that keep something of it; no more than about so many messages."""
    counts, held_by = RoomCounts(room_id, 0, 0, 0, 0, 0), set[HoldId]()
    async for some in retention_plan.due(services.db, room_id, before=before, holds=holds, at=at):
        held_by = held_by.union(*(due.held_by for due in some))
        counts = await _plus(services, counts, some)
        if counts.messages + counts.held_messages >= at_most:
            break
    return counts, held_by


async def _plus(services: Services, counts: RoomCounts, some: Sequence[Due]) -> RoomCounts:
    free, held = [due for due in some if not due.held_by], [due for due in some if due.held_by]
    gone = {said.id for due in free for said in due.messages}
    files = await retention_plan.unshown(services.db, {each for due in free for each in due.file_ids}, but_by=gone)
    return replace(
        counts, messages=counts.messages + len(gone), files=counts.files + len(files), keys=counts.keys + len(free),
        held_messages=counts.held_messages + sum(len(due.messages) for due in held),
        held_keys=counts.held_keys + len(held),
    )  # fmt: skip


async def _rooms_of_default(services: Services, before: date) -> list[RoomId]:
    """Return rooms without a policy of their own in which something is due, no more than a dry run counts."""
    found, after = list[RoomId](), RoomId(UUID(int=0))
    while len(found) < DRY_RUN_ROOMS_MAX and (
        page := await retention_plan.rooms(services.db, after=after, before=before)
    ):
        folds = await services.command_bus.read({RETENTION.id(room_id): RETENTION for room_id in page})
        states = {room_id: folds[RETENTION.id(room_id)].state for room_id in page}
        found += [room_id for room_id, state in states.items() if state is None or not state.is_set]
        after = page[-1]
    return found[:DRY_RUN_ROOMS_MAX]
