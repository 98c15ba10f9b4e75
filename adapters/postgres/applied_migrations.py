"""Which migrations a database has."""

from domain.ports.database import Db

SELECT_APPLIED = "SELECT number FROM public.hansard_migrations"


async def applied(db: Db) -> frozenset[int]:
    return frozenset(await db.all(int, SELECT_APPLIED))
