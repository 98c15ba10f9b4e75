"""Indexes of tables that were filled without: those that the served tables have."""

from functools import partial

from domain.ports.database import Db
from projections.tables import Group
from workers.side_by_side import side_by_side
from workers.table_swap import SELECT_INDEXES, VACUUM, Index


async def make_indexes(db: Db, group: Group, suffix: str, *, at_once: int) -> None:
    """Make the served tables' other indexes on those with a suffix, unless a run before did, then VACUUM these, so that index-only
    scans work at once. So many statements run at a time."""
    tables = [(table.name, table.name + suffix) for table in group.tables]
    missing = [statement for table, made in tables for statement in await _missing(db, table, made, suffix)]
    await side_by_side([partial(db.run, statement) for statement in missing], at_once)
    await side_by_side([partial(db.run, VACUUM.format(table=made)) for _, made in tables], at_once)


async def _missing(db: Db, table: str, made: str, suffix: str) -> list[str]:
    """Return what makes the indexes that a table has and its successor has not."""
    there = {index.name for index in await db.all(Index, SELECT_INDEXES, made)}
    return [
        index.definition.replace(f"INDEX {index.name} ON {table} ", f"INDEX {index.name}{suffix} ON {made} ")
        for index in await db.all(Index, SELECT_INDEXES, table)
        if not index.is_primary and index.name + suffix not in there
    ]
