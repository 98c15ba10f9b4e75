"""The tree over all events up to a position, made of the events alone: its root is what a backup says that it holds, and what a
restored record must have.
"""

import time
from collections.abc import Callable, Collection
from itertools import pairwise

from adapters.postgres.event_entries import BATCH_EVENTS, EventEntries
from domain.merkle import EMPTY_ROOT
from domain.tiles import GrowingTree
from workers.rebuild_reports import Progress


class EventMissingError(Exception):
    """There is no event at this position, and there are later ones, or the record ends before it."""

    def __init__(self, position: int) -> None:
        super().__init__(position)
        self.position = position


async def roots(
    events: EventEntries, sizes: Collection[int], *, progress: Callable[[Progress], None], name: str
) -> dict[int, bytes]:
    """Return the root of the tree at each of these sizes. Raise `EventMissingError`."""
    tree, began, until = GrowingTree(), time.perf_counter(), max(sizes)
    found = {0: EMPTY_ROOT}
    stops = sorted({*sizes, *range(0, until, BATCH_EVENTS)})
    for start, end in pairwise(stops):
        positions, entries = await events.after(start, until=end, limit=BATCH_EVENTS)
        expected = range(start + 1, end + 1)
        if positions != list(expected):
            raise EventMissingError(next(p for p, q in zip(expected, [*positions, 0], strict=False) if p != q))
        tree.extend(entries)
        tree.take_changed()
        if end in sizes:
            found[end] = tree.root()
        progress(Progress(name, end, until, time.perf_counter() - began))
    return {size: found[size] for size in sizes}
