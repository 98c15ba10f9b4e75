"""What retention disposes of: the data keys of a room that are due, with the messages and files that go with each.

The dry run counts what this yields, and the worker does it (`workers/retaining.py`): there is no other copy of the rule. What
says what is left to do is the vault: a key that is destroyed is done. Times become positions by halving a room's events, whose
times are in order; so a run looks at the days that are due and at nothing else.
"""

from collections.abc import AsyncIterator, Collection, Sequence
from datetime import date, datetime
from typing import NamedTuple
from uuid import UUID

from msgspec import Struct

from domain.hold import HoldId, Holds, covering
from domain.ids import FileId, MessageId, RoomId, UserId
from domain.ports.database import Db
from domain.retention import Window, window_of

KEYS_AT_ONCE = 200
ROOMS_AT_ONCE = 200

SELECT_ROOMS = """
    SELECT DISTINCT room_id FROM vault.data_keys
    WHERE wrapped IS NOT NULL AND room_id IS NOT NULL AND room_id > $1 AND day < $2 ORDER BY room_id LIMIT $3
"""
# A room's name is sealed under a key of the room itself, which is nobody's words.
SELECT_KEYS = """
    SELECT key_id, subject AS person, day FROM vault.data_keys
    WHERE wrapped IS NOT NULL AND room_id IS NOT NULL AND room_id = $1 AND subject <> $1 AND day < $2
        AND (day, key_id) > ($3, $4)
    ORDER BY day, key_id LIMIT $5
"""
SELECT_LAST = """
    SELECT position, recorded_at AS at FROM record.events
    WHERE room_id IS NOT NULL AND (room_id, position) > ($1, 0) AND (room_id, position) <= ($1, 9223372036854775807)
    ORDER BY room_id DESC, position DESC LIMIT 1
"""
SELECT_FROM = """
    SELECT position, recorded_at AS at FROM record.events
    WHERE room_id IS NOT NULL AND (room_id, position) >= ($1, $2) AND (room_id, position) <= ($1, 9223372036854775807)
    ORDER BY room_id, position LIMIT 1
"""
# A message that was deleted is gone for its room, and its file is not.
SELECT_SAID = """
    SELECT m.id, m.sender_id, m.created_at, m.updated_at, m.file_id, m.deleted AS is_deleted
    FROM record.events e JOIN read.messages m ON m.position = e.position
    WHERE e.room_id IS NOT NULL AND (e.room_id, e.position) >= ($1, $2) AND (e.room_id, e.position) < ($1, $3)
        AND (NOT m.deleted OR m.file_id IS NOT NULL) AND m.sender_id = ANY ($4::uuid[])
    ORDER BY e.room_id, e.position
"""
SELECT_UNSHOWN = """
    SELECT f.id FROM read.files f
    WHERE f.id = ANY ($1::uuid[]) AND (f.storage_path <> '' OR f.original_name <> '') AND NOT EXISTS (
        SELECT FROM read.messages m WHERE m.file_id = f.id AND NOT m.deleted AND m.id <> ALL ($2::uuid[])
    ) ORDER BY f.id
"""


class SealedDay(Struct, frozen=True):
    """A data key that is due: whose words of which day it sealed."""

    key_id: UUID
    person: UserId
    day: date


class Moment(Struct, frozen=True):
    """Where an event of a room stands, and when it was recorded."""

    position: int
    at: datetime


class Said(Struct, frozen=True):
    """A message that is not deleted, or that shows a file."""

    id: MessageId
    sender_id: UserId
    created_at: datetime
    updated_at: datetime
    file_id: FileId | None
    is_deleted: bool


class Due(NamedTuple):
    """A key with what goes with it: messages that are not deleted, and files of these and of those that are. `until` is when one
    of the messages was changed last; `held_by` are the holds that keep all of it."""

    key: SealedDay
    messages: Sequence[Said]
    file_ids: frozenset[FileId]
    until: datetime
    held_by: tuple[HoldId, ...]


async def rooms(db: Db, *, after: RoomId, before: date) -> list[RoomId]:
    """Return the next rooms, by id, in which somebody said something before a day that is still readable."""
    return await db.all(RoomId, SELECT_ROOMS, after, before, ROOMS_AT_ONCE)


async def due(db: Db, room_id: RoomId, *, before: date, holds: Holds | None, at: datetime) -> AsyncIterator[list[Due]]:
    """Yield what is due in a room before a day, the oldest first, some keys at a time, with the holds that keep it."""
    day, key_id = date.min, UUID(int=0)
    while keys := await db.all(SealedDay, SELECT_KEYS, room_id, before, day, key_id, KEYS_AT_ONCE):
        said = await _said(db, room_id, keys)
        yield [_due(key, room_id, said.get(key.person, []), holds, at) for key in keys]
        day, key_id = keys[-1].day, keys[-1].key_id


async def unshown(db: Db, file_ids: Collection[FileId], *, but_by: Collection[MessageId] = ()) -> list[FileId]:
    """Return those of these files that have not ended for good, and that no message shows which is not deleted, or is one of `but_by`."""
    return await db.all(FileId, SELECT_UNSHOWN, list(file_ids), list(but_by)) if file_ids else []


def _due(key: SealedDay, room_id: RoomId, said: Sequence[Said], holds: Holds | None, at: datetime) -> Due:
    window = window_of(key.day)
    of_day = [each for each in said if window.since <= each.created_at < window.until]
    messages = [each for each in of_day if not each.is_deleted]
    file_ids = frozenset(each.file_id for each in of_day if each.file_id is not None)
    until = max([window.until, *(each.updated_at for each in messages)])
    held_by = covering(holds, person=key.person, room=room_id, since=window.since, until=until, at=at)
    return Due(key, messages, file_ids, until, held_by)


async def _said(db: Db, room_id: RoomId, keys: Sequence[SealedDay]) -> dict[UserId, list[Said]]:
    """Return the messages that these keys sealed, and some around them, by whom they are."""
    window = Window(window_of(keys[0].day).since, window_of(keys[-1].day).until)
    low, high = [await _first_at(db, room_id, moment) for moment in window]
    found: dict[UserId, list[Said]] = {}
    for said in await db.all(Said, SELECT_SAID, room_id, low, high, sorted({key.person for key in keys})):
        found.setdefault(said.sender_id, []).append(said)
    return found


async def _first_at(db: Db, room_id: RoomId, moment: datetime) -> int:
    """Return a position that no event of the room from this time on is before, and no earlier one at or after."""
    last = await db.one(Moment, SELECT_LAST, room_id)
    if last is None or last.at < moment:
        return 2**63 - 1
    low, high = 0, last.position
    while low < high:
        middle = (low + high) // 2
        found = await db.one(Moment, SELECT_FROM, room_id, middle)
        assert found is not None, "the last event of a room is at or after the middle"
        if found.at >= moment:
            high = middle
        else:
            low = found.position + 1
    return high
