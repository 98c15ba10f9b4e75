"""Approvals: which there are, by what became of them. Owns the table `read.approvals`.

What an approval is of, and why, is in no table: whoever shows it reads it from the record.
"""

from collections.abc import Iterable
from datetime import datetime
from typing import Literal

from msgspec import Struct

from domain.approval import ApprovalGranted, ApprovalRefused, ApprovalRequested
from domain.events import Recorded
from domain.ids import ApprovalId
from domain.ports.database import Db
from projections.tables import Change, Projection, Table

ApprovalStanding = Literal["pending", "granted", "refused", "expired"]
SELECT_PAGE = """
    SELECT id, position FROM read.approvals
    WHERE state = $1 AND position > $2 AND (state <> 'pending' OR (expires_at > $3) = $4) ORDER BY position LIMIT $5
"""

APPROVALS = Table(
    "read.approvals",
    key={"id": "uuid"},
    columns={"position": "bigint", "state": "text", "expires_at": "timestamptz"},
)


class ApprovalRow(Struct, frozen=True):
    """`position` is that of the request."""

    id: ApprovalId
    position: int


async def page(db: Db, standing: ApprovalStanding, *, now: datetime, after: int, limit: int) -> list[ApprovalRow]:
    """Return at most `limit` approvals that stand so, in the order in which they were asked for."""
    state = "pending" if standing == "expired" else standing
    return await db.all(ApprovalRow, SELECT_PAGE, state, after, now, standing == "pending", limit)


def requested(recorded: Recorded[ApprovalRequested]) -> Iterable[Change]:
    e = recorded.event
    yield APPROVALS.new(e.approval_id, position=recorded.position, state="pending", expires_at=e.expires_at)


def granted(recorded: Recorded[ApprovalGranted]) -> Iterable[Change]:
    yield APPROVALS.set(recorded.event.approval_id, state="granted")


def refused(recorded: Recorded[ApprovalRefused]) -> Iterable[Change]:
    yield APPROVALS.set(recorded.event.approval_id, state="refused")


PROJECTION = Projection(
    tables=(APPROVALS,),
    handlers={ApprovalRequested: requested, ApprovalGranted: granted, ApprovalRefused: refused},
)
