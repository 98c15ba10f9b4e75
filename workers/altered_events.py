"""Naming what was done to a record, where it is known what each position was signed as.

A position is part of what is hashed. So an event that stands at another place than it was signed at is recognised by hashing
it as if it stood there.
"""

from collections.abc import Callable, Collection, Sequence
from typing import Literal, NamedTuple, Protocol

from domain.leaf import EventRow, entry_of

Kind = Literal[
    "altered", "missing", "inserted", "reordered", "renumbered", "truncated", "rolled back", "replaced", "forked", "tiles",
    "checkpoints", "retired key", "no member", "back-dated", "unwitnessed",
]  # fmt: skip
Progress = Callable[[int, int], None]
NAMED_MAX = 20
STRAYED_MAX = 1000  # events beyond what was signed, among which one that was renumbered is looked for


class Finding(NamedTuple):
    """What was found at a position; with `until`: somewhere between the two."""

    kind: Kind
    position: int
    detail: str
    until: int | None = None


class Rows(Protocol):
    """Where rows are looked at again: a record, or a package."""

    async def rows(self, positions: Collection[int]) -> dict[int, EventRow]: ...

    async def rows_beyond(self, position: int, limit: int) -> list[EventRow]: ...


async def located(
    events: Rows, signed: Callable[[int], bytes], positions: Sequence[int], count: int, until: int
) -> list[Finding]:
    """Say of positions whose events are not as they were signed what was done there.

    `signed` tells the entry that was signed for a position, b"" beyond the last. `count` of them differ in all.
    """
    rows = await events.rows({at for position in positions for at in (position, position + 1)})
    strayed = await events.rows_beyond(until, STRAYED_MAX)
    first = positions[0]
    if (shifted := _shifted(rows, signed, first)) is not None:
        return [shifted]
    differing = [row for position in positions if (row := rows.get(position)) is not None]
    found = [
        _at(position, rows.get(position), signed(position), differing, strayed) for position in positions[:NAMED_MAX]
    ]
    if count > NAMED_MAX:
        found.append(Finding("altered", positions[NAMED_MAX], f"and {count - NAMED_MAX} more events from here on"))
    return found


def _shifted(rows: dict[int, EventRow], signed: Callable[[int], bytes], first: int) -> Finding | None:
    """Say whether everything after a position was moved by one."""
    here, following = rows.get(first), rows.get(first + 1)
    moved_down = here is not None and _as_if(here, first + 1) == signed(first + 1)
    moved_up = following is not None and _as_if(following, first) == signed(first)
    if moved_down and not moved_up:
        return Finding("missing", first, "this event was taken out, and what follows was renumbered")
    if moved_up and not moved_down:
        return Finding("inserted", first, "this event was put in, and what follows was renumbered")
    return None


def _at(
    position: int, row: EventRow | None, wanted: bytes, differing: Sequence[EventRow], strayed: Sequence[EventRow]
) -> Finding:
    """Say what was done at one position."""
    elsewhere = next((r.position for r in (*differing, *strayed) if _as_if(r, position) == wanted), None)
    if elsewhere is not None:
        kind: Kind = "reordered" if row is not None else "renumbered"
        return Finding(kind, position, f"the event that was signed here stands at {elsewhere}")
    if row is None:
        return Finding("missing", position, "there is no event here, and one was signed")
    return Finding("altered", position, f"this event ({row.topic}) is not the one that was signed")


def _as_if(row: EventRow, position: int) -> bytes:
    """Return the entry of an event if it stood at another position."""
    return entry_of(row._replace(position=position))
