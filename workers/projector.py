"""The projector: follows the record, and keeps a group of read tables up to it.

A follower owns its group by a lease; a standby waits. So does one whose code is older than the tables (`projections/followers.py`). Rows and checkpoint commit together, and need not wait for the
disk: everything here can be made again from the record. An event that the group cannot take is parked, and those behind
it go on (`workers/folding.py`). Frames are published after their rows are committed (`workers/publisher.py`).
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, suppress
from time import perf_counter
from typing import Protocol

import structlog

from adapters.clock import monotonic, now
from adapters.prometheus.workers import GroupMetrics, ProjectionMetrics
from domain.bounds import LIVE_BATCH_EVENTS_MAX, POLL_SECONDS
from domain.events import Event, Recorded
from domain.ports.database import Db
from domain.ports.record import RecordUnavailableError
from projections import checkpoints, followers, parked
from projections.batches import Batch
from projections.checkpoints import LEASE_SECONDS_MAX, Lease, LeaseLostError
from projections.parked import Parked
from projections.tables import Group
from workers.folding import Folded, batch_of, fold, parked_of, say_parked, write

LEASE_SECONDS = 3.0
SAY_VERSION_SECONDS = 1.0
FOLD_SECONDS_MAX = 0.5  # of handlers in one batch: the rest waits for the next one
LIVE_BATCH_EVENTS_MIN = 16

log = structlog.get_logger()


class Followed(Protocol):
    """As much of the record as a follower needs."""

    async def after(self, position: int, *, until: int | None = None, limit: int) -> Sequence[Recorded[Event]]: ...
    def wakes(self) -> AbstractAsyncContextManager[AsyncIterator[int]]: ...


FORGETTING = 0.9  # of what is remembered of the slowest step, a step
Told = Callable[[Sequence[Recorded[Event]]], None]


class Follower:
    """One group of read tables, kept up to the record by whoever holds its lease.

    A batch is cut when its handlers have used half a second, and the lease is renewed while they work. Where one event
    alone takes them longer than a lease, its owner loses the lease over it, and takes a longer one the next time.
    """

    def __init__(
        self,
        group: Group,
        record: Followed,
        db: Db,
        *,
        owner: str,
        committed: Told | None = None,
        taken: Callable[[], None] | None = None,
        changed: Callable[[], None] | None = None,
        metrics: ProjectionMetrics | None = None,
    ) -> None:
        """`committed` is called with each batch of events once its rows are committed, and then `changed`, if there were any
        rows; `taken` when the position is read anew: the lease was taken, or the tables are not where they were left.

        When it works, and how many events it takes at once, is up to `record`: by `wakes` (`workers/shared_reading.py`).
        """
        self.group = group
        self.lease: Lease | None = None
        self._handlers = group.handlers()
        self._record = record
        self._db = db
        self._owner = owner
        self._committed = committed
        self._taken = taken
        self._changed = changed
        self._renewed = 0.0
        self._version_said = -SAY_VERSION_SECONDS
        self._lease_seconds = LEASE_SECONDS
        self._slowest_seconds = 0.0  # of one step, of late
        self._events_max = LIVE_BATCH_EVENTS_MAX
        self._metrics = GroupMetrics(metrics or ProjectionMetrics(), group.name)

    async def step(self) -> int:
        """Write one batch; return how many events it held, 0 if there was nothing, -1 on standby."""
        if self.lease is None and not await self._take():
            return -1
        assert self.lease is not None
        began = monotonic()
        try:
            events = await self._record.after(self.lease.position, limit=self._events_max)
            if events:
                return await self._follow(events)
            if monotonic() - self._renewed > self._lease_seconds / 3:
                await self._renew()
            return 0
        except LeaseLostError:
            # Tables of another version may be served since: if they are ours to follow, nobody waits for the next event.
            return await self.step() if await self._is_still_ours(self.lease) or await self._take() else -1
        finally:
            self._slowest_seconds = max(monotonic() - began, self._slowest_seconds * FORGETTING)
            self._lease_seconds = min(max(LEASE_SECONDS, 3 * self._slowest_seconds), LEASE_SECONDS_MAX)

    async def run(self) -> None:
        """Follow for ever. When cancelled, give the lease back."""
        try:
            async with self._record.wakes() as wakes:
                async for position in wakes:
                    try:
                        await self._follow_up_to(position)
                    except RecordUnavailableError as error:
                        log.warning("following waits", group=self.group.name, reason=str(error))
        finally:
            if self.lease is not None:
                # Without Postgres it ends by itself; what this loop failed with must not be hidden by that.
                with suppress(RecordUnavailableError, TimeoutError):
                    async with asyncio.timeout(POLL_SECONDS):
                        await checkpoints.let_go(self._db, self.group.name, self.lease.epoch)

    async def _follow_up_to(self, head: int) -> None:
        """Write batches until this position is reached or nothing is left. What comes meanwhile wakes us again, so a batch
        that reaches it is followed by no read that finds nothing."""
        await self._say_version()
        while self._is_due(head) and await self.step() > 0:
            self._measure(head)
        self._measure(head)

    async def _say_version(self) -> None:
        """Say that a follower of this version is here, until tables of this version are ours: a rebuild waits for it."""
        is_served = self.lease is not None and self.lease.version >= self.group.version
        if not is_served and monotonic() - self._version_said >= SAY_VERSION_SECONDS:
            self._version_said = monotonic()
            await followers.say(self._db, self.group.name, self.group.version)

    def _is_due(self, head: int) -> bool:
        """Whether there is something to do: events, the lease to be taken, or to be renewed."""
        if self.lease is None or self.lease.position < head:
            return True
        return monotonic() - self._renewed > self._lease_seconds / 3

    def _measure(self, head: int) -> None:
        """Say whether the group is ours, and how far it is behind what we know of the record."""
        self._metrics.owned.set(self.lease is not None)
        self._metrics.behind_events.set(0 if self.lease is None else max(0, head - self.lease.position))

    async def _take(self) -> bool:
        seconds = self._lease_seconds
        self.lease = await checkpoints.take(self._db, self.group.name, self.group.version, self._owner, seconds)
        if self.lease is not None:
            log.info("lease taken", group=self.group.name, epoch=self.lease.epoch, position=self.lease.position)
            if self.lease.version < self.group.version:
                log.warning(
                    "tables of an earlier version are followed until a rebuild has made those of this one",
                    group=self.group.name, served=self.lease.version, version=self.group.version,
                )  # fmt: skip
            self._renewed = monotonic()
            if self._taken is not None:
                self._taken()
        return self.lease is not None

    async def _renew(self) -> None:
        assert self.lease is not None
        await checkpoints.renew(self._db, self.group.name, self.lease, self._lease_seconds)
        self._renewed = monotonic()

    async def _is_still_ours(self, lease: Lease) -> bool:
        """Find out where the group stands: a crash of Postgres may have taken commits back, or hidden that one came."""
        self.lease = await checkpoints.held(self._db, self.group.name, lease.epoch)
        if self.lease is None:
            log.warning("lease lost", group=self.group.name, owner=self._owner)
            return False
        log.warning("place corrected", group=self.group.name, position=self.lease.position, instead_of=lease.position)
        if self._taken is not None:
            self._taken()
        return True

    async def _follow(self, events: Sequence[Recorded[Event]]) -> int:
        """Write as many of these events as there is time for; return how many. The next batch is as long as this one
        could have been."""
        prepare = self.group.prepare
        handlers = self._handlers if prepare is None else await prepare(self._db, "", events)
        folded = await fold(events, handlers, between=self._goes_on)
        try:
            await write(folded, self._commit, policy=self.group.policy)
        except RecordUnavailableError:
            self._events_max = max(1, len(folded) // 2)  # it may have been too much for one statement
            raise
        if len(folded) < len(events):
            self._events_max = max(LIVE_BATCH_EVENTS_MIN, len(folded))
        elif len(events) == self._events_max:
            self._events_max = min(LIVE_BATCH_EVENTS_MAX, 2 * self._events_max)
        return len(folded)

    async def _goes_on(self, used_seconds: float) -> bool:
        """Stay the owner while handlers work; False when they have used what they may in one batch."""
        if used_seconds >= FOLD_SECONDS_MAX:
            return False
        if monotonic() - self._renewed > self._lease_seconds / 3:
            await self._renew()
        return True

    async def _commit(self, folded: Sequence[Folded]) -> None:
        assert self.lease is not None
        name, position, began = self.group.name, folded[-1].recorded.position, perf_counter()
        batch, parks = batch_of(folded), parked_of(folded)
        if parks or not await batch.commit(
            self._db, name, self.lease.epoch, self.lease.position, position, self._lease_seconds
        ):
            await self._commit_step_by_step(batch, parks, position)
        self.lease = Lease(self.lease.epoch, position, self.lease.version)
        self._renewed = monotonic()
        self._count(folded, perf_counter() - began)
        say_parked(name, folded)
        if self._committed is not None:
            self._committed([each.recorded for each in folded])
        if self._changed is not None and any(each.changes for each in folded):
            self._changed()

    async def _commit_step_by_step(self, batch: Batch, parks: Sequence[Parked], position: int) -> None:
        """Write what is more than one statement; or what found the checkpoint locked, or not there, and hears now which.

        The checkpoint first: whoever lost the lease touches no row, and a rebuild takes its locks in the same order.
        """
        assert self.lease is not None
        async with self._db.transaction(durable=False) as transaction:
            await checkpoints.move(transaction, self.group.name, self.lease, position, self._lease_seconds)
            await batch.write(transaction)
            await parked.park(transaction, self.group.name, parks)

    def _count(self, folded: Sequence[Folded], seconds: float) -> None:
        self._metrics.commit_seconds.observe(seconds)
        self._metrics.batch_events.observe(len(folded))
        self._metrics.lag_seconds.observe(max(0.0, (now() - folded[0].recorded.at).total_seconds()))
        self._metrics.parked.inc(len(parked_of(folded)))
