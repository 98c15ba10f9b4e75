"""Legal holds, active and released. Owns the table `read.legal_holds`.

It is for people to look at. Nothing is destroyed by what it says: whoever destroys asks the record (`commands/hold.py`).
"""

from collections.abc import Iterable
from datetime import datetime
from uuid import UUID

from msgspec import Struct

from domain.events import Recorded
from domain.hold import HoldId, HoldPlaced, HoldReleased
from domain.ids import RoomId, UserId
from domain.ports.database import Db
from projections.tables import Change, Projection, Table

SELECT_PAGE = """
    SELECT id, name, persons, rooms, from_at, to_at, placed_by, placed_at, position, released_by, released_at
    FROM read.legal_holds WHERE position < $1 AND ($2::bool IS NULL OR (released_at IS NULL) = $2)
    ORDER BY position DESC LIMIT $3
"""
SELECT_ONE = """
    SELECT id, name, persons, rooms, from_at, to_at, placed_by, placed_at, position, released_by, released_at
    FROM read.legal_holds WHERE id = $1
"""
POSITION_MAX = 2**63 - 1

LEGAL_HOLDS = Table(
    "read.legal_holds",
    key={"id": "uuid"},
    columns={
        "name": "text",
        "persons": "text",
        "rooms": "text",
        "from_at": "timestamptz",
        "to_at": "timestamptz",
        "placed_by": "uuid",
        "placed_at": "timestamptz",
        "position": "bigint",
        "released_by": "uuid",
        "released_at": "timestamptz",
    },
)


class HoldRow(Struct, frozen=True):
    """`persons` and `rooms` are ids with spaces between; an empty text is all of them."""

    id: HoldId
    name: str
    persons: str
    rooms: str
    from_at: datetime | None
    to_at: datetime | None
    placed_by: UserId
    placed_at: datetime
    position: int
    released_by: UserId | None
    released_at: datetime | None

    def person_ids(self) -> list[UserId]:
        return [UserId(UUID(each)) for each in self.persons.split()]

    def room_ids(self) -> list[RoomId]:
        return [RoomId(UUID(each)) for each in self.rooms.split()]


async def page(db: Db, *, before: int | None, active: bool | None, limit: int) -> list[HoldRow]:
    """Return holds placed before a position, newest first; only active ones, only released ones, or both (None)."""
    return await db.all(HoldRow, SELECT_PAGE, POSITION_MAX if before is None else before, active, limit)


async def of(db: Db, hold_id: HoldId) -> HoldRow | None:
    return await db.one(HoldRow, SELECT_ONE, hold_id)


def row_of(recorded: Recorded[HoldPlaced]) -> HoldRow:
    """Return the row that a placement makes."""
    e = recorded.event
    return HoldRow(
        e.hold_id, e.name, " ".join(map(str, e.persons)), " ".join(map(str, e.rooms)), e.from_at, e.to_at, e.by,
        recorded.at, recorded.position, None, None,
    )  # fmt: skip


def placed(recorded: Recorded[HoldPlaced]) -> Iterable[Change]:
    row = row_of(recorded)
    yield LEGAL_HOLDS.new(
        row.id, name=row.name, persons=row.persons, rooms=row.rooms, from_at=row.from_at, to_at=row.to_at,
        placed_by=row.placed_by, placed_at=row.placed_at, position=row.position,
    )  # fmt: skip


def released(recorded: Recorded[HoldReleased]) -> Iterable[Change]:
    yield LEGAL_HOLDS.set(recorded.event.hold_id, released_by=recorded.event.by, released_at=recorded.at)


PROJECTION = Projection(tables=(LEGAL_HOLDS,), handlers={HoldPlaced: placed, HoldReleased: released})
