"""A database that is being restored, or whose restore was broken off, serves nobody: a table in it says so, which is made before
anything else and dropped at the very end.

It is no migration's: it is there only meanwhile, and to see it takes no right.
"""

from domain.errors import SetupError
from domain.ports.database import Db

SELECT_IS_RESTORING = "SELECT to_regclass('public.hansard_restoring') IS NOT NULL"
BEGIN_RESTORING = """
    CREATE TABLE public.hansard_restoring (began_at timestamptz NOT NULL DEFAULT clock_timestamp())
"""
NOTE_BACKUP = (
    "COMMENT ON TABLE public.hansard_restoring IS 'A backup is loaded into this database; it is not whole yet.'"
)
SELECT_IS_OF_BACKUP = "SELECT obj_description(to_regclass('public.hansard_restoring'), 'pg_class') IS NOT NULL"
END_RESTORING = "DROP TABLE public.hansard_restoring"


class RecordNotRestoredError(SetupError):
    """The record is not whole, or not checked yet."""


async def refuse_while_restoring(db: Db) -> None:
    """Raise `RecordNotRestoredError` if the database is being restored, or if that was broken off."""
    if await db.value(SELECT_IS_RESTORING):
        raise RecordNotRestoredError(
            "This database is being restored, and serves when that is done. If no 'hansard restore' runs any more, it was broken "
            "off: drop the database, make it anew, and restore again (docs/backup.md)."
        )
