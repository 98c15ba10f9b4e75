"""Retention: records managers set how long things are kept, and the worker disposes of what is too old, a step a command.

Each step is decided on the policies and legal holds of the record, which are guards of what it appends: a policy that is
changed or a hold that is placed at the same moment makes it be decided anew. It may be done twice, and changes nothing then.
"""

from collections.abc import Iterable
from datetime import date, datetime, timedelta
from uuid import UUID

from msgspec import Struct

from commands.hold import holds_of
from commands.message import write_removal
from commands.unit_of_work import Handler, UnitOfWork
from domain import retention as decide
from domain.account import ACCOUNT, require_right
from domain.errors import RoomNotFoundError
from domain.file import FILE
from domain.file import expire as expire_file
from domain.hold import HeldError, covering
from domain.ids import FileId, MessageId, RoomId, UserId
from domain.message import MESSAGE, NO_ONE, expire
from domain.retention import DEFAULT, DISPOSALS, RETENTION, Effective, KeptError, due_before, is_due, window_of
from domain.room import ROOM

MOMENT = timedelta(microseconds=1)  # a time with its own moment is [at, at + this)


class SetRetention(Struct, frozen=True):
    """`room_id` `DEFAULT`: of all rooms that have no policy of their own."""

    room_id: RoomId
    days_min: int | None
    days_max: int | None


class ClearRetention(Struct, frozen=True):
    room_id: RoomId


class DisposeMessage(Struct, frozen=True):
    """`at` is the record's clock, as in the others."""

    message_id: MessageId
    at: datetime


class DisposeFile(Struct, frozen=True):
    file_id: FileId
    at: datetime


class DueKey(Struct, frozen=True):
    """A data key, whose words it sealed, of which day, and until when one of these messages was changed."""

    key_id: UUID
    person: UserId
    day: date
    until: datetime


class ApplyRetention(Struct, frozen=True):
    """Note that these keys are destroyed next, and how many messages and files went with them."""

    room_id: RoomId
    keys: tuple[DueKey, ...]
    messages: int
    files: int
    at: datetime


async def policy_of(unit: UnitOfWork, room_id: RoomId) -> Effective:
    """Return what holds in a room, as a guard of what this unit of work appends."""
    room, default = await unit.load_all((RETENTION, (room_id,)), (RETENTION, (DEFAULT,)))
    return decide.effective(room, default)


async def set_policy(command: SetRetention, unit: UnitOfWork) -> None:
    by = await _records_manager(unit)
    if command.room_id != DEFAULT and await unit.glance(ROOM, command.room_id) is None:
        raise RoomNotFoundError
    events = decide.set_policy(
        await unit.load(RETENTION, command.room_id), room_id=command.room_id, by=by, days_min=command.days_min,
        days_max=command.days_max,
    )  # fmt: skip
    unit.write(RETENTION, command.room_id, events=events)


async def clear_policy(command: ClearRetention, unit: UnitOfWork) -> None:
    by = await _records_manager(unit)
    policy = await unit.load(RETENTION, command.room_id)
    unit.write(RETENTION, command.room_id, events=decide.clear_policy(policy, room_id=command.room_id, by=by))


async def dispose_message(command: DisposeMessage, unit: UnitOfWork) -> None:
    """Leave a tombstone. What was edited is held if any of its versions is."""
    message = await unit.load(MESSAGE, command.message_id)
    if message is None or message.is_deleted:
        return
    if not is_due(await policy_of(unit, message.room_id), message.posted_at, command.at):
        raise KeptError
    changed_at = unit.folds[MESSAGE.id(command.message_id)].at or message.posted_at
    await _require_free(unit, message.sender_id, [message.room_id], message.posted_at, changed_at + MOMENT, command.at)
    await write_removal(unit, message, expire(message), by=NO_ONE)


async def dispose_file(command: DisposeFile, unit: UnitOfWork) -> None:
    """End a file that no message shows any more. It is due if it is in each room that it was shown in."""
    file = await unit.load(FILE, command.file_id)
    if file is None or not file.rooms:
        return
    for room_id in file.rooms:
        if not is_due(await policy_of(unit, room_id), file.received_at, command.at):
            raise KeptError
    await _require_free(
        unit, file.uploader_id, [None, *file.rooms], file.received_at, file.received_at + MOMENT, command.at
    )
    unit.write(FILE, command.file_id, events=expire_file(file))


async def apply(command: ApplyRetention, unit: UnitOfWork) -> None:
    policy = await policy_of(unit, command.room_id)
    before = due_before(policy, command.at)
    if before is None or any(key.day >= before for key in command.keys):
        raise KeptError
    for key in command.keys:
        since, until = window_of(key.day)
        await _require_free(unit, key.person, [command.room_id], since, max(until, key.until), command.at)
    await unit.load(DISPOSALS, command.room_id)
    events = decide.apply(
        policy, room_id=command.room_id, days=tuple(key.day for key in command.keys),
        key_ids=tuple(key.key_id for key in command.keys), messages=command.messages, files=command.files,
    )  # fmt: skip
    unit.write(DISPOSALS, command.room_id, events=events)


async def _require_free(
    unit: UnitOfWork, person: UserId, rooms: Iterable[RoomId | None], since: datetime, until: datetime, at: datetime
) -> None:
    """Raise `HeldError` if a hold covers it."""
    holds = await holds_of(unit)
    for room_id in rooms:
        if held := covering(holds, person=person, room=room_id, since=since, until=until, at=at):
            raise HeldError(held)


async def _records_manager(unit: UnitOfWork) -> UserId:
    user_id = unit.caller.user_id
    assert user_id, "authentication lets no stranger here"
    require_right(await unit.load(ACCOUNT, user_id), "retention.put")
    return user_id


HANDLERS: dict[type[Struct], Handler] = {
    SetRetention: set_policy,
    ClearRetention: clear_policy,
    DisposeMessage: dispose_message,
    DisposeFile: dispose_file,
    ApplyRetention: apply,
}
