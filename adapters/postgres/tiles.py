"""The notary's tables: tiles of the tree, the checkpoints that were signed, and the keys that sign them."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

from domain.ports.database import Db
from domain.tiles import Tile

SELECT_TILES = """
    SELECT t.level, t.number, t.hashes FROM unnest($1::smallint[], $2::bigint[]) asked (level, number)
    JOIN notary.tiles t ON t.level = asked.level AND t.number = asked.number
"""
UPSERT_TILES = """
    INSERT INTO notary.tiles (level, number, hashes)
    SELECT * FROM unnest($1::smallint[], $2::bigint[], $3::bytea[])
    ON CONFLICT (level, number) DO UPDATE SET hashes = excluded.hashes
"""
SELECT_NEWEST = """
    SELECT origin, size, note, signed_at FROM notary.checkpoints WHERE origin = $1 ORDER BY size DESC LIMIT 1
"""
SELECT_CHECKPOINTS = """
    SELECT origin, size, note, signed_at FROM notary.checkpoints WHERE origin = $1 AND size > $2 ORDER BY size LIMIT $3
"""
INSERT_CHECKPOINT = "INSERT INTO notary.checkpoints (origin, size, note) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING"
SELECT_NEWEST_WITNESSED = """
    SELECT origin, size, note, witnesses, witnessed_at FROM notary.witnessed WHERE origin = $1 ORDER BY size DESC LIMIT 1
"""
UPSERT_WITNESSED = """
    INSERT INTO notary.witnessed (origin, size, note, witnesses) VALUES ($1, $2, $3, $4)
    ON CONFLICT (origin, size) DO UPDATE
        SET note = excluded.note, witnesses = excluded.witnesses, witnessed_at = excluded.witnessed_at
        WHERE cardinality(excluded.witnesses) >= cardinality(witnessed.witnesses)
"""
# What is recorded and not signed, and for how long the first of it has been waiting.
SELECT_UNSIGNED = """
    SELECT c.size AS signed, h.position - c.size AS events,
        coalesce(extract(epoch FROM clock_timestamp() - e.recorded_at), 0)::float8 AS seconds
    FROM record.head h
    CROSS JOIN (SELECT coalesce(max(size), 0) AS size FROM notary.checkpoints WHERE origin = $1) c
    LEFT JOIN record.events e ON e.position = c.size + 1
"""
SELECT_ANY_SIGNED = "SELECT EXISTS (SELECT FROM notary.checkpoints WHERE origin = $1)"
SELECT_KEYS = "SELECT vkey, origin, made_at FROM notary.keys WHERE origin = $1 ORDER BY made_at, vkey"
INSERT_KEY = "INSERT INTO notary.keys (vkey, origin) VALUES ($1, $2) ON CONFLICT DO NOTHING"


class SignedCheckpoint(NamedTuple):
    """A checkpoint as it was signed; what is beside the note is what the row says of it."""

    origin: str
    size: int
    note: str
    signed_at: datetime


class WitnessedCheckpoint(NamedTuple):
    """A checkpoint with the cosignatures of its witnesses, and the names of all who have it."""

    origin: str
    size: int
    note: str
    witnesses: list[str]
    witnessed_at: datetime


class Unsigned(NamedTuple):
    """Up to where the record is signed, how many events are not, and for how many seconds the first of them is recorded."""

    signed: int
    events: int
    seconds: float


class StoredTile(NamedTuple):
    level: int
    number: int
    hashes: bytes


class StoredKey(NamedTuple):
    """A public key, of which record, and since when."""

    vkey: str
    origin: str
    made_at: datetime


class TileStore:
    """Tiles and checkpoints in Postgres."""

    def __init__(self, db: Db) -> None:
        self._db = db

    async def tiles(self, asked: Collection[Tile]) -> dict[Tile, bytes]:
        """Return those of these tiles that there are, as they are now."""
        if not asked:
            return {}
        levels, numbers = zip(*asked, strict=True)
        rows = await self._db.all(StoredTile, SELECT_TILES, levels, numbers)
        return {Tile(row.level, row.number): row.hashes for row in rows}

    async def newest(self, origin: str) -> SignedCheckpoint | None:
        """Return the checkpoint of the largest tree."""
        return await self._db.one(SignedCheckpoint, SELECT_NEWEST, origin)

    async def unsigned(self, origin: str) -> Unsigned:
        """Return what the notary has not signed."""
        found = await self._db.one(Unsigned, SELECT_UNSIGNED, origin)
        assert found is not None, "it is one row"
        return found

    async def witnessed(self, origin: str) -> WitnessedCheckpoint | None:
        """Return the checkpoint of the largest tree that enough witnesses have."""
        return await self._db.one(WitnessedCheckpoint, SELECT_NEWEST_WITNESSED, origin)

    async def save_witnessed(self, origin: str, size: int, note: str, witnesses: Sequence[str]) -> None:
        """Keep a checkpoint that enough witnesses have; more of them replace fewer."""
        await self._db.run(UPSERT_WITNESSED, origin, size, note, list(witnesses))

    async def checkpoints(self, origin: str, *, after: int, limit: int) -> list[SignedCheckpoint]:
        """Return checkpoints of larger trees than this, the smallest first."""
        return await self._db.all(SignedCheckpoint, SELECT_CHECKPOINTS, origin, after, limit)

    async def has_signed(self, origin: str) -> bool:
        """Return whether anything was ever signed of this record."""
        return bool(await self._db.value(SELECT_ANY_SIGNED, origin))

    async def write_tiles(self, changed: Mapping[Tile, bytes]) -> None:
        """Write tiles, without waiting for the disk: they are made again from the events."""
        async with self._db.transaction(durable=False) as db:
            await _write(db, changed)

    async def save(self, changed: Mapping[Tile, bytes], origin: str, size: int, note: str) -> None:
        """Write tiles and the checkpoint that was signed of them together."""
        async with self._db.transaction(durable=False) as db:
            await _write(db, changed)
            await db.run(INSERT_CHECKPOINT, origin, size, note)

    async def keys(self, origin: str) -> list[StoredKey]:
        """Return the keys of a record, the oldest first."""
        return await self._db.all(StoredKey, SELECT_KEYS, origin)

    async def tell_key(self, vkey: str, origin: str) -> None:
        """Have a key be told to who asks."""
        await self._db.run(INSERT_KEY, vkey, origin)


async def _write(db: Db, changed: Mapping[Tile, bytes]) -> None:
    if changed:
        levels, numbers = zip(*changed, strict=True)
        await db.run(UPSERT_TILES, levels, numbers, list(changed.values()))
