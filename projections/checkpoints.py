"""Checkpoints: how far each group of read tables is, and who may write it.

An owner holds a lease and an epoch. It commits a batch only together with moving its own epoch's checkpoint: whoever
was taken for dead and wakes up again finds another epoch, and its batch is rolled back.

Nor does an owner trust its memory of the position. Commits here do not wait for the disk, so a crash of Postgres may take
the last ones back; and a commit whose answer was lost may have happened. Whoever moves a checkpoint names the position from which.
"""

import asyncio
from collections.abc import Sequence

from msgspec import Struct

from domain.ports.database import Db

LEASE_SECONDS_MAX = 60.0  # where one event takes its handlers longer than a lease
STANDS_STILL_SECONDS = 15.0
CATCH_UP_SECONDS = 10.0
PAUSE_SECONDS = 0.05

# Frequent statements name the version of the row that they want: the last, or the one at a position. Others may be kept
# by a long snapshot, and a statement with the name alone walks through all of them (`migrations/0081_checkpoint_moves.sql`).
SELECT_POSITION = "SELECT position FROM read.checkpoints WHERE name = $1 ORDER BY position DESC LIMIT 1"
SELECT_VERSION = "SELECT version FROM read.checkpoints WHERE name = $1 ORDER BY position DESC LIMIT 1"
SELECT_ALL = "SELECT DISTINCT ON (name) name, version, position FROM read.checkpoints ORDER BY name, position DESC"
# How far groups are behind the head, and for how long the next event has waited while nothing moved. A group that moves, or
# that has everything, is idle for no time.
SELECT_LAGS = """
    SELECT asked.name, h.position - coalesce(c.position, 0) AS events,
        coalesce(extract(epoch FROM clock_timestamp()
            - greatest(CASE WHEN c.moved_at <= clock_timestamp() THEN c.moved_at END, e.recorded_at)), 0)::float8 AS idle_seconds
    FROM unnest($1::text[]) WITH ORDINALITY asked (name, i) CROSS JOIN record.head h
    LEFT JOIN LATERAL (
        SELECT position, moved_at FROM read.checkpoints WHERE name = asked.name ORDER BY position DESC LIMIT 1
    ) c ON true
    LEFT JOIN record.events e ON e.position = coalesce(c.position, 0) + 1 AND e.position <= h.position
    ORDER BY asked.i
"""
ENSURE = """
    INSERT INTO read.checkpoints (name, version)
    SELECT $1, $2 WHERE NOT EXISTS (SELECT FROM read.checkpoints WHERE name = $1 ORDER BY position DESC LIMIT 1)
    ON CONFLICT (name, position) DO NOTHING
"""
# Nobody takes a lease for longer than $4: one that ends later was taken while the clock had leapt ahead, and ends nothing. Nor
# does code take tables of a later version than its own ($5).
TAKE = """
    UPDATE read.checkpoints SET epoch = epoch + 1, owner = $2, leased_to = clock_timestamp() + make_interval(secs => $3)
    WHERE name = $1 AND version <= $5 AND leased_to NOT BETWEEN clock_timestamp() AND clock_timestamp() + make_interval(secs => $4)
        AND position = (SELECT c.position FROM read.checkpoints c WHERE c.name = $1 ORDER BY c.position DESC LIMIT 1)
    RETURNING epoch, position, version
"""
SELECT_HELD = """
    SELECT epoch, position, version FROM read.checkpoints WHERE name = $1 AND epoch = $2 ORDER BY position DESC LIMIT 1
"""
RENEW = """
    UPDATE read.checkpoints SET leased_to = clock_timestamp() + make_interval(secs => $4)
    WHERE name = $1 AND epoch = $2 AND position = $3
"""
MOVE = """
    UPDATE read.checkpoints
    SET position = $4, leased_to = clock_timestamp() + make_interval(secs => $5), moved_at = clock_timestamp()
    WHERE name = $1 AND epoch = $2 AND position = $3
"""
LET_GO = "UPDATE read.checkpoints SET leased_to = '-infinity' WHERE name = $1 AND epoch = $2"


class Lease(Struct, frozen=True):
    epoch: int
    position: int
    version: int


class Checkpoint(Struct, frozen=True):
    name: str
    version: int
    position: int


class Lag(Struct, frozen=True):
    """How far a group is behind the record, and for how long it has not moved although there is something to do."""

    name: str
    events: int
    idle_seconds: float

    @property
    def stands_still(self) -> bool:
        return self.events > 0 and self.idle_seconds > STANDS_STILL_SECONDS


class LeaseLostError(Exception):
    """The group is not where this owner left it, or not its own any more; what was to be written was not."""


async def position(db: Db, name: str) -> int:
    """Return how far a group is; 0 for one that nobody follows yet."""
    return await db.value(SELECT_POSITION, name) or 0


async def have_reached(db: Db, names: Sequence[str], until: int, *, seconds: float = CATCH_UP_SECONDS) -> bool:
    """Wait a little for these groups to take what was recorded up to a position. Return whether they have."""
    for _ in range(int(seconds / PAUSE_SECONDS)):
        if min([await position(db, name) for name in names]) >= until:
            return True
        await asyncio.sleep(PAUSE_SECONDS)
    return False


async def version(db: Db, name: str) -> int | None:
    """Return which version of a group is served; None for one that nobody follows yet."""
    found: int | None = await db.value(SELECT_VERSION, name)
    return found


async def every(db: Db) -> list[Checkpoint]:
    return await db.all(Checkpoint, SELECT_ALL)


async def lags(db: Db, names: Sequence[str]) -> list[Lag]:
    """Return how far these groups are behind, in this order; one that nobody follows yet is at 0."""
    return await db.all(Lag, SELECT_LAGS, list(names))


async def take(db: Db, name: str, version: int, owner: str, seconds: float) -> Lease | None:
    """Become the owner of a group; None while somebody else holds its lease, or if its tables are of a later version."""
    await db.run(ENSURE, name, version)
    return await db.one(Lease, TAKE, name, owner, seconds, LEASE_SECONDS_MAX, version)


async def held(db: Db, name: str, epoch: int) -> Lease | None:
    """Return the position of a group for the owner of this epoch; None if it is somebody else's by now."""
    return await db.one(Lease, SELECT_HELD, name, epoch)


async def renew(db: Db, name: str, lease: Lease, seconds: float) -> None:
    """Stay its owner. Raise `LeaseLostError` if it has another one."""
    if await db.run(RENEW, name, lease.epoch, lease.position, seconds) != "UPDATE 1":
        raise LeaseLostError


async def move(db: Db, name: str, lease: Lease, position: int, seconds: float) -> None:
    """Move the checkpoint from the lease's position, in the transaction that writes the rows up to it.

    Raise `LeaseLostError` if it is not there, or not this owner's.
    """
    if await db.run(MOVE, name, lease.epoch, lease.position, position, seconds) != "UPDATE 1":
        raise LeaseLostError


async def let_go(db: Db, name: str, epoch: int) -> None:
    """Give the lease back at once, so that a standby need not wait for its end."""
    await db.run(LET_GO, name, epoch)
