"""Filling: a group's tables under another name, brought up to the record beside those that are served.

A rebuild fills new tables from position 1, a rollback those that were served before from where they were left. What
each of them notes with a batch (what is parked, how far it is) is committed with it.
"""

import asyncio
import gc
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial

from domain.events import Event, Recorded
from domain.ports.database import Db
from domain.ports.record import EventsAfter
from projections import checkpoints
from projections.parked import Parked
from projections.tables import Group, Handlers
from workers.folding import Folded, batch_of, fold, parked_of, say_parked, write
from workers.rebuild_reports import Progress

REBUILD_BATCH_EVENTS_MAX = 5_000
REBUILD_COMMIT_EVENTS_MIN = 15_000
COLLECT_EVENTS_MIN = 300_000
LAST_STRETCH_EVENTS = 2_000
SAVEPOINT, RELEASE, ROLL_BACK = "SAVEPOINT part", "RELEASE SAVEPOINT part", "ROLLBACK TO SAVEPOINT part"

Note = Callable[[Db, Sequence[Parked], int], Awaitable[None]]


class Filling:
    """A group's tables whose names end in `suffix`, at `position` of the record."""

    def __init__(
        self,
        group: Group,
        record: EventsAfter,
        db: Db,
        suffix: str,
        *,
        note: Note,
        progress: Callable[[Progress], None],
        position: int = 0,
        since: tuple[int, float] | None = None,
    ) -> None:
        """`note` is called in the transaction of each batch, with what of it is parked and the position that it comes to. `since`: the
        position, and the time of `perf_counter`, at which others began with what this one goes on with."""
        self.suffix = suffix
        self.position = position
        self._group = group
        self._handlers = group.handlers()
        # What a batch is prepared with stands in the tables: all that came before it must be there.
        self._commit_events = REBUILD_COMMIT_EVENTS_MIN if group.prepare is None else 1
        self._record = record
        self._db = db
        self._note = note
        self._progress = progress
        self._collected = position
        self._began, self._started = since or (position, time.perf_counter())

    async def catch_up(self) -> None:
        """Fold the record until little is left before the checkpoint."""
        while True:
            checkpoint = await checkpoints.position(self._db, self._group.name)
            if checkpoint - self.position <= LAST_STRETCH_EVENTS:
                self._tell(checkpoint)
                return
            await self.until(checkpoint, self._db)

    async def until(self, position: int, db: Db) -> None:
        """Fold the record up to a position; the next page is read while one is folded or written. Several pages are written
        together: a room that is busy in all of them changes once.

        `db` is the pool, or a transaction that everything is written in.
        """
        with _without_collector():
            await self._fold_until(position, db)

    async def _fold_until(self, position: int, db: Db) -> None:
        reading = asyncio.create_task(self._page(self.position, position))
        folded: list[Folded] = []
        try:
            while events := await reading:
                self.position = events[-1].position
                reading = asyncio.create_task(self._page(self.position, position))
                folded += await fold(events, await self._handlers_for(events, db), between=_goes_on)
                if len(folded) >= self._commit_events:
                    await self._write(folded, db)
                    folded = []
                    self._collect()
                    self._tell(position)
            if folded:
                await self._write(folded, db)
                self._tell(position)
        finally:
            reading.cancel()

    def _collect(self) -> None:
        """Look for reference cycles, now and then: the few there are come with errors, not with events."""
        if self.position - self._collected >= COLLECT_EVENTS_MIN:
            self._collected = self.position
            gc.collect()

    async def _handlers_for(self, events: Sequence[Recorded[Event]], db: Db) -> Handlers:
        prepare = self._group.prepare
        return self._handlers if prepare is None else await prepare(db, self.suffix, events)

    async def _page(self, position: int, until: int) -> Sequence[Recorded[Event]]:
        limit, metas = REBUILD_BATCH_EVENTS_MAX, self._group.reads_meta
        return await self._record.after(position, until=until, limit=limit, metas=metas)

    async def _write(self, folded: Sequence[Folded], db: Db) -> None:
        commit = self._commit if db is self._db else partial(self._commit_within, db)
        await write(folded, commit, policy=self._group.policy)

    async def _commit(self, folded: Sequence[Folded]) -> None:
        async with self._db.transaction(durable=False) as transaction:
            await self._put(transaction, folded, bulk=True)
        say_parked(f"{self._group.name}, rebuilt", folded)

    async def _commit_within(self, transaction: Db, folded: Sequence[Folded]) -> None:
        """Write within the transaction of the exchange, which goes on if the database refuses a part."""
        await transaction.run(SAVEPOINT)
        try:
            await self._put(transaction, folded, bulk=False)
        except Exception:
            await transaction.run(ROLL_BACK)
            raise
        await transaction.run(RELEASE)
        say_parked(f"{self._group.name}, rebuilt", folded)

    async def _put(self, db: Db, folded: Sequence[Folded], *, bulk: bool) -> None:
        # The note first: whoever lost these tables to another run writes no row.
        await self._note(db, parked_of(folded), folded[-1].recorded.position)
        await batch_of(folded).write(db, suffix=self.suffix, bulk=bulk)

    def _tell(self, total: int) -> None:
        seconds = time.perf_counter() - self._started
        self._progress(Progress(self._group.name, self.position, total, seconds, self._began))


@contextmanager
def _without_collector() -> Iterator[None]:
    """Have Python look for reference cycles only when it is told to: batches make many objects, which it would look through again
    and again for nothing (a quarter of the processor time)."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


async def _goes_on(used_seconds: float) -> bool:
    """Nobody waits for it: it has no lease, and takes the time it needs."""
    return True
