"""A worker of its own that disposes slowly, some days on, until somebody kills it: `python -m tests.retention.disposer URL DAYS`."""

import asyncio
import sys

from tests.deployments import ledger
from tests.retention.scenes import Clock
from workers.retaining import Retainer


async def main(database_url: str, days: float) -> None:
    clock = Clock()
    clock.days = days
    async with ledger(database_url, size=4, kind="worker") as (db, record, command_bus):
        await Retainer(record, command_bus, db, a_second=100, clock=clock).step()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], float(sys.argv[2])))
