"""Hashing a record again: the roots at some sizes, and where events and stored entries differ; it can be ended and gone on with.

Where it was ended is kept in a file of whoever verifies: its bytes are believed, as the verifier's own are.
"""

import asyncio
import time
from base64 import b64decode, b64encode
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import msgspec
from msgspec import Struct

from adapters.notary.memory import write_whole
from adapters.postgres.event_entries import EventEntries
from adapters.postgres.tiles import TileStore
from domain.merkle import HASH_BYTES
from domain.tiles import WIDTH, GrowingTree, Tile, hashes_of
from workers.altered_events import Progress

TILES_AT_ONCE = 32  # of entries: as many as a batch of events has
MISMATCHES_MAX = 1000
MISSING = bytes(HASH_BYTES)  # stands where an event should be and is none
SAVE_SECONDS = 2.0


class Folded(NamedTuple):
    """The roots at the sizes that were asked for, and the positions at which event and stored entry differ."""

    roots: dict[int, bytes]
    mismatches: list[int]
    differing: int
    tile: Tile | None


class Saved(Struct, frozen=True):
    """Where a verification was ended."""

    origin: str
    position: int
    compared: int
    edge: dict[str, str]
    roots: dict[int, str]
    mismatches: list[int]
    differing: int
    tile: tuple[int, int] | None

    def serves(self, origin: str, sizes: Sequence[int], until: int, compared: int) -> bool:
        """Return whether it is of the same record, and has every root that is asked for."""
        is_compared = self.position <= self.compared or self.compared == compared
        has_roots = all(size in self.roots for size in sizes if size <= self.position)
        return self.origin == origin and self.position <= until and is_compared and has_roots

    def tree(self) -> GrowingTree:
        edge = {Tile(*map(int, name.split("/"))): b64decode(hashes) for name, hashes in self.edge.items()}
        return GrowingTree.of(self.position, edge)

    def folded(self) -> Folded:
        tile = None if self.tile is None else Tile(*self.tile)
        return Folded({size: b64decode(r) for size, r in self.roots.items()}, [*self.mismatches], self.differing, tile)


class PlaceFile:
    """Where a verification was ended, in a file; written every two seconds."""

    def __init__(self, path: Path, seconds: float = SAVE_SECONDS) -> None:
        self._path = path
        self._seconds = seconds
        self._saved_at = 0.0

    def read(self) -> Saved | None:
        """Return the place; None where there is none, or what is there is none."""
        try:
            return msgspec.json.decode(self._path.read_bytes(), type=Saved)
        except (FileNotFoundError, msgspec.MsgspecError):
            return None

    def save(self, origin: str, compared: int, tree: GrowingTree, found: Folded) -> None:
        """Remember where it is. Raise `OSError`."""
        if time.monotonic() - self._saved_at < self._seconds:
            return
        edge = {f"{t.level}/{t.number}": b64encode(hashes).decode() for t, hashes in tree.edge().items()}
        roots = {size: b64encode(root).decode() for size, root in found.roots.items()}
        saved = Saved(origin, tree.size, compared, edge, roots, found.mismatches, found.differing, found.tile)
        write_whole(self._path, msgspec.json.encode(saved).decode())
        self._saved_at = time.monotonic()

    def forget(self) -> None:
        """It is done."""
        self._path.unlink(missing_ok=True)


class Refolding:
    """Hashes the events of one record."""

    def __init__(self, events: EventEntries, store: TileStore, origin: str, progress: Progress) -> None:
        self._events = events
        self._store = store
        self._origin = origin
        self._progress = progress

    async def fold(self, sizes: Sequence[int], until: int, compared: int, place: PlaceFile | None = None) -> Folded:
        """Hash the events up to a position; compare them with the tiles up to `compared`. With a place go on from there."""
        tree, found = GrowingTree(), Folded({}, [], 0, None)
        if (
            place is not None
            and (saved := place.read()) is not None
            and saved.serves(self._origin, sizes, until, compared)
        ):
            tree, found = saved.tree(), saved.folded()
        roots, mismatches, count, wrong = found
        for start in range(tree.size, until, TILES_AT_ONCE * WIDTH):
            end = min(until, start + TILES_AT_ONCE * WIDTH)
            entries = await self._entries(start, end)
            kept = await self._store.tiles([Tile(0, n) for n in range(start // WIDTH, -(-end // WIDTH))])
            for first in range(start, end, WIDTH):
                mine = entries[first - start : min(first + WIDTH, end, max(first, compared)) - start]
                if b"".join(mine) != (theirs := kept.get(Tile(0, first // WIDTH), b"")[: len(mine) * HASH_BYTES]):
                    others = [*hashes_of(theirs), *[MISSING] * len(mine)]
                    differing = [
                        first + i + 1 for i, entry in enumerate(mine) if entry != others[i] or entry == MISSING
                    ]
                    count += len(differing)
                    mismatches += differing[: MISMATCHES_MAX - len(mismatches)]
            for before, after in pairwise([start, *(size for size in sizes if start < size < end), end]):
                tree.extend(entries[before - start : after - start])
                if after in sizes:
                    roots[after] = tree.root()
            wrong = wrong or await self._wrong_above(tree.take_changed(), compared)
            self._progress(end, until)
            if place is not None and end < until:
                await asyncio.to_thread(
                    place.save, self._origin, compared, tree, Folded(roots, mismatches, count, wrong)
                )
        return Folded(roots, mismatches, count, wrong)

    async def _wrong_above(self, made: dict[Tile, bytes], compared: int) -> Tile | None:
        """Return a stored tile above the entries that is not as it is made; those that are partial grow, and are compared as
        far as they were made."""
        full = {
            tile: made[tile]
            for tile in made
            if tile.level and (tile.number + 1) * WIDTH ** (tile.level + 1) <= compared
        }
        kept = await self._store.tiles(full)
        return next((tile for tile, hashes in full.items() if kept.get(tile) != hashes), None)

    async def _entries(self, start: int, end: int) -> list[bytes]:
        """Return the entries of the positions after `start` up to `end`, with `MISSING` where there is no event."""
        positions, entries = await self._events.after(start, until=end)
        if len(entries) == end - start:
            return entries
        found = dict(zip(positions, entries, strict=True))
        return [found.get(position, MISSING) for position in range(start + 1, end + 1)]
