"""What an auditor asks for, and where it stands: positions from `read.audit_entries`, as far as that goes; those of messages
in a room from the record's own index of rooms.

Where two of the things asked for happened seldom enough, their positions are read whole from the indexes alone, and what
both have is what is looked at. Otherwise the index is walked by whichever happened least often, in stretches that grow to
`SCAN_ENTRIES`; the others are compared with its rows. It is told what it may not know: rows of topics that its writer did not
know, and of events that it parked, come too, and whoever reads the record compares them once more.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from msgspec import Struct

from domain.ports.database import Db

SCAN_ENTRIES = 5_000
FIRST_ENTRIES = 200  # of the first stretch, which is often enough
STRETCH_GROWTH = 4
SELECT_CHECKPOINT = """
    SELECT position FROM read.checkpoints WHERE name = 'audit_index' ORDER BY position DESC LIMIT 1
"""
SELECT_RECORDED_AT = "SELECT recorded_at FROM record.events WHERE position = $1"
COMMONEST = "message.posted"  # of all topics; the indexes by topic and by room are without it
# Bounds and order name what is asked for: so no plan can walk all positions, or sort all entries of a busy person. `$1` is
# the thing, then come the bounds and how many. The last four are what else is asked for.
SELECT_BY_ACTOR = """
    WITH led AS (
        (SELECT position, actor, subject, room_id, topic, is_known FROM read.audit_entries
        WHERE actor IS NOT NULL AND (actor, position) > ($1::uuid, $2) AND (actor, position) <= ($1, $3)
        ORDER BY actor, position LIMIT $4)
        UNION
        SELECT position, actor, subject, room_id, topic, is_known FROM read.audit_unknown($2, $3, $4)
        ORDER BY position LIMIT $4
    )
    SELECT count(*) AS entries, max(position) AS last, array_agg(position ORDER BY position) FILTER (WHERE NOT is_known OR (
        ($5::uuid IS NULL OR actor = $5) AND ($6::uuid IS NULL OR subject = $6)
        AND ($7::uuid IS NULL OR room_id = $7) AND ($8::text IS NULL OR topic = $8)
    )) AS positions FROM led
"""
SELECT_BY_SUBJECT = """
    WITH led AS (
        (SELECT position, actor, subject, room_id, topic, is_known FROM read.audit_entries
        WHERE subject IS NOT NULL AND subject IS DISTINCT FROM actor
            AND (subject, position) > ($1::uuid, $2) AND (subject, position) <= ($1, $3)
        ORDER BY subject, position LIMIT $4)
        UNION
        (SELECT position, actor, subject, room_id, topic, is_known FROM read.audit_entries
        WHERE actor IS NOT NULL AND (actor, position) > ($1::uuid, $2) AND (actor, position) <= ($1, $3)
        ORDER BY actor, position LIMIT $4)
        UNION
        SELECT position, actor, subject, room_id, topic, is_known FROM read.audit_unknown($2, $3, $4)
        ORDER BY position LIMIT $4
    )
    SELECT count(*) AS entries, max(position) AS last, array_agg(position ORDER BY position) FILTER (WHERE NOT is_known OR (
        ($5::uuid IS NULL OR actor = $5) AND ($6::uuid IS NULL OR subject = $6)
        AND ($7::uuid IS NULL OR room_id = $7) AND ($8::text IS NULL OR topic = $8)
    )) AS positions FROM led
"""
# What is published in a room stands in the record's own index by room. Its entries are read by the key, one by one: a plan that
# joins whole tables would read all entries for those of one room.
SELECT_BY_ROOM = """
    WITH led AS (
        (SELECT position, actor, subject, room_id, topic, is_known FROM read.audit_entries
        WHERE room_id IS NOT NULL AND topic <> 'message.posted'
            AND (room_id, position) > ($1::uuid, $2) AND (room_id, position) <= ($1, $3)
        ORDER BY room_id, position LIMIT $4)
        UNION
        (SELECT entry.* FROM (
            SELECT position FROM record.events
            WHERE room_id IS NOT NULL AND (room_id, position) > ($1::uuid, $2) AND (room_id, position) <= ($1, $3)
            ORDER BY room_id, position LIMIT $4
        ) published
        CROSS JOIN LATERAL (
            SELECT position, actor, subject, room_id, topic, is_known FROM read.audit_entries
            WHERE audit_entries.position = published.position LIMIT 1
        ) entry)
        UNION
        SELECT position, actor, subject, room_id, topic, is_known FROM read.audit_unknown($2, $3, $4)
        ORDER BY position LIMIT $4
    )
    SELECT count(*) AS entries, max(position) AS last, array_agg(position ORDER BY position) FILTER (WHERE NOT is_known OR (
        ($5::uuid IS NULL OR actor = $5) AND ($6::uuid IS NULL OR subject = $6)
        AND ($7::uuid IS NULL OR room_id = $7) AND ($8::text IS NULL OR topic = $8)
    )) AS positions FROM led
"""
SELECT_BY_TOPIC = """
    WITH led AS (
        (SELECT position, actor, subject, room_id, topic, is_known FROM read.audit_entries
        WHERE topic <> 'message.posted' AND (topic, position) > ($1::text, $2) AND (topic, position) <= ($1, $3)
        ORDER BY topic, position LIMIT $4)
        UNION
        SELECT position, actor, subject, room_id, topic, is_known FROM read.audit_unknown($2, $3, $4)
        ORDER BY position LIMIT $4
    )
    SELECT count(*) AS entries, max(position) AS last, array_agg(position ORDER BY position) FILTER (WHERE NOT is_known OR (
        ($5::uuid IS NULL OR actor = $5) AND ($6::uuid IS NULL OR subject = $6)
        AND ($7::uuid IS NULL OR room_id = $7) AND ($8::text IS NULL OR topic = $8)
    )) AS positions FROM led
"""
SELECT_BY_POSITION = """
    WITH led AS (
        (SELECT position, actor, subject, room_id, topic, is_known FROM read.audit_entries
        WHERE $1::text IS NOT NULL AND position > $2 AND position <= $3
        ORDER BY position LIMIT $4)
        UNION
        SELECT position, actor, subject, room_id, topic, is_known FROM read.audit_unknown($2, $3, $4)
        ORDER BY position LIMIT $4
    )
    SELECT count(*) AS entries, max(position) AS last, array_agg(position ORDER BY position) FILTER (WHERE NOT is_known OR (
        ($5::uuid IS NULL OR actor = $5) AND ($6::uuid IS NULL OR subject = $6)
        AND ($7::uuid IS NULL OR room_id = $7) AND ($8::text IS NULL OR topic = $8)
    )) AS positions FROM led
"""
LEADS = (SELECT_BY_ACTOR, SELECT_BY_SUBJECT, SELECT_BY_ROOM, SELECT_BY_TOPIC, SELECT_BY_POSITION)
TOPIC, POSITION = 3, 4  # of the leads
# Where each thing happened in a stretch, or may have, up to a bound: from the indexes alone.
LIST_OF_ACTOR = """
    SELECT position FROM read.audit_entries
    WHERE actor IS NOT NULL AND (actor, position) > ($1::uuid, $2) AND (actor, position) <= ($1, $3)
    ORDER BY actor, position LIMIT $4
"""
LIST_OF_SUBJECT = """
    (SELECT position FROM read.audit_entries
    WHERE subject IS NOT NULL AND subject IS DISTINCT FROM actor
        AND (subject, position) > ($1::uuid, $2) AND (subject, position) <= ($1, $3)
    ORDER BY subject, position LIMIT $4)
    UNION
    (SELECT position FROM read.audit_entries
    WHERE actor IS NOT NULL AND (actor, position) > ($1::uuid, $2) AND (actor, position) <= ($1, $3)
    ORDER BY actor, position LIMIT $4)
    ORDER BY position LIMIT $4
"""
LIST_OF_ROOM = """
    (SELECT position FROM read.audit_entries
    WHERE room_id IS NOT NULL AND topic <> 'message.posted'
        AND (room_id, position) > ($1::uuid, $2) AND (room_id, position) <= ($1, $3)
    ORDER BY room_id, position LIMIT $4)
    UNION
    (SELECT position FROM record.events
    WHERE room_id IS NOT NULL AND (room_id, position) > ($1::uuid, $2) AND (room_id, position) <= ($1, $3)
    ORDER BY room_id, position LIMIT $4)
    ORDER BY position LIMIT $4
"""
LIST_OF_TOPIC = """
    SELECT position FROM read.audit_entries
    WHERE topic <> 'message.posted' AND (topic, position) > ($1::text, $2) AND (topic, position) <= ($1, $3)
    ORDER BY topic, position LIMIT $4
"""
LIST_OF_UNKNOWN = "SELECT position FROM read.audit_unknown($2, $3, $4) WHERE $1::text IS NULL"
LISTS = (LIST_OF_ACTOR, LIST_OF_SUBJECT, LIST_OF_ROOM, LIST_OF_TOPIC)


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


class Way(NamedTuple):
    """How to look: by which of `LEADS` the index is walked; `shared`: the only positions that may be what is asked for, in
    order, where that is known."""

    lead: int
    shared: Sequence[int] | None = None


class Walked(Struct, frozen=True):
    """How many entries a statement looked at, the last one, and the positions of those that fit; none: null."""

    entries: int
    last: int | None
    positions: list[int] | None


class Stretch(NamedTuple):
    """Positions that may be what is asked for, in order, and how far was looked."""

    positions: list[int]
    until: int


async def covered(db: Db, wanted: Filter) -> int:
    """Return up to which position the index can answer; 0 where it cannot."""
    if not any(wanted.indexed()):
        return 0
    return await db.value(SELECT_CHECKPOINT) or 0


async def way(db: Db, wanted: Filter, after: int, until: int) -> Way:
    """Return how what is asked for is to be found between two positions."""
    asked = [i for i, value in enumerate(wanted.indexed()) if value is not None and (i, value) != (TOPIC, COMMONEST)]
    if len(asked) < 2:
        return Way(asked[0] if asked else POSITION)
    places = {i: await _places(db, LISTS[i], wanted.indexed()[i], after, until) for i in asked}
    whole = [set(found) for found in places.values() if len(found) < SCAN_ENTRIES]
    shared = None
    if len(whole) > 1:
        unknown = await _places(db, LIST_OF_UNKNOWN, None, after, until)
        if len(unknown) < SCAN_ENTRIES:
            shared = sorted(set.intersection(*whole).union(unknown))
    return Way(min(asked, key=lambda i: len(places[i])), shared)


async def sought(db: Db, wanted: Filter, lead: int, after: int, until: int, *, entries: int) -> Stretch:
    """Look through at most so many rows of the index after a position."""
    value = COMMONEST if lead == POSITION else wanted.indexed()[lead]
    walked = await db.one(Walked, LEADS[lead], value, after, until, entries, *wanted.indexed())
    assert walked is not None, "an aggregate has a row"
    last = until if walked.last is None or walked.entries < entries else walked.last
    return Stretch(walked.positions or [], last)


async def _places(db: Db, sql: str, value: UUID | str | None, after: int, until: int) -> list[int]:
    return await db.all(int, sql, value, after, until, SCAN_ENTRIES)


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
