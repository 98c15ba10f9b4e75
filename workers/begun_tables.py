"""What a rebuild before began: whether the next one can go on with it."""

from collections.abc import Callable

from domain.ports.database import Db
from domain.ports.record import Record
from projections import building_parts, building_tables
from projections.building_tables import Building
from projections.tables import Group
from workers.code_version import code_version

# Whether a table that was begun ($2) is there, with the columns of the served one ($1).
SELECT_IS_ALIKE = """
    SELECT to_regclass($2::text) IS NOT NULL AND array(
        SELECT format('%s %s', a.attname, format_type(a.atttypid, a.atttypmod)) FROM pg_catalog.pg_attribute a
        WHERE a.attrelid = to_regclass($1::text) AND a.attnum > 0 AND NOT a.attisdropped ORDER BY 1
    ) = array(
        SELECT format('%s %s', a.attname, format_type(a.atttypid, a.atttypmod)) FROM pg_catalog.pg_attribute a
        WHERE a.attrelid = to_regclass($2::text) AND a.attnum > 0 AND NOT a.attisdropped ORDER BY 1
    )
"""


async def begun(db: Db, record: Record, group: Group, say: Callable[[str], None]) -> Building | None:
    """Return what was begun of a group and can be gone on with; None if there is nothing. `say` is given a sentence either way,
    unless nothing was begun."""
    found = await building_tables.of(db, group.name)
    if found is None:
        return None
    what = f"the rebuild of {found.began_at:%Y-%m-%d %H:%M:%S} UTC, which came to {await _came_to(db, group, found)}"
    if reason := await unfit(db, record, group, found):
        say(f"{group.name}: beginning afresh. {what[0].upper()}{what[1:]}, {reason}.")
        return None
    say(f"{group.name}: going on with {what}.")
    return found


async def _came_to(db: Db, group: Group, found: Building) -> str:
    if parts := await building_parts.of(db, group.name):
        return f"positions {', '.join(f'{part.position:,}' for part in parts)} in its {len(parts)} parts"
    return f"position {found.position:,}"


async def unfit(db: Db, record: Record, group: Group, found: Building) -> str:
    """Return why tables that were begun cannot be gone on with; "" if they can."""
    if found.record != (await record.head()).record:
        return "was of another record"
    if found.version != group.version:
        return f"was of version {found.version}, and this release writes version {group.version}"
    if found.code != code_version():
        return f"was made by another code ({found.code}, this is {code_version()})"
    for table in group.tables:
        if not await db.value(SELECT_IS_ALIKE, table.name, table.name + found.suffix):
            return f"has no {table.name} of the columns that are served now"
    return ""
