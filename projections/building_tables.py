"""Building tables: what a rebuild makes beside the served tables, and how far it is.

`read.building_tables` is written in the transaction of each batch, so a rebuild that was killed is gone on with from its last
one. Two runs may believe that they are alone (one lost the connection that holds its lock), and both would fill the same
tables: a run therefore takes an epoch first, and whoever finds another one writes nothing.
"""

from datetime import datetime
from uuid import UUID

from msgspec import Struct

from domain.ids import RecordId
from domain.ports.database import Db
from projections.checkpoints import LeaseLostError

SELECT = """
    SELECT suffix, version, code, record, coalesce((
        SELECT min(p.position) FROM read.building_parts p WHERE p.group_name = b.group_name
    ), position) AS position, epoch, began_at FROM read.building_tables b WHERE group_name = $1
"""
INSERT = "INSERT INTO read.building_tables (group_name, suffix, version, code, record) VALUES ($1, $2, $3, $4, $5)"
TAKE = "UPDATE read.building_tables SET epoch = epoch + 1 WHERE group_name = $1 AND suffix = $2 RETURNING epoch"
MOVE = "UPDATE read.building_tables SET position = $4 WHERE group_name = $1 AND suffix = $2 AND epoch = $3 AND position < $4"
FORGET = """
    WITH parts AS (DELETE FROM read.building_parts WHERE group_name = $1)
    DELETE FROM read.building_tables WHERE group_name = $1
"""


class Building(Struct, frozen=True):
    """Tables that end in `suffix`, made by `code` of `version` from `record`, and true up to `position`: of parts, that of the
    part that is behind the others."""

    suffix: str
    version: int
    code: str
    record: UUID
    position: int
    epoch: int
    began_at: datetime


async def of(db: Db, group: str) -> Building | None:
    """Return what is being built of a group; None if nothing is."""
    return await db.one(Building, SELECT, group)


async def begin(db: Db, group: str, suffix: str, *, version: int, code: str, record: RecordId) -> None:
    """Note what is built from now on, in the transaction that makes the tables."""
    await db.run(INSERT, group, suffix, version, code, record)


async def take(db: Db, group: str, suffix: str) -> int:
    """Become the one who fills these tables; return the epoch. Raise `LeaseLostError` if they are not there any more."""
    epoch = await db.value(TAKE, group, suffix)
    if epoch is None:
        raise LeaseLostError
    return int(epoch)


async def move(db: Db, group: str, suffix: str, epoch: int, position: int) -> None:
    """Note how far the tables are, in the transaction that writes their rows, before these. Raise `LeaseLostError` if another
    run fills them."""
    if await db.run(MOVE, group, suffix, epoch, position) != "UPDATE 1":
        raise LeaseLostError


async def forget(db: Db, group: str) -> None:
    """Note that nothing is built of a group: its tables are served now, or about to be dropped."""
    await db.run(FORGET, group)
