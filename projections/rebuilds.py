"""Rebuilds as operations: queued, running, and what came of them. Owns the table `read.rebuilds`.

What is built itself stands elsewhere (`projections/building_tables.py`): a rebuild that was interrupted leaves it to the next.
"""

from datetime import datetime
from typing import Literal
from uuid import UUID

import msgspec
from msgspec import Struct

from domain.ids import UserId
from domain.ports.database import Db

State = Literal["queued", "running", "done", "failed"]
REBUILDS_KEPT_DAYS = 90
SILENT_SECONDS = 60.0
AGAIN_SECONDS = 600.0

INSERT = """
    INSERT INTO read.rebuilds (id, group_name, version, is_shadow, asked_by, is_by_hand, jobs) VALUES ($1, $2, $3, $4, $5, $6, $7)
    ON CONFLICT (group_name, version) WHERE state IN ('queued', 'running') DO NOTHING
"""
SELECT = """
    SELECT id, group_name, version, is_shadow, asked_by, is_by_hand, asked_at, state, run_by, began_at, heard_at, ended_at, began_position,
        position, total, seconds, doing, outcome, fault, jobs,
        coalesce(extract(epoch FROM clock_timestamp() - heard_at), 0)::float8 AS silent_seconds
    FROM read.rebuilds WHERE id = $1
"""
SELECT_UNDER_WAY = """
    SELECT id, group_name, version, is_shadow, asked_by, is_by_hand, asked_at, state, run_by, began_at, heard_at, ended_at, began_position,
        position, total, seconds, doing, outcome, fault, jobs,
        coalesce(extract(epoch FROM clock_timestamp() - heard_at), 0)::float8 AS silent_seconds
    FROM read.rebuilds WHERE state IN ('queued', 'running') ORDER BY asked_at, id
"""
# Two runs may believe that they are alone, as one that lost the connection which holds the group's lock does: the last that took
# the row is whose it is.
TELL = """
    UPDATE read.rebuilds SET state = 'running', run_by = $2, began_position = $3, position = $4, total = $5, seconds = $6, doing = $7,
        began_at = coalesce(began_at, clock_timestamp()), heard_at = clock_timestamp(), ended_at = NULL, fault = NULL
    WHERE id = $1 AND (run_by = $2 OR $8)
"""
CHANGE = "UPDATE read.rebuilds SET is_shadow = $2 WHERE id = $1"
END = """
    UPDATE read.rebuilds SET state = $2, outcome = $3, fault = $4, ended_at = clock_timestamp(), doing = ''
    WHERE id = $1 AND ($5::text IS NULL OR run_by IS NULL OR run_by = $5)
"""
SELECT_FAILED = """
    SELECT EXISTS (
        SELECT FROM read.rebuilds WHERE group_name = $1 AND version = $2 AND state = 'failed'
            AND ended_at > clock_timestamp() - make_interval(secs => $3)
    )
"""
FORGET = "DELETE FROM read.rebuilds WHERE state NOT IN ('queued', 'running') AND asked_at < now() - make_interval(days => $1)"


class Compared(Struct, frozen=True):
    """How a rebuilt table compares with the one that was served; `differences` are sentences, without texts of rows."""

    table: str
    rows: int
    position: int
    is_equal: bool
    is_swapped: bool
    differences: list[str] = []


class RebuildRow(Struct, frozen=True):
    id: UUID
    group_name: str
    version: int
    is_shadow: bool
    asked_by: UserId | None
    is_by_hand: bool
    asked_at: datetime
    state: State
    run_by: str | None
    began_at: datetime | None
    heard_at: datetime | None
    ended_at: datetime | None
    began_position: int
    position: int
    total: int
    seconds: float
    doing: str
    outcome: str
    fault: str | None
    jobs: int
    silent_seconds: float

    @property
    def is_silent(self) -> bool:
        """Whether nobody has been heard of for so long that whoever ran it is taken for dead."""
        return self.state == "running" and self.silent_seconds > SILENT_SECONDS

    @property
    def tables(self) -> list[Compared]:
        return msgspec.json.decode(self.outcome, type=list[Compared])

    @property
    def events_per_second(self) -> float:
        """How fast it goes; 0 if nobody can say."""
        return (self.position - self.began_position) / self.seconds if self.seconds else 0.0

    @property
    def seconds_left(self) -> float | None:
        """How long until it has all events, at this pace; None if nobody can say."""
        if self.state != "running" or not self.events_per_second:
            return None
        return max(0, self.total - self.position) / self.events_per_second


async def ask(
    db: Db,
    rebuild_id: UUID,
    group: str,
    *,
    version: int,
    is_shadow: bool,
    by: UserId | None = None,
    by_hand: bool = False,
    jobs: int = 1,
) -> bool:
    """Queue a rebuild. Return False if one of this group and version is queued or runs. `by_hand`: no worker is to run it."""
    return await db.run(INSERT, rebuild_id, group, version, is_shadow, by, by_hand, jobs) == "INSERT 0 1"


async def failed_lately(db: Db, group: str, version: int) -> bool:
    """Return whether a rebuild to this version failed a short while ago."""
    return bool(await db.value(SELECT_FAILED, group, version, AGAIN_SECONDS))


async def of(db: Db, rebuild_id: UUID) -> RebuildRow | None:
    return await db.one(RebuildRow, SELECT, rebuild_id)


async def under_way(db: Db) -> list[RebuildRow]:
    """Return what is queued or runs, the oldest first."""
    return await db.all(RebuildRow, SELECT_UNDER_WAY)


async def change(db: Db, rebuild_id: UUID, *, is_shadow: bool) -> None:
    """Have a rebuild that was begun be what somebody asks for now."""
    await db.run(CHANGE, rebuild_id, is_shadow)


async def tell(
    db: Db,
    rebuild_id: UUID,
    *,
    run_by: str,
    began: int,
    position: int,
    total: int,
    seconds: float,
    doing: str,
    takes: bool = False,
) -> None:
    """Note how far it is, unless another run has taken it. `takes`: somebody begins to run it."""
    await db.run(TELL, rebuild_id, run_by, began, position, total, seconds, doing, takes)


async def end(
    db: Db,
    rebuild_id: UUID,
    state: State,
    tables: list[Compared],
    fault: str | None = None,
    *,
    run_by: str | None = None,
) -> None:
    """Note what came of it, unless another run than that of `run_by` has taken it."""
    await db.run(END, rebuild_id, state, msgspec.json.encode(tables).decode(), fault, run_by)


async def forget_old(db: Db) -> None:
    """Delete what ended long ago."""
    await db.run(FORGET, REBUILDS_KEPT_DAYS)
