"""What an auditor asks for, and where it stands: positions from `read.audit_entries`, as far as that goes.

The index is walked by whichever of the things asked for happened least often, in stretches of `SCAN_ENTRIES`; the others
are compared with its rows. It is told what it may not know: rows of topics that its writer did not know, and of events that it parked, come too, and
whoever reads the record compares them once more.
"""

from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from msgspec import Struct

from domain.ports import Db

SCAN_ENTRIES = 5_000
SELECT_CHECKPOINT = """
    SELECT position FROM read.checkpoints WHERE name = 'audit_index' ORDER BY position DESC LIMIT 1
"""
SELECT_RECORDED_AT = "SELECT recorded_at FROM record.events WHERE position = $1"
# Bounds and order name what is asked for: so no plan can walk all positions, or sort all entries of a busy person.
_LED = "SELECT position, actor, subject, room_id, topic, is_known FROM read.audit_entries WHERE "
_UNKNOWN = _LED + "NOT is_known AND position > $2 AND position <= $3 ORDER BY position LIMIT $4"
_PARKED = """
    SELECT position, NULL::uuid, NULL::uuid, NULL::uuid, topic, false FROM read.parked_events
    WHERE group_name = 'audit_index' AND NOT is_building AND position > $2 AND position <= $3 ORDER BY position LIMIT $4
"""
_FITTING = """
    SELECT count(*), max(position), array_agg(position ORDER BY position) FILTER (WHERE NOT is_known OR (
        ($5::uuid IS NULL OR actor = $5) AND ($6::uuid IS NULL OR subject = $6)
        AND ($7::uuid IS NULL OR room_id = $7) AND ($8::text IS NULL OR topic = $8)
    )) FROM led
"""
_FOUND = " LIMIT $4) UNION (" + _UNKNOWN + ") UNION (" + _PARKED + ") ORDER BY position LIMIT $4)" + _FITTING
_BEGIN = "WITH led AS ((" + _LED
_ACTOR = "actor IS NOT NULL AND (actor, position) > ($1::uuid, $2) AND (actor, position) <= ($1, $3)"
_SUBJECT = "subject IS NOT NULL AND (subject, position) > ($1::uuid, $2) AND (subject, position) <= ($1, $3)"
_ROOM = "room_id IS NOT NULL AND (room_id, position) > ($1::uuid, $2) AND (room_id, position) <= ($1, $3)"
_TOPIC = "(topic, position) > ($1::text, $2) AND (topic, position) <= ($1, $3)"
SELECT_BY_ACTOR = _BEGIN + _ACTOR + " ORDER BY actor, position" + _FOUND
SELECT_BY_SUBJECT = _BEGIN + _SUBJECT + " ORDER BY subject, position" + _FOUND
SELECT_BY_ROOM = _BEGIN + _ROOM + " ORDER BY room_id, position" + _FOUND
SELECT_BY_TOPIC = _BEGIN + _TOPIC + " ORDER BY topic, position" + _FOUND
# How often each thing happened in a stretch, counted up to a bound.
_COUNT = "(SELECT count(*) FROM (SELECT FROM read.audit_entries WHERE "
_COUNTED = ", position LIMIT $3) counted)"
_ACTORS = "actor IS NOT NULL AND (actor, position) > ($4::uuid, $1) AND (actor, position) <= ($4, $2) ORDER BY actor"
_SUBJECTS = (
    "subject IS NOT NULL AND (subject, position) > ($5::uuid, $1) AND (subject, position) <= ($5, $2) ORDER BY subject"
)
_ROOMS = (
    "room_id IS NOT NULL AND (room_id, position) > ($6::uuid, $1) AND (room_id, position) <= ($6, $2) ORDER BY room_id"
)
_TOPICS = "(topic, position) > ($7::text, $1) AND (topic, position) <= ($7, $2) ORDER BY topic"
COUNT = (
    "SELECT " + _COUNT + _ACTORS + _COUNTED + ", " + _COUNT + _SUBJECTS + _COUNTED
    + ", " + _COUNT + _ROOMS + _COUNTED + ", " + _COUNT + _TOPICS + _COUNTED
)  # fmt: skip
LEADS = (SELECT_BY_ACTOR, SELECT_BY_SUBJECT, SELECT_BY_ROOM, SELECT_BY_TOPIC)


class Filter(Struct, frozen=True):
    """What an auditor asks for; None asks for everything. `to` is exclusive."""

    actor: UUID | None = None
    room: UUID | None = None
    subject: UUID | None = None
    type: str | None = None
    from_: datetime | None = None
    to: datetime | None = None

    def indexed(self) -> tuple[UUID | None, UUID | None, UUID | None, str | None]:
        """Return what the index knows of it: actor, subject, room, type."""
        return self.actor, self.subject, self.room, self.type


class Stretch(NamedTuple):
    """Positions that may be what is asked for, in order, and how far was looked."""

    positions: list[int]
    until: int


async def covered(db: Db, wanted: Filter) -> int:
    """Return up to which position the index can answer; 0 where it cannot."""
    if not any(wanted.indexed()):
        return 0
    return await db.value(SELECT_CHECKPOINT) or 0


async def leading(db: Db, wanted: Filter, after: int, until: int) -> int:
    """Return by which of the things asked for (`LEADS`) the index is to be walked: the rarest."""
    asked = [i for i, value in enumerate(wanted.indexed()) if value is not None]
    if len(asked) == 1:
        return asked[0]
    counts = await db.one(lambda *found: found, COUNT, after, until, SCAN_ENTRIES, *wanted.indexed())
    assert counts is not None, "a list of values has a row"
    return min(asked, key=lambda i: counts[i])


async def sought(db: Db, wanted: Filter, lead: int, after: int, until: int) -> Stretch:
    """Look through at most `SCAN_ENTRIES` rows of the index after a position."""
    value = wanted.indexed()[lead]
    found = await db.one(lambda *row: row, LEADS[lead], value, after, until, SCAN_ENTRIES, *wanted.indexed())
    assert found is not None, "an aggregate has a row"
    rows, last, positions = found
    return Stretch(positions or [], last if rows == SCAN_ENTRIES else until)


async def bounds(db: Db, wanted: Filter, head: int) -> tuple[int, int]:
    """Return the positions after which, and up to which, events are of the time asked for."""
    begin = 0 if wanted.from_ is None else await _first_since(db, wanted.from_, head) - 1
    end = head if wanted.to is None else await _first_since(db, wanted.to, head) - 1
    return begin, end


async def _first_since(db: Db, moment: datetime, head: int) -> int:
    """Return the first position recorded at a time or later, `head` + 1 where there is none: the record's clock never goes
    back, and its positions have no holes."""
    low, high = 1, head + 1
    while low < high:
        middle = (low + high) // 2
        if await db.value(SELECT_RECORDED_AT, middle) < moment:
            low = middle + 1
        else:
            high = middle
    return low
