"""The janitor: sweeps out what is kept for a while only. Its rounds are cheap, repeatable and never urgent."""

import asyncio

import structlog

from adapters.record import PostgresRecord
from domain.limits import RECEIPT_HOURS
from domain.ports import RecordUnavailable

log = structlog.get_logger()

ROUND_SECONDS = 600.0
PAUSE_SECONDS = 0.1


class Janitor:
    """Forgets the receipts of Idempotency-Keys after their day."""

    def __init__(self, record: PostgresRecord) -> None:
        self._record = record

    async def step(self) -> int:
        """Make one round; answers how many receipts were forgotten."""
        forgotten = 0
        while batch := await self._record.forget_receipts(older_than_hours=RECEIPT_HOURS):
            forgotten += batch
            await asyncio.sleep(PAUSE_SECONDS)  # a backlog of a long time is swept without haste
        return forgotten

    async def run(self) -> None:
        while True:
            try:
                if forgotten := await self.step():
                    log.info("receipts forgotten", count=forgotten)
            except RecordUnavailable as error:
                log.warning("the janitor waits for Postgres", reason=str(error))
            await asyncio.sleep(ROUND_SECONDS)
