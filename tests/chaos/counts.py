"""Counts: what the read tables say of threads, mentions, reactions and pins, held to what the record adds up to."""

from collections.abc import Mapping, Sequence
from typing import Any

import asyncpg

from domain.events import Recorded
from projections import LIVE
from tests.simulation import everyday

COUNTED = ("read.threads", "read.thread_followers", "read.pins", "read.mentions", "read.reaction_counts", "read.rooms")
SELECT_PLACE = "SELECT position FROM read.checkpoints WHERE name = 'live'"
SELECT_ROWS = "SELECT * FROM {table}"


async def read(database_url: str) -> tuple[int, everyday.Rows]:
    """Return the rows of the tables that count, and up to which position they are true."""
    db = await asyncpg.connect(database_url)
    try:
        async with db.transaction(isolation="repeatable_read", readonly=True):
            until = int(await db.fetchval(SELECT_PLACE))
            tables = [table for table in LIVE.tables if table.name in COUNTED]
            found = {table: await db.fetch(SELECT_ROWS.format(table=table.name)) for table in tables}
        return until, {table.name: dict(_keyed(table.key, map(dict, rows))) for table, rows in found.items()}
    finally:
        await db.close()


def miscounted(events: Sequence[Recorded[Any]], until: int, rows: everyday.Rows) -> list[str]:
    """Return what the tables say otherwise than the record up to there."""
    return everyday.judge([recorded for recorded in events if recorded.position <= until], rows)


def _keyed(key: Sequence[str], rows: Any) -> Any:
    for row in rows:
        values: Mapping[str, Any] = row
        yield tuple(values[name] for name in key), values
