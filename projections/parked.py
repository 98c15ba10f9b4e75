"""Parked events: what a group of read tables could not take, and went on without. Owns the table `read.parked_events`.

A parked event is as if the group had never seen it. Later events of its stream are applied to whatever rows there
are: an edit of a message whose posting was parked finds no row, and changes nothing. Rows may therefore be missing or
old until the group is rebuilt by a version that takes the event; a rebuild (`is_building`) has parked events of its own,
which take the place of the served ones in its swap.
"""

from collections.abc import Sequence
from typing import NamedTuple

from msgspec import Struct

from domain.ports.database import Db

# What is parked of notes themselves is noted by nobody (`domain/parking.py`).
INSERT = """
    WITH parked AS (
        INSERT INTO read.parked_events (group_name, is_building, position, topic, error)
        SELECT $1, $2, * FROM unnest($3::bigint[], $4::text[], $5::text[])
        ON CONFLICT (group_name, is_building, position) DO NOTHING RETURNING group_name, is_building, position, topic, error
    )
    INSERT INTO read.parking_notes (group_name, position, topic, error)
    SELECT group_name, position, topic, error FROM parked
    WHERE NOT is_building AND topic <> ALL (ARRAY['projection.parked', 'projection.replayed']) ORDER BY position
"""
SELECT_OF_GROUP = """
    SELECT position, topic, error FROM read.parked_events WHERE group_name = $1 AND NOT is_building ORDER BY position LIMIT $2
"""
DELETE_REPLAYED = """
    WITH replayed AS (
        DELETE FROM read.parked_events WHERE group_name = $1 AND NOT is_building AND position = ANY ($2::bigint[])
        RETURNING group_name, position, topic
    )
    INSERT INTO read.parking_notes (group_name, position, topic)
    SELECT group_name, position, topic FROM replayed
    WHERE topic <> ALL (ARRAY['projection.parked', 'projection.replayed']) ORDER BY position
"""
# Of two lists, those that stand in one of them alone.
INSERT_DIFFERENCE = """
    INSERT INTO read.parking_notes (group_name, position, topic, error)
    SELECT p.group_name, p.position, p.topic, CASE WHEN p.is_building THEN p.error END FROM read.parked_events p
    WHERE p.group_name = $1 AND p.topic <> ALL (ARRAY['projection.parked', 'projection.replayed']) AND NOT EXISTS (
        SELECT FROM read.parked_events other
        WHERE other.group_name = $1 AND other.position = p.position AND other.is_building <> p.is_building
    ) ORDER BY p.position
"""
SELECT_NOTES = "SELECT number, group_name, position, topic, error FROM read.parking_notes ORDER BY number LIMIT $1"
DELETE_NOTE = "DELETE FROM read.parking_notes WHERE number = $1"
SELECT_COUNTS = (
    "SELECT group_name, count(*) AS events FROM read.parked_events WHERE NOT is_building GROUP BY 1 ORDER BY 1"
)
SELECT_LISTED = """
    SELECT group_name AS "group", position, topic, error FROM read.parked_events WHERE NOT is_building
    ORDER BY position, group_name LIMIT $1
"""
DELETE = "DELETE FROM read.parked_events WHERE group_name = $1 AND is_building = $2"
SERVE = "UPDATE read.parked_events SET is_building = false WHERE group_name = $1 AND is_building"


class Parked(Struct, frozen=True):
    """`error` is the class of what went wrong: never its words, which may quote the event."""

    position: int
    topic: str
    error: str


class ParkedCount(NamedTuple):
    group_name: str
    events: int


class ParkedIn(Struct, frozen=True):
    """A parked event and the group that goes without it."""

    group: str
    position: int
    topic: str
    error: str


class Note(Struct, frozen=True):
    """What is to be noted on the record: that an event is parked, or (`error` None) that it was replayed."""

    number: int
    group_name: str
    position: int
    topic: str
    error: str | None


async def park(db: Db, group: str, events: Sequence[Parked], *, is_building: bool = False) -> None:
    """Insert what a group goes without, in the transaction that moves its checkpoint past it."""
    if events:
        columns = ([e.position for e in events], [e.topic for e in events], [e.error for e in events])
        await db.run(INSERT, group, is_building, *columns)


async def counts(db: Db) -> dict[str, int]:
    """Return how many events each group goes without; groups that miss none are left out."""
    return dict(await db.all(ParkedCount, SELECT_COUNTS))


async def listed(db: Db, *, limit: int) -> list[ParkedIn]:
    """Return parked events in the order of the record."""
    return await db.all(ParkedIn, SELECT_LISTED, limit)


async def of_group(db: Db, group: str, *, limit: int) -> list[Parked]:
    """Return what a group goes without, in the order of the record."""
    return await db.all(Parked, SELECT_OF_GROUP, group, limit)


async def replayed(db: Db, group: str, positions: Sequence[int]) -> None:
    """Delete what a group has taken after all, in the transaction that writes its rows."""
    await db.run(DELETE_REPLAYED, group, list(positions))


async def notes(db: Db, *, limit: int) -> list[Note]:
    """Return what is to be noted on the record, in order."""
    return await db.all(Note, SELECT_NOTES, limit)


async def noted(db: Db, number: int) -> None:
    await db.run(DELETE_NOTE, number)


async def forget(db: Db, group: str, *, is_building: bool) -> None:
    await db.run(DELETE, group, is_building)


async def serve_rebuilt(db: Db, group: str) -> None:
    """Have what a rebuild parked take the place of what was parked before, in the transaction of its swap."""
    await db.run(INSERT_DIFFERENCE, group)
    await db.run(DELETE, group, False)
    await db.run(SERVE, group)
