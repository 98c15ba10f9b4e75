"""Proofs, read from the notary's tiles and verified before they are handed out (RFC 9162, 2.1.3 and 2.1.4)."""

from collections.abc import Sequence
from typing import NamedTuple

from adapters.postgres.tiles import TileStore
from domain.merkle import (
    HASH_BYTES,
    Range,
    Subtree,
    consistency_ranges,
    extends,
    includes,
    inclusion_ranges,
    joined,
    leaf_hash,
    proof,
    subtrees_of,
)
from domain.tiles import WIDTH, Tile, hash_in, needed, tile_of, width_of


class TilesAlteredError(Exception):
    """The tiles that a proof is made of are missing, or do not fit together."""


class Inclusion(NamedTuple):
    """That an entry stands at an index of a tree."""

    entry: bytes
    hashes: list[bytes]


class TileProofs:
    """Proofs of one record's tree."""

    def __init__(self, store: TileStore) -> None:
        self._store = store

    async def inclusion(self, index: int, size: int) -> Inclusion:
        """Prove that an event stands in a tree. Raise `TilesAlteredError`."""
        ranges = inclusion_ranges(index, size)
        kept = await self._tiles([*ranges, Range(index, index + 1), Range(0, size)], size)
        at = index % WIDTH * HASH_BYTES
        found = Inclusion(kept[Tile(0, index // WIDTH)][at : at + HASH_BYTES], _made(ranges, kept))
        if not includes(leaf_hash(found.entry), index, size, found.hashes, _root(size, kept)):
            raise TilesAlteredError
        return found

    async def consistency(self, first: int, second: int) -> list[bytes]:
        """Prove that a tree extends another. Raise `TilesAlteredError`."""
        ranges = consistency_ranges(first, second)
        kept = await self._tiles([*ranges, Range(0, first), Range(0, second)], second)
        found = _made(ranges, kept)
        if not extends(first, _root(first, kept), second, _root(second, kept), found):
            raise TilesAlteredError
        return found

    async def _tiles(self, ranges: Sequence[Range], size: int) -> dict[Tile, bytes]:
        wanted = needed(ranges)
        kept = await self._store.tiles(wanted)
        if any(len(kept.get(tile, b"")) < width_of(tile, size) * HASH_BYTES for tile in wanted):
            raise TilesAlteredError
        return kept


def _made(ranges: Sequence[Range], kept: dict[Tile, bytes]) -> list[bytes]:
    def hash_of(tree: Subtree) -> bytes:
        return hash_in(kept[tile_of(tree)], tree)

    return proof(ranges, hash_of)


def _root(size: int, kept: dict[Tile, bytes]) -> bytes:
    return joined([hash_in(kept[tile_of(tree)], tree) for tree in subtrees_of(Range(0, size))])
