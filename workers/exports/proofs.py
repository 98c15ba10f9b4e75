"""Proofs of many events at once: that each stands in the record that was signed (RFC 9162 2.1.3), from the notary's tiles."""

import asyncio
from base64 import b64encode
from collections.abc import Sequence

import msgspec
from msgspec.structs import astuple

from adapters.postgres.codec import StoredRow
from adapters.postgres.tiles import SignedCheckpoint, TileStore
from domain.leaf import EventRow, entry_of
from domain.merkle import HASH_BYTES, Range, Subtree, includes, inclusion_ranges, joined, leaf_hash, subtrees_of
from domain.tiles import Tile, hash_in, tile_of, width_of
from domain.tree_head import read_note, read_tree_head

TILES_AT_ONCE = 200
HASHES_KEPT_MAX = 100_000


class ProofUnavailableError(Exception):
    """The tiles do not prove what stands in the record: one of them was altered."""


class Proofs:
    """Proofs against one signed tree."""

    def __init__(self, store: TileStore, checkpoint: SignedCheckpoint) -> None:
        self._store = store
        self.checkpoint = checkpoint
        self._head = read_tree_head(read_note(checkpoint.note)[0])
        self._hashes: dict[Subtree, bytes] = {}

    async def lines(self, rows: Sequence[StoredRow]) -> list[bytes]:
        """Return, for each row, a line of JSON: the row as it is stored, and the hashes that lead from it to the root.

        Raise `ProofUnavailableError` where they do not.
        """
        ranges = [inclusion_ranges(row.position - 1, self._head.size) for row in rows]
        await self._gather({tree for of_row in ranges for run in of_row for tree in subtrees_of(run)})
        return await asyncio.to_thread(self._lines, rows, ranges)

    def _lines(self, rows: Sequence[StoredRow], ranges: Sequence[tuple[Range, ...]]) -> list[bytes]:
        return [self._line(row, of_row) for row, of_row in zip(rows, ranges, strict=True)]

    def _line(self, row: StoredRow, ranges: Sequence[Range]) -> bytes:
        hashes = [joined([self._hashes[tree] for tree in subtrees_of(run)]) for run in ranges]
        entry = entry_of(EventRow(*astuple(row)))
        if not includes(leaf_hash(entry), row.position - 1, self._head.size, hashes, self._head.root):
            raise ProofUnavailableError(f"The event at position {row.position} is not in the tree that was signed.")
        return msgspec.json.encode(
            {
                "position": row.position, "stream": row.stream, "version": row.version, "topic": row.topic,
                "data": b64encode(row.data).decode(), "meta": b64encode(row.meta).decode(), "room_id": row.room_id,
                "recorded_at": row.recorded_at, "hashes": [b64encode(each).decode() for each in hashes],
            }
        )  # fmt: skip

    async def _gather(self, wanted: set[Subtree]) -> None:
        if len(self._hashes) > HASHES_KEPT_MAX:
            self._hashes.clear()
        missing = sorted(wanted - set(self._hashes))
        tiles = sorted({tile_of(tree) for tree in missing})
        by_tile: dict[Tile, list[Subtree]] = {}
        for tree in missing:
            by_tile.setdefault(tile_of(tree), []).append(tree)
        for at in range(0, len(tiles), TILES_AT_ONCE):
            some = tiles[at : at + TILES_AT_ONCE]
            kept = await self._store.tiles(some)
            for tile in some:
                held = kept.get(tile, b"")
                if len(held) < width_of(tile, self._head.size) * HASH_BYTES:
                    raise ProofUnavailableError(f"Tile {tile.number} of level {tile.level} is missing.")
                self._hashes |= {tree: hash_in(held, tree) for tree in by_tile[tile]}
