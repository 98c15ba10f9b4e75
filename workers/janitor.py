"""The janitor: deletes what is kept for a while only, and once, at its start, claims names of accounts from long ago.

Its rounds are cheap, repeatable and never urgent.
"""

import asyncio
from contextlib import suppress
from uuid import UUID

import structlog

from adapters.postgres.event_store import PostgresRecord
from commands.account import ClaimName
from commands.command_bus import CommandBus
from domain.errors import DomainError
from domain.events import Caller
from domain.ids import UserId
from domain.lookalikes import skeletons
from domain.ports.database import Db
from domain.ports.record import RecordUnavailableError
from projections import rebuilds, users

RECEIPT_HOURS = 24

log = structlog.get_logger()

ROUND_SECONDS = 600.0
PAUSE_SECONDS = 0.1
NAMES_AT_ONCE = 500


class Janitor:
    """Deletes receipts of Idempotency-Keys after a day."""

    def __init__(self, record: PostgresRecord, command_bus: CommandBus, db: Db) -> None:
        self._record = record
        self._command_bus = command_bus
        self._db = db

    async def claim_names(self) -> int:
        """Have accounts of before look-alikes were refused claim what looks like their names; return how many did.

        Of those who look alike already, the one whose account is older has it; nobody has to change their name.
        """
        after, claimed = UserId(UUID(int=0)), 0
        while page := await users.names(self._db, after=after, limit=NAMES_AT_ONCE):
            wanted = {user_id: skeletons(name) for user_id, name in page if name}
            free = await self._record.unclaimed("username_skeleton", sorted(frozenset().union(*wanted.values())))
            for user_id, forms in wanted.items():
                if not free.isdisjoint(forms):
                    with suppress(DomainError):  # of another account meanwhile, or in part
                        await self._command_bus.do(ClaimName(user_id), Caller())
                        claimed += 1
            after = page[-1][0]
        return claimed

    async def step(self) -> int:
        """Make one round; return how many receipts were forgotten."""
        forgotten = 0
        while batch := await self._record.forget_receipts(older_than_hours=RECEIPT_HOURS):
            forgotten += batch
            await asyncio.sleep(PAUSE_SECONDS)  # a backlog of a long time is swept without haste
        await rebuilds.forget_old(self._db)
        return forgotten

    async def run(self) -> None:
        are_names_claimed = False
        while True:
            try:
                if not are_names_claimed and (claimed := await self.claim_names()):
                    log.info("names of earlier accounts claimed", count=claimed)
                are_names_claimed = True
                if forgotten := await self.step():
                    log.info("receipts forgotten", count=forgotten)
            except RecordUnavailableError as error:
                log.warning("the janitor waits for Postgres", reason=str(error))
            await asyncio.sleep(ROUND_SECONDS)
