"""What a message costs in the write-ahead log and on the disk, in bytes, everything that follows from it included: the event,
its row, its HTML, the auditor's index.

The log is measured between two positions of it, with the followers at the end of the record at both. The first touch of a
page after a checkpoint writes the whole page; so the same message is measured on an empty record, on a large one right
after a checkpoint, and once most pages were touched.
"""

import asyncio
from collections.abc import Awaitable, Callable

from msgspec import Struct

from adapters.postgres.database import Database
from bench.deployment import Deployment
from bench.sockets import Measured, Sender, people, room_of

AT_CHECKPOINT = 2_000
WARM = 24_000
STEADY = 4_000
ROOMS = 20
WINDOW = 8
SHOWN_BYTES = 10  # a message: smaller tables are shown as one
SELECT_LOG = "SELECT pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')::bigint"
SELECT_HEAD = "SELECT position FROM record.head"
CHECKPOINT = "CHECKPOINT"
SELECT_SIZES = """
    SELECT n.nspname || '.' || c.relname AS name, pg_relation_size(c.oid) + CASE WHEN c.reltoastrelid = 0 THEN 0
        ELSE pg_total_relation_size(c.reltoastrelid) END AS bytes
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname IN ('record', 'read', 'vault', 'files') AND c.relkind IN ('r', 'i')
    ORDER BY bytes DESC, 1
"""


class Size(Struct, frozen=True):
    """A table or index, with what of it stands aside."""

    name: str
    bytes: int


class Posting:
    """Somebody who posts over sockets into rooms of their own, so many messages at a time."""

    def __init__(self, deployment: Deployment, url: str, caught_up: Callable[[int], Awaitable[object]]) -> None:
        """`url` is the owner's; `caught_up` waits for all followers to be at a position."""
        self._deployment = deployment
        self._url = url
        self._caught_up = caught_up
        self._sending: list[Sender] = []

    async def begin(self) -> None:
        (who,) = await people(self._deployment.base, 1)
        rooms = [await room_of(who, [], f"Size {i}") for i in range(ROOMS)]
        self._sending = [Sender(self._deployment, who, room, window=WINDOW) for room in rooms]
        for sender in self._sending:
            await sender.open()

    async def post(self, messages: int) -> None:
        until = self._sent() + messages
        for sender in self._sending:
            sender.start()
        while self._sent() < until:
            await asyncio.sleep(0.01)
        for sender in self._sending:
            sender.stop()

    async def row(self, name: str, messages: int, *, checkpoint: bool = False) -> Measured:
        """Post, and return what the log grew by for each message."""
        db = await Database.open(self._url, size=1, statement_seconds=300)
        try:
            await self._followed(db)
            if checkpoint:
                await db.run(CHECKPOINT)
            log, head = await db.value(SELECT_LOG), await db.value(SELECT_HEAD)
            await self.post(messages)
            await self._followed(db)
            grown = await db.value(SELECT_LOG) - log
            return Measured(f"M log a message, {name}", f"{grown / (await db.value(SELECT_HEAD) - head):,.0f} bytes")
        finally:
            await db.close()

    def close(self) -> None:
        for sender in self._sending:
            sender.socket.close()

    async def _followed(self, db: Database) -> None:
        """Wait until what was sent is recorded, and followed."""
        head = -1
        while head != (head := await db.value(SELECT_HEAD)):
            await self._caught_up(head)
            await asyncio.sleep(1)

    def _sent(self) -> int:
        return sum(sender.acknowledged for sender in self._sending)


async def disk(url: str) -> list[Measured]:
    """Return what tables and indexes take on the disk, a recorded event."""
    sizes = await _sizes(url)
    shown = [(name, size) for name, size in sizes if size >= SHOWN_BYTES]
    rest = sum(size for _, size in sizes) - sum(size for _, size in shown)
    total = ("all tables and indexes", sum(size for _, size in sizes))
    return [
        Measured(f"M disk an event, {name}", f"{size:,.0f} bytes") for name, size in (total, *shown, ("others", rest))
    ]


async def bytes_an_event(url: str) -> float:
    """Return what all of it takes, a recorded event."""
    return sum(size for _, size in await _sizes(url))


async def _sizes(url: str) -> list[tuple[str, float]]:
    """Return each table and index with its bytes a recorded event, largest first."""
    db = await Database.open(url, size=1, statement_seconds=300)
    try:
        events = await db.value(SELECT_HEAD)
        return [(one.name, one.bytes / events) for one in await db.all(Size, SELECT_SIZES)]
    finally:
        await db.close()
