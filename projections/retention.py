"""Retention policies, for people to look at. Owns the table `read.retention_policies`.

Nothing is destroyed by what it says: that is decided on the record (`commands/retention.py`).
"""

from collections.abc import Iterable
from datetime import datetime

from msgspec import Struct

from domain.events import Recorded
from domain.ids import RoomId, UserId
from domain.ports.database import Db
from domain.retention import RetentionCleared, RetentionSet
from projections.tables import Change, Projection, Table

SELECT_PAGE = """
    SELECT room_id, days_min, days_max, set_by, set_at FROM read.retention_policies
    WHERE is_set AND room_id > $1 ORDER BY room_id LIMIT $2
"""

POLICIES = Table(
    "read.retention_policies",
    key={"room_id": "uuid"},
    columns={"days_min": "int", "days_max": "int", "is_set": "bool", "set_by": "uuid", "set_at": "timestamptz"},
)


class PolicyRow(Struct, frozen=True):
    room_id: RoomId
    days_min: int | None
    days_max: int | None
    set_by: UserId
    set_at: datetime


async def page(db: Db, *, after: RoomId, limit: int) -> list[PolicyRow]:
    """Return the policies of rooms that have one, by the room's id; that of the null id is the default."""
    return await db.all(PolicyRow, SELECT_PAGE, after, limit)


def policy_set(recorded: Recorded[RetentionSet]) -> Iterable[Change]:
    e = recorded.event
    yield POLICIES.put(
        e.room_id, days_min=e.days_min, days_max=e.days_max, is_set=True, set_by=e.by, set_at=recorded.at
    )


def policy_cleared(recorded: Recorded[RetentionCleared]) -> Iterable[Change]:
    e = recorded.event
    yield POLICIES.put(e.room_id, days_min=None, days_max=None, is_set=False, set_by=e.by, set_at=recorded.at)


PROJECTION = Projection(tables=(POLICIES,), handlers={RetentionSet: policy_set, RetentionCleared: policy_cleared})
