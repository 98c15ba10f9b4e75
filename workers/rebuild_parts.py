"""Parts of a rebuild: the record divided by room, so that several processes fold it side by side.

The rows of a table belong to one room each, or to none: then to the first part, as files and accounts do. So parts never meet at
a row, and the tables are what one process makes of the same events. That holds for every group but those that prepare batches
with what the tables say of other rooms. Who runs a part is the caller's: this process (`fill_part`), or others of their
own (`runtime/composition/part_processes.py`).
"""

from collections.abc import Awaitable, Callable, Sequence
from functools import partial

from msgspec import Struct

from domain.ports.database import Db
from domain.ports.record import DivisibleRecord
from projections import building_parts, parked
from projections.parked import Parked
from projections.tables import Group
from workers.side_by_side import side_by_side
from workers.table_filling import Filling

AGAIN = "Then rebuild it again: what is made of it stays, and the same code goes on with that."


class Part(Struct, frozen=True):
    """What one process is to fill: part `number` of `parts` of a group's tables, whose names end in `suffix`, from a position to
    another one, under the epoch of the run that divided them."""

    group: str
    suffix: str
    epoch: int
    number: int
    parts: int
    position: int
    until: int


FillPart = Callable[[Part, Callable[[int], None]], Awaitable[None]]  # is told the position that the part came to


async def fill_part(group: Group, record: DivisibleRecord, db: Db, part: Part, come_to: Callable[[int], None]) -> None:
    """Fill one part, from where it is. Raise `LeaseLostError` if the tables are another run's by now."""

    async def note(transaction: Db, events: Sequence[Parked], position: int) -> None:
        await building_parts.move(transaction, group.name, part.suffix, part.epoch, part.number, position)
        await parked.park(transaction, group.name, events, is_building=True)

    events = record.part(part.number, part.parts)
    filling = Filling(
        group,
        events,
        db,
        part.suffix,
        note=note,
        progress=lambda progress: come_to(progress.done),
        position=part.position,
    )
    await filling.until(part.until, db)
    # What is left up to there is of other parts.
    await building_parts.move(db, group.name, part.suffix, part.epoch, part.number, part.until)
    come_to(part.until)


async def fill_side_by_side(parts: Sequence[Part], jobs: int, fill: FillPart, come_to: Callable[[int], None]) -> None:
    """Fill all parts, so many at a time. `come_to` is told how far they are, as one process that was at that position would have
    as much done. Raise what the first of them that fails raises; the others are ended then."""
    positions = {part.number: part.position for part in parts}

    def hear(number: int, position: int) -> None:
        positions[number] = position
        come_to(sum(positions.values()) // len(positions))

    await side_by_side([partial(fill, part, partial(hear, part.number)) for part in parts], jobs)
