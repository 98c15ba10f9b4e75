"""Rebuilds in made-up time: the live group's tables folded anew beside those that are served, compared, and exchanged.

Locks and names are the business of the real database, where `tests/projections/test_rebuild.py` and `make chaos` hold
rebuilds to them. Here it is held that whatever happened, the same record makes the same rows.
"""

import asyncio
from random import Random

from adapters.memory.event_store import MemoryRecord
from projections import LIVE
from tests.simulation.tables import MemoryTables
from workers.folding import batch_of, fold

PAGES = (7, 50, 400)
PAUSES = (0.0, 0.001, 0.02, 0.3)


async def rebuild(record: MemoryRecord, tables: MemoryTables, chance: Random) -> list[str]:
    """Rebuild once; answers what differs from what is served, which it takes the place of."""
    handlers, made, position = LIVE.handlers(), MemoryTables(), 0

    async def goes_on(used_seconds: float) -> bool:
        return True

    while True:
        served = tables.checkpoints["live"]["position"]
        if position == served:
            differing = [name for name, rows in made.rows.items() if rows != tables.rows[name]]
            tables.rows = made.rows
            return [f"a rebuild up to {position} made another {name}" for name in differing]
        if position > served:  # Postgres crashed, and the tables are of before
            made, position = MemoryTables(), 0
        page = record.events[position:served][: chance.choice(PAGES)]
        await batch_of(await fold(page, handlers, between=goes_on)).write(made)
        position += len(page)
        if position < served:
            await asyncio.sleep(chance.choice(PAUSES))
