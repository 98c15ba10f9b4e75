"""Tiles: the tree cut into pieces of 256 hashes, as C2SP tlog-tiles has them, and the tree that grows at its right edge.

A tile above level 0 holds the roots of full tiles of the level below. At level 0 stand the entries, of which C2SP's tile holds
the leaf hashes (`leaf_tile`): so both are kept in one place. A complete subtree lies in one tile, so whoever wants a proof
reads some tiles and hashes a little.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple, Self

from domain.merkle import HASH_BYTES, Range, Subtree, complete_root, joined, leaf_hash, subtrees_of

HEIGHT = 8
WIDTH = 1 << HEIGHT
LEVEL_MAX = 63
TILE_BYTES = WIDTH * HASH_BYTES

_PATH = re.compile(r"((?:x\d{3}/)*)(\d{3})(?:\.p/([1-9]\d{0,2}))?")


class Tile(NamedTuple):
    """Which tile: its level, and its number from the left."""

    level: int
    number: int


def tile_of(subtree: Subtree) -> Tile:
    """Return the tile in which a complete subtree lies."""
    level, above = divmod(subtree.height, HEIGHT)
    return Tile(level, (subtree.number << above) >> HEIGHT)


def hash_in(hashes: bytes, subtree: Subtree) -> bytes:
    """Return the hash of a complete subtree, of what its tile holds."""
    level, above = divmod(subtree.height, HEIGHT)
    first = (subtree.number << above) & (WIDTH - 1)
    return complete_root(_nodes(level, hashes[first * HASH_BYTES : (first + (1 << above)) * HASH_BYTES]))


def hashes_of(tile: bytes) -> list[bytes]:
    """Return the hashes of a tile one by one."""
    return [tile[at : at + HASH_BYTES] for at in range(0, len(tile), HASH_BYTES)]


def leaf_tile(entries: bytes) -> bytes:
    """Return the leaf hashes of a tile of entries."""
    return b"".join(map(leaf_hash, hashes_of(entries)))


def _nodes(level: int, hashes: bytes) -> list[bytes]:
    """Return the hashes of the nodes that a tile, or a part of it, stands for."""
    return list(map(leaf_hash, hashes_of(hashes))) if level == 0 else hashes_of(hashes)


def width_of(tile: Tile, size: int) -> int:
    """Return how many hashes a tile has in a tree of this size, 0 to 256."""
    return max(0, min(WIDTH, (size >> (HEIGHT * tile.level)) - tile.number * WIDTH))


def edge_of(size: int) -> list[Tile]:
    """Return the partial tiles of a tree of this size, level 0 first."""
    levels = range(max(1, (size.bit_length() + HEIGHT - 1) // HEIGHT))
    found = (Tile(level, size >> (HEIGHT * (level + 1))) for level in levels)
    return [tile for tile in found if 0 < width_of(tile, size) < WIDTH]


def path_of(index: int, width: int = WIDTH) -> str:
    """Return the last part of a tile's address: `x001/x234/067`, and `.p/W` where it is partial."""
    digits = f"{index:03d}"
    digits = digits.zfill(-(-len(digits) // 3) * 3)
    parts = [digits[at : at + 3] for at in range(0, len(digits), 3)]
    name = "/".join([*(f"x{part}" for part in parts[:-1]), parts[-1]])
    return name if width == WIDTH else f"{name}.p/{width}"


def read_path(path: str) -> tuple[int, int] | None:
    """Return the index and width that an address names; None where it is none, or is written in another way."""
    found = _PATH.fullmatch(path)
    if found is None or len(path) > 40:
        return None
    index, width = int(found[1].replace("x", "").replace("/", "") + found[2]), int(found[3] or WIDTH)
    return (index, width) if path_of(index, width) == path else None


class GrowingTree:
    """A tree that is extended on the right. It keeps its partial tiles alone, and gathers those that changed."""

    def __init__(self) -> None:
        self.size = 0
        self._edge: list[bytearray] = []
        self._changed: dict[Tile, bytes] = {}

    @classmethod
    def of(cls, size: int, edge: Mapping[Tile, bytes]) -> Self:
        """Return the tree of this size, of its partial tiles (`edge_of`). Raise `ValueError` where one is not as wide as it is
        then."""
        tree = cls()
        tree.size = size
        for tile in edge_of(size):
            hashes = edge.get(tile, b"")
            if len(hashes) != width_of(tile, size) * HASH_BYTES:
                raise ValueError(f"tile {tile.number} of level {tile.level} is not whole")
            tree._level(tile.level).extend(hashes)
        return tree

    def extend(self, entries: Iterable[bytes]) -> None:
        """Append entries."""
        level = self._level(0)
        for entry in entries:
            level += entry
            self.size += 1
            if len(level) == TILE_BYTES:
                self._close(0)
        self._note_edge()

    def root(self) -> bytes:
        """Return the root of the tree as it is."""
        found: list[bytes] = []
        for level, hashes in reversed(list(enumerate(self._edge))):
            nodes = _nodes(level, bytes(hashes))
            runs = ((tree.number << tree.height, 1 << tree.height) for tree in subtrees_of(Range(0, len(nodes))))
            found += [complete_root(nodes[first : first + count]) for first, count in runs]
        return joined(found)

    def edge(self) -> dict[Tile, bytes]:
        """Return its partial tiles, of which it is made again (`of`)."""
        return {tile: bytes(self._edge[tile.level]) for tile in edge_of(self.size)}

    def take_changed(self) -> dict[Tile, bytes]:
        """Return the tiles that changed since this was asked last, as they are now."""
        changed, self._changed = self._changed, {}
        return changed

    def _level(self, level: int) -> bytearray:
        while len(self._edge) <= level:
            self._edge.append(bytearray())
        return self._edge[level]

    def _close(self, level: int) -> None:
        """Put the root of a full tile into the level above."""
        full = bytes(self._edge[level])
        self._changed[Tile(level, (self.size >> (HEIGHT * (level + 1))) - 1)] = full
        self._edge[level].clear()
        above = self._level(level + 1)
        above += complete_root(_nodes(level, full))
        if len(above) == TILE_BYTES:
            self._close(level + 1)

    def _note_edge(self) -> None:
        for tile in edge_of(self.size):
            self._changed[tile] = bytes(self._edge[tile.level])


def needed(ranges: Sequence[Range]) -> set[Tile]:
    """Return the tiles that a proof of these ranges is read from."""
    return {tile_of(tree) for run in ranges for tree in subtrees_of(run)}
