"""The sweeper: removes blobs that nothing refers to, and only those.

Orphans are left by crashes, and when a re-encoded original takes the place of an uploaded picture. A page of the
store's blobs is condemned (`adapters/postgres/blob_leases.py`) before the read tables are asked, and they are asked
only after they have passed the head that the record had by then. So every reference whose holder came first is seen.
"""

import asyncio
import time
from collections.abc import Callable, Collection, Sequence
from datetime import datetime, timedelta

import structlog

from adapters.postgres.blob_leases import BLOB_CONDEMNED_SECONDS, BlobLeases
from domain.file_name import storage_path
from domain.ports.blobs import Blobs, BlobsUnavailableError
from domain.ports.database import Db
from domain.ports.record import Record, RecordUnavailableError
from projections import LIVE, checkpoints

SWEEP_BLOBS_AT_ONCE = 20
SWEEP_ROUND_SECONDS = 600.0
SWEEP_AGE_SECONDS = 600.0
SWEEP_CATCH_UP_SECONDS = 5.0
UNFINISHED_SECONDS = 24 * 3600

log = structlog.get_logger()

SELECT_REFERENCED = """
    SELECT storage_path FROM read.files WHERE storage_path = ANY ($1::text[])
    UNION SELECT storage_path FROM read.file_variants WHERE storage_path = ANY ($1::text[])
    UNION SELECT storage_path FROM read.exports
    WHERE storage_path = ANY ($1::text[]) AND state IN ('awaiting_approval', 'queued', 'running', 'completed')
    UNION SELECT p.storage_path FROM read.export_parts p JOIN read.exports e ON e.id = p.export_id
    WHERE p.storage_path = ANY ($1::text[]) AND e.state IN ('awaiting_approval', 'queued', 'running')
"""


class Sweeper:
    def __init__(
        self, blobs: Blobs, holds: BlobLeases, record: Record, db: Db, *, now: Callable[[], datetime],
        age_seconds: float = SWEEP_AGE_SECONDS,
    ) -> None:  # fmt: skip
        """`age_seconds`: younger blobs are not looked at."""
        self._blobs = blobs
        self._holds = holds
        self._record = record
        self._db = db
        self._now = now
        self._age = timedelta(seconds=age_seconds)

    async def step(self) -> int:
        """Make one round; return how many blobs were removed."""
        removed = 0
        before = self._now() - self._age
        async for page in self._blobs.every():
            old = [stored.blob for stored in page if stored.stored_at <= before]
            unused = await self._unreferenced(old) if old else []
            for i in range(0, len(unused), SWEEP_BLOBS_AT_ONCE):
                removed += len(await self._remove(unused[i : i + SWEEP_BLOBS_AT_ONCE]))
        await self._blobs.clear(self._now() - timedelta(seconds=UNFINISHED_SECONDS))
        await self._holds.forget()
        return removed

    async def sweep(self, blobs: Collection[str]) -> set[str]:
        """Remove those of these blobs that nothing refers to, however young they are; return those that somebody still holds."""
        unused, removed = await self._unreferenced(sorted(blobs)), set[str]()
        for i in range(0, len(unused), SWEEP_BLOBS_AT_ONCE):
            removed |= await self._remove(unused[i : i + SWEEP_BLOBS_AT_ONCE])
        return set(unused) - removed

    async def run(self) -> None:
        while True:
            try:
                if removed := await self.step():
                    log.info("orphaned blobs removed", count=removed)
            except (BlobsUnavailableError, RecordUnavailableError) as error:
                log.warning("the sweeper waits", reason=str(error))
            await asyncio.sleep(SWEEP_ROUND_SECONDS)

    async def _remove(self, blobs: Sequence[str]) -> set[str]:
        condemned = await self._holds.condemn(blobs)
        # Another sweeper may take this one for dead after BLOB_CONDEMNED_SECONDS: nothing is removed near that.
        deadline = time.monotonic() + BLOB_CONDEMNED_SECONDS / 2
        removed = set[str]()
        try:
            head = (await self._record.head()).position
            if await checkpoints.have_reached(self._db, (LIVE.name,), head, seconds=SWEEP_CATCH_UP_SECONDS):
                for blob in await self._unreferenced(condemned):
                    if time.monotonic() > deadline:
                        break
                    await self._blobs.delete(blob)
                    removed.add(blob)
        finally:
            await self._holds.bury(condemned)
        return removed

    async def _unreferenced(self, blobs: Sequence[str]) -> list[str]:
        paths = {storage_path(blob): blob for blob in blobs}
        referenced = set(await self._db.all(str, SELECT_REFERENCED, list(paths)))
        return [blob for path, blob in paths.items() if path not in referenced]
