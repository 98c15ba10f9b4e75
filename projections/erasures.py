"""Erasures: whose data is erased or to be erased, and how far that is. Owns the table `read.erasures`.

`id` is the secret that reads it. `held_by` are the holds that it waits for, their ids with spaces between.
"""

from collections.abc import Iterable
from datetime import datetime
from uuid import UUID

from msgspec import Struct

from domain.erasure import ErasureBegun, ErasureCancelled, ErasureCompleted, ErasureHeld, ErasureRequested
from domain.events import Recorded
from domain.ids import UserId
from domain.ports.database import Db
from projections.tables import Change, Projection, Table

SELECT_ONE = """
    SELECT id, user_id, requested_at, requested_position, held_by, completed_at, completed_position,
        awaits_approval, is_cancelled
    FROM read.erasures WHERE id = $1
"""
SELECT_OPEN = """
    SELECT id, user_id, requested_at, requested_position, held_by, completed_at, completed_position,
        awaits_approval, is_cancelled
    FROM read.erasures WHERE completed_at IS NULL AND NOT is_cancelled AND requested_position > $1
    ORDER BY requested_position LIMIT $2
"""

ERASURES = Table(
    "read.erasures",
    key={"id": "uuid"},
    columns={
        "user_id": "uuid",
        "requested_at": "timestamptz",
        "requested_position": "bigint",
        "held_by": "text",
        "completed_at": "timestamptz",
        "completed_position": "bigint",
        "awaits_approval": "bool",
        "is_cancelled": "bool",
    },
)


class ErasureRow(Struct, frozen=True):
    id: UUID
    user_id: UserId
    requested_at: datetime
    requested_position: int
    held_by: str
    completed_at: datetime | None
    completed_position: int | None
    awaits_approval: bool
    is_cancelled: bool

    @property
    def hold_ids(self) -> list[UUID]:
        return [UUID(each) for each in self.held_by.split()]


async def one(db: Db, erasure_id: UUID) -> ErasureRow | None:
    """Return an erasure; whoever knows its id may see it."""
    return await db.one(ErasureRow, SELECT_ONE, erasure_id)


async def unfinished(db: Db, *, after: int, limit: int) -> list[ErasureRow]:
    """Return what is to be done of what was requested after a position, the oldest first."""
    return await db.all(ErasureRow, SELECT_OPEN, after, limit)


def requested(recorded: Recorded[ErasureRequested]) -> Iterable[Change]:
    e = recorded.event
    yield ERASURES.new(
        e.erasure_id, user_id=e.user_id, requested_at=recorded.at, requested_position=recorded.position, held_by="",
        completed_at=None, completed_position=None, awaits_approval=recorded.event.awaits_approval, is_cancelled=False,
    )  # fmt: skip


def begun(recorded: Recorded[ErasureBegun]) -> Iterable[Change]:
    yield ERASURES.set(recorded.event.erasure_id, awaits_approval=False)


def cancelled(recorded: Recorded[ErasureCancelled]) -> Iterable[Change]:
    yield ERASURES.set(recorded.event.erasure_id, is_cancelled=True)


def held(recorded: Recorded[ErasureHeld]) -> Iterable[Change]:
    yield ERASURES.set(recorded.event.erasure_id, held_by=" ".join(map(str, recorded.event.hold_ids)))


def completed(recorded: Recorded[ErasureCompleted]) -> Iterable[Change]:
    yield ERASURES.set(
        recorded.event.erasure_id, held_by="", completed_at=recorded.at, completed_position=recorded.position
    )


PROJECTION = Projection(
    tables=(ERASURES,),
    handlers={
        ErasureRequested: requested,
        ErasureBegun: begun,
        ErasureCancelled: cancelled,
        ErasureHeld: held,
        ErasureCompleted: completed,
    },
)
