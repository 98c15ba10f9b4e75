"""Replay: what a group parked is taken after all, by a version that can, while everything serves.

A parked event is as if it had not happened, and later ones were applied without it. So its changes are folded anew with those of
all later events to the rows that it touches, in the order of the record, up to the checkpoint: a message whose posting is
taken now has its edits too, and what it would have set is not set over what came later. Amounts are added once: those of later
events are in a row already, unless the parked event made the row.

Events of one room (or, without a room, of one stream) are taken together, in order; what still fails keeps back its own room
alone. Rows, and the list of what is parked, change in one transaction, for whose last stretch the group's owner waits.
"""

import time
from collections.abc import Callable, Sequence
from typing import NamedTuple
from uuid import UUID

import structlog
from msgspec.structs import replace

from adapters.postgres.database import Database, blames_values
from domain.events import Event, Recorded
from domain.ports.database import Db
from domain.ports.record import Record, RecordUnavailableError
from projections import checkpoints, parked
from projections.batches import Batch
from projections.checkpoints import LeaseLostError
from projections.tables import Change, Group, Table
from workers.folding import folded_one
from workers.rebuild_reports import Progress
from workers.table_filling import LAST_STRETCH_EVENTS, RELEASE, ROLL_BACK, SAVEPOINT
from workers.table_swap import LOCK_CHECKPOINT, RebuildRefusedError, alone

PARKED_AT_ONCE_MAX = 1_000
PAGE_EVENTS = 2_000
AMOUNTS = ("add", "sum")
STATEMENT_PASSING = (RecordUnavailableError, LeaseLostError, MemoryError)
Row = tuple[Table, tuple[object, ...]]

log = structlog.get_logger()


class Replayed(NamedTuple):
    """How many events were taken, and what stays parked."""

    taken: int
    left: Sequence[parked.Parked]


class _Sequence:
    """The parked events of one room or stream that can be taken now, and the rows that they touched so far."""

    def __init__(self) -> None:
        self.positions: list[int] = []
        self.rows: set[Row] = set()
        self.made: set[Row] = set()
        # How a parked event would have moved a row whose key the record gives to another one meanwhile. The follower can have added
        # that one only if it moved on in the same batch, or if there was no row to be moved.
        self.beside: dict[Row, Change] = {}
        self.batch = Batch()

    def take(self, changes: Sequence[Change]) -> None:
        """Fold what a parked event changes. From here on its rows are followed: what came before is in them."""
        for change in changes:
            row = change.table, change.key
            self.batch.apply(change)
            if change.operation == "move" and row in self.made:
                self._let_go(row)
                continue
            self.rows.add(row)
            if change.operation == "new":
                self.made.add(row)

    def follow(self, change: Change) -> None:
        """Fold what a later event changes of these rows."""
        row = change.table, change.key
        if change.operation in ("blank", "drop"):
            self.batch.apply(change)  # of whatever rows there are, perhaps of these
        elif change.operation == "new" and (moved := self.batch.unmove(change)) is not None:
            self.beside[row] = moved
        elif change.operation == "move" and (row in self.rows or row in self.beside):
            self._move_on(change, row)
        elif row in self.rows and (change.operation not in AMOUNTS or row in self.made):
            self.batch.apply(change)

    def _move_on(self, change: Change, row: Row) -> None:
        """Fold where a later event has moved a row. The one that a parked event would have moved is found there; what the parked one
        made in its place moves there."""
        if (moved := self.batch.unmove(change)) is not None:
            self.batch.apply(replace(moved, key=(*change.key[:-1], *change.values.values())))
        if row in self.made:
            self.batch.apply(change)
        self._let_go(row)
        if row in self.beside:
            self.batch.apply(self.beside.pop(row))

    def _let_go(self, row: Row) -> None:
        """Follow a row no more, because it has moved: from here on the row of this key is another one, and is in the tables."""
        self.rows.discard(row)
        self.made.discard(row)


class Replay:
    """One replay of one group."""

    def __init__(self, group: Group, record: Record, db: Database, *, progress: Callable[[Progress], None]) -> None:
        self._group = group
        self._handlers = group.handlers()
        self._record = record
        self._db = db
        self._progress = progress
        self._began = time.perf_counter()
        self._sequences: dict[UUID, _Sequence] = {}
        self._of_position: dict[int, _Sequence] = {}
        self._position = 0

    async def run(self) -> Replayed:
        """Take what can be taken of the first `PARKED_AT_ONCE_MAX`. Raise `RebuildRefusedError` while the group is rebuilt,
        and for a group that a batch must be prepared for: what was true at the position of a parked event is not known now."""
        if self._group.prepare is not None:
            name = self._group.name
            raise RebuildRefusedError(
                f"{name} is made of what was true at each event: run 'hansard rebuild {name}' instead."
            )
        async with alone(self._db, self._group) as session:
            for found in await parked.of_group(self._db, self._group.name, limit=PARKED_AT_ONCE_MAX):
                await self._expect(found.position)
            if self._of_position:
                self._position = min(self._of_position) - 1
                checkpoint = await checkpoints.position(self._db, self._group.name)
                await self._until(checkpoint - LAST_STRETCH_EVENTS)
                async with session.transaction() as transaction:
                    await self._until(await transaction.value(LOCK_CHECKPOINT, self._group.name) or 0)
                    for sequence in self._sequences.values():
                        await self._write(transaction, sequence)
            left = await parked.of_group(self._db, self._group.name, limit=PARKED_AT_ONCE_MAX)
        return Replayed(sum(len(each.positions) for each in self._sequences.values()), left)

    async def _expect(self, position: int) -> None:
        [recorded] = await self._record.after(position - 1, until=position, limit=1)
        folded = folded_one(recorded, self._handlers)
        if folded.fault is None:
            key = recorded.event.frame_room() or getattr(recorded.event, "room_id", None) or recorded.stream
            sequence = self._of_position[position] = self._sequences.setdefault(key, _Sequence())
            sequence.positions.append(position)

    async def _until(self, position: int) -> None:
        """Fold the record up to a position."""
        while page := await self._record.after(self._position, until=position, limit=PAGE_EVENTS):
            for recorded in page:
                self._fold(recorded)
            self._position = page[-1].position
            seconds = time.perf_counter() - self._began
            self._progress(Progress(self._group.name, self._position, position, seconds, min(self._of_position) - 1))

    def _fold(self, recorded: Recorded[Event]) -> None:
        own, folded = self._of_position.get(recorded.position), folded_one(recorded, self._handlers)
        if folded.fault is not None:
            return
        if own is not None:
            own.take(folded.changes)
        for sequence in self._sequences.values():
            for change in folded.changes if sequence is not own else ():
                sequence.follow(change)

    async def _write(self, transaction: Db, sequence: _Sequence) -> None:
        """Write a sequence's rows; where the database refuses them, it stays parked and the others go on."""
        await transaction.run(SAVEPOINT)
        try:
            await sequence.batch.write(transaction)
            await parked.replayed(transaction, self._group.name, sequence.positions)
        except STATEMENT_PASSING:
            raise
        except Exception as error:
            if not blames_values(error):
                raise
            await transaction.run(ROLL_BACK)
            log.error(
                "events stay parked", group=self._group.name, positions=sequence.positions, error=type(error).__name__
            )
            sequence.positions.clear()
            return
        await transaction.run(RELEASE)
