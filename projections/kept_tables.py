"""Kept tables: what a rebuild or a rollback replaced stays as `<table>__old`, and here stands what it was.

`read.kept_tables` has their version and the position up to which they are true, `read.kept_parked_events` what they go
without. Both are written with the tables, so that they can be brought up to the record and served again at any time.
"""

from collections.abc import Sequence

from msgspec import Struct

from domain.ports.database import Db
from projections.checkpoints import LeaseLostError
from projections.parked import Parked

SELECT = "SELECT version, position FROM read.kept_tables WHERE group_name = $1"
KEEP = """
    INSERT INTO read.kept_tables (group_name, version, position)
    SELECT name, version, position FROM read.checkpoints WHERE name = $1 ORDER BY position DESC LIMIT 1
    ON CONFLICT (group_name) DO UPDATE SET version = excluded.version, position = excluded.position, kept_at = clock_timestamp()
"""
KEEP_PARKED = """
    INSERT INTO read.kept_parked_events (group_name, position, topic, error, parked_at)
    SELECT group_name, position, topic, error, parked_at FROM read.parked_events WHERE group_name = $1 AND NOT is_building
"""
TAKE = "UPDATE read.kept_tables SET epoch = epoch + 1 WHERE group_name = $1 RETURNING epoch"
MOVE = "UPDATE read.kept_tables SET position = $3 WHERE group_name = $1 AND epoch = $2 AND position < $3"
PARK = """
    INSERT INTO read.kept_parked_events (group_name, position, topic, error)
    SELECT $1, * FROM unnest($2::bigint[], $3::text[], $4::text[])
"""
BUILD_PARKED = """
    INSERT INTO read.parked_events (group_name, is_building, position, topic, error, parked_at)
    SELECT group_name, true, position, topic, error, parked_at FROM read.kept_parked_events WHERE group_name = $1
"""
FORGET = "DELETE FROM read.kept_tables WHERE group_name = $1"
FORGET_PARKED = "DELETE FROM read.kept_parked_events WHERE group_name = $1"


class Kept(Struct, frozen=True):
    version: int
    position: int


async def of(db: Db, group: str) -> Kept | None:
    """Return what is kept of a group; None if nothing is, or nothing that could be served again."""
    return await db.one(Kept, SELECT, group)


async def keep(db: Db, group: str) -> None:
    """Note what is served and about to be replaced, in the transaction that does so and holds the group's checkpoint."""
    await db.run(KEEP, group)
    await db.run(FORGET_PARKED, group)
    await db.run(KEEP_PARKED, group)


async def take(db: Db, group: str) -> int:
    """Become the one who brings kept tables up to the record; return the epoch. Raise `LeaseLostError` if none are kept."""
    epoch = await db.value(TAKE, group)
    if epoch is None:
        raise LeaseLostError
    return int(epoch)


async def move(db: Db, group: str, epoch: int, parked: Sequence[Parked], position: int) -> None:
    """Note how far kept tables are brought, and what they go without, in the transaction that writes their rows, before these.
    Raise `LeaseLostError` if another rollback brings them there."""
    if await db.run(MOVE, group, epoch, position) != "UPDATE 1":
        raise LeaseLostError
    if parked:
        columns = ([e.position for e in parked], [e.topic for e in parked], [e.error for e in parked])
        await db.run(PARK, group, *columns)


async def serve_parked(db: Db, group: str) -> None:
    """Have what the kept tables go without be what is being built, so that the exchange serves it with them."""
    await db.run(BUILD_PARKED, group)


async def forget(db: Db, group: str) -> None:
    """Note that nothing is kept of a group, before its kept tables are dropped."""
    await db.run(FORGET, group)
    await db.run(FORGET_PARKED, group)
