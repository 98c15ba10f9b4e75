"""Holds: how whoever is about to refer to a blob keeps the sweeper off it, in any store and across processes.

A hold is a row. The sweeper turns a row that nobody holds into a condemned one, and only then asks for references and
deletes; a condemned blob cannot be held. So one of two things is true of every blob: its holder came first, and the
sweeper finds the hold, or later the reference; or the sweeper came first, and the holder puts the bytes anew.
"""

import asyncio
import time
from collections.abc import Collection, Sequence

from domain.ids import FileId, UserId
from domain.ports.blobs import BlobsUnavailableError
from domain.ports.database import Db

BLOB_HOLD_SECONDS = 3_600
BLOB_CONDEMNED_SECONDS = 150
BLOB_CONDEMNED_WAIT_SECONDS = 5.0

HOLD = """
    INSERT INTO files.holds AS h (blob, until)
    SELECT b, clock_timestamp() + make_interval(secs => $2) FROM unnest($1::text[]) b ORDER BY b
    ON CONFLICT (blob) DO UPDATE SET until = greatest(h.until, excluded.until) WHERE NOT h.condemned
    RETURNING h.blob
"""
CONDEMN = """
    INSERT INTO files.holds AS h (blob, until, condemned)
    SELECT b, clock_timestamp(), true FROM unnest($1::text[]) b ORDER BY b
    ON CONFLICT (blob) DO UPDATE SET until = clock_timestamp(), condemned = true
    WHERE h.until < clock_timestamp() - make_interval(secs => CASE WHEN h.condemned THEN $2 ELSE 0 END)
    RETURNING h.blob
"""
BURY = "DELETE FROM files.holds WHERE blob = ANY ($1::text[]) AND condemned"
FORGET = "DELETE FROM files.holds WHERE NOT condemned AND until < clock_timestamp() - interval '1 hour'"
RESERVE = "SELECT files.reserve($1, $2, $3, $4, $5)"
RELEASE = "DELETE FROM files.reservations WHERE file_id = $1"
PAUSE_SECONDS = 0.02


class BlobLeases:
    def __init__(self, db: Db) -> None:
        self._db = db

    async def hold(self, blobs: Collection[str], *, seconds: float = BLOB_HOLD_SECONDS) -> None:
        """Keep the sweeper off these blobs; events that refer to them must be recorded within that time.

        Wait for a blob that is being removed at this moment. Raise `BlobsUnavailableError` if that takes too long.
        """
        wanted = set(blobs)
        deadline = time.monotonic() + BLOB_CONDEMNED_WAIT_SECONDS
        while wanted:
            wanted -= set(await self._db.all(str, HOLD, sorted(wanted), seconds))
            if wanted and time.monotonic() > deadline:
                raise BlobsUnavailableError("These bytes are being swept out at this moment.")
            if wanted:
                await asyncio.sleep(PAUSE_SECONDS)

    async def condemn(self, blobs: Sequence[str]) -> list[str]:
        """Mark for removal those that nobody holds, and return them; nobody can hold them until they are buried."""
        return await self._db.all(str, CONDEMN, sorted(blobs), float(BLOB_CONDEMNED_SECONDS))

    async def bury(self, blobs: Sequence[str]) -> None:
        """Remove the mark: the blobs are deleted, or stay after all."""
        await self._db.run(BURY, list(blobs))

    async def forget(self) -> None:
        """Forget holds that have expired."""
        await self._db.run(FORGET)

    async def reserve(self, user_id: UserId, file_id: FileId, size_bytes: int, *, quota_bytes: int) -> bool:
        """Take room for a file out of its uploader's quota; False if there is not enough."""
        return bool(await self._db.value(RESERVE, user_id, file_id, size_bytes, quota_bytes, float(BLOB_HOLD_SECONDS)))

    async def release(self, file_id: FileId) -> None:
        """Give the room back: the upload came to nothing."""
        await self._db.run(RELEASE, file_id)
