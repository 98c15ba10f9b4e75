"""Tables of a group that nobody is served from: what a rebuild replaced and kept, and what one began and did not end."""

from contextlib import suppress

from adapters.postgres.database import Database
from domain.ports.record import RecordLockedError
from projections import building_tables, kept_tables, parked
from projections.tables import Group
from workers.table_swap import DROP_TABLE, alone, bare, drop_old

SELECT_LEFTOVERS = """
    SELECT c.oid::regclass::text FROM pg_catalog.pg_class c
    WHERE c.relnamespace = to_regnamespace('read') AND c.relkind = 'r'
        AND EXISTS (SELECT FROM unnest($1::text[]) t WHERE starts_with(c.relname, t || '__next'))
"""


async def drop_begun(db: Database, group: Group) -> int:
    """Drop what rebuilds of this group began, and forget what they parked; return how many tables went. What somebody reads
    just now (`pg_dump` locks all tables) is left to the next one."""
    await building_tables.forget(db, group.name)
    found = await db.all(str, SELECT_LEFTOVERS, [bare(table) for table in group.tables])
    gone = 0
    with suppress(RecordLockedError):
        for table in found:
            await db.run(DROP_TABLE.format(table=table))
            gone += 1
    await parked.forget(db, group.name, is_building=True)
    return gone


async def drop_unserved(db: Database, group: Group) -> str:
    """Drop what is kept of a group, and what was begun; return a sentence about it.

    Raise `RebuildRefusedError` while a rebuild or a rollback of the group runs.
    """
    async with alone(db, group):
        kept, begun = await kept_tables.of(db, group.name), await building_tables.of(db, group.name)
        await drop_old(db, group)
        await drop_begun(db, group)
    dropped = [
        *([f"the tables that were served up to position {kept.position:,}"] if kept else []),
        *([f"those of a rebuild that came to position {begun.position:,}"] if begun else []),
    ]
    if not dropped:
        return f"{group.name}: nothing was kept, and nothing was begun."
    return f"{group.name}: {' and '.join(dropped)} are gone; what is served stays."
