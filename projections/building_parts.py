"""Building parts: how far each process is of a rebuild that is divided by room. Owns the table `read.building_parts`.

A part is moved in the transaction that writes its rows, under the epoch of its tables (`projections/building_tables.py`): whoever
takes these waits for that transaction, and the next one of the part finds another epoch. All parts go to one position; there they
are joined, and the tables are at it as if one process had come there.
"""

from collections.abc import Sequence

from msgspec import Struct

from domain.ports.database import Db
from projections import building_tables
from projections.checkpoints import LeaseLostError

SELECT = """
    SELECT part, parts, position, until_position FROM read.building_parts WHERE group_name = $1 ORDER BY part
"""
INSERT = """
    INSERT INTO read.building_parts (group_name, part, parts, until_position, position)
    SELECT b.group_name, part, $4, $5, b.position
    FROM read.building_tables b CROSS JOIN generate_series(0, $4::int - 1) part
    WHERE b.group_name = $1 AND b.suffix = $2 AND b.epoch = $3
"""
MOVE = """
    WITH held AS (
        SELECT FROM read.building_tables WHERE group_name = $1 AND suffix = $2 AND epoch = $3 FOR SHARE
    )
    UPDATE read.building_parts SET position = $5
    WHERE group_name = $1 AND part = $4 AND position <= $5 AND EXISTS (SELECT FROM held)
"""
DELETE = "DELETE FROM read.building_parts WHERE group_name = $1"


class BuildingPart(Struct, frozen=True):
    """One of `parts`, true up to `position` of the record as far as it concerns it; it goes to `until_position`."""

    part: int
    parts: int
    position: int
    until_position: int


async def of(db: Db, group: str) -> list[BuildingPart]:
    """Return the parts into which a group's building tables are divided; none if they are not."""
    return await db.all(BuildingPart, SELECT, group)


def done(parts: Sequence[BuildingPart]) -> int:
    """Return how much is done: at this position one process would have as much."""
    return sum(part.position for part in parts) // len(parts)


async def divide(db: Db, group: str, suffix: str, epoch: int, *, parts: int, until: int) -> None:
    """Note that so many parts go from where the tables are to a position."""
    await db.run(INSERT, group, suffix, epoch, parts, until)


async def move(db: Db, group: str, suffix: str, epoch: int, part: int, position: int) -> None:
    """Note how far a part is, in the transaction that writes its rows, before these. Raise `LeaseLostError` if another run fills
    the tables."""
    if await db.run(MOVE, group, suffix, epoch, part, position) != "UPDATE 1":
        raise LeaseLostError


async def join(db: Db, group: str, suffix: str, epoch: int, position: int) -> None:
    """Note that all parts came to this position; within a transaction. Raise `LeaseLostError` as `move` does."""
    await building_tables.move(db, group, suffix, epoch, position)
    await db.run(DELETE, group)
