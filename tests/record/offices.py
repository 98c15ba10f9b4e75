"""A record and a notary's desk on it, with its owner at hand, who is a superuser and does what superusers can."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import asyncpg

from adapters.notary.key import NotaryKey
from adapters.notary.memory import LastSigned
from adapters.postgres.database import Database
from adapters.postgres.event_entries import EventEntries
from adapters.postgres.tiles import TileStore
from domain import merkle
from domain.leaf import EventRow, entry_of
from domain.merkle import leaf_hash
from domain.tree_head import origin_of
from tests.deployments import as_login
from workers.notary import Notary

SELECT_ROWS = (
    "SELECT position, stream, version, topic, data, meta, room_id, recorded_at FROM record.events ORDER BY position"
)
# A record as it could be, written by its owner: this is about what is read.
INSERT_EVENTS = """
    INSERT INTO record.events (position, stream, version, topic, data, meta, room_id, recorded_at)
    SELECT h.position + i, gen_random_uuid(), 1, 'message.posted', convert_to('{"n":' || i || '}', 'UTF8'), '{}',
        CASE WHEN i % 3 = 0 THEN NULL ELSE gen_random_uuid() END, clock_timestamp()
    FROM generate_series(1, $1) i, record.head h
"""


@dataclass
class Office:
    """A record and a notary's desk on it; `owner` is a superuser."""

    owner: asyncpg.Connection
    db: Database
    events: EventEntries
    store: TileStore
    memory: LastSigned
    secret: bytes
    origin: str

    def notary(self) -> Notary:
        """Return a notary as it is after a start."""
        return Notary(self.events, self.store, NotaryKey(self.secret, self.origin), self.memory)

    async def record(self, events: int) -> None:
        await self.owner.execute(INSERT_EVENTS, events)

    async def tamper(self, *statements: str) -> None:
        """Do what a superuser can, past every trigger."""
        await self.owner.execute("SET session_replication_role = replica")
        for statement in statements:
            await self.owner.execute(statement)
        await self.owner.execute("RESET session_replication_role")

    async def root(self, size: int) -> bytes:
        rows = await self.owner.fetch(SELECT_ROWS)
        return merkle.root_of([leaf_hash(entry_of(EventRow(*row))) for row in rows[:size]])


@asynccontextmanager
async def office_on(database_url: str, folder: Path) -> AsyncIterator[Office]:
    owner, db = await asyncpg.connect(database_url), await Database.open(as_login(database_url, "notary"), size=3)
    events = EventEntries(db)
    origin = origin_of((await events.head()).record)
    yield Office(owner, db, events, TileStore(db), LastSigned(folder), os.urandom(32), origin)
    await db.close()
    await owner.close()
