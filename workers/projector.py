"""The projector: follows the record, keeps a group of read tables, and tells the live group's frames.

A follower owns its group by a lease; a standby waits. Rows and checkpoint commit together, and need not wait for the
disk: everything here comes back from the record. Frames are told after their rows are committed, by a publisher that
never holds the rows up.
"""

import asyncio
from collections import OrderedDict, deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

import structlog

from adapters.clock import lapsed
from adapters.lanes import Entry, Lanes, LanesUnavailable
from domain.facts import Event, Recorded, UnknownEvent
from domain.file import FILE
from domain.ids import RoomId, StreamId
from domain.limits import LANE_TRIM_SECONDS, LEASE_SECONDS, LIVE_BATCH_EVENTS_MAX, POLL_SECONDS
from domain.message import MESSAGE, MessageDeleted
from domain.ports import Db, Record, RecordUnavailable
from projections import checkpoints, frames
from projections.checkpoints import Lease, LeaseLost
from projections.tables import Batch, Group

log = structlog.get_logger()

ROOMS_REMEMBERED_MAX = 100_000
UNTOLD_BYTES_MAX = 32 * 1024**2  # about
EVENT_BYTES = 1_500  # of an event with a short text, and all that surrounds it
Told = Callable[[Sequence[Recorded[Event]]], None]


class Follower:
    """One group of read tables, kept up to the record by whoever holds its lease."""

    def __init__(
        self,
        group: Group,
        record: Record,
        db: Db,
        *,
        owner: str,
        committed: Told | None = None,
        linger_seconds: float = 0.0,
    ) -> None:
        """`committed` is called with each batch of facts once its rows are committed. Whom nobody waits for may linger:
        it then takes more at once, and keeps out of the way of whom somebody waits for."""
        self.group = group
        self.lease: Lease | None = None
        self._handlers = group.handlers()
        self._record = record
        self._db = db
        self._owner = owner
        self._committed = committed
        self._linger_seconds = linger_seconds
        self._renewed = 0.0

    async def step(self) -> int:
        """Write one batch; answers how many events it held, 0 when there was nothing, -1 on standby."""
        if self.lease is None and not await self._take():
            return -1
        assert self.lease is not None
        try:
            facts = await self._record.after(self.lease.position, limit=LIVE_BATCH_EVENTS_MAX)
            if facts:
                await self._write(facts)
            elif lapsed() - self._renewed > LEASE_SECONDS / 3:
                await checkpoints.renew(self._db, self.group.name, self.lease, LEASE_SECONDS)
                self._renewed = lapsed()
        except LeaseLost:
            return await self.step() if await self._is_still_ours(self.lease) else -1
        if facts and self._committed:
            self._committed(facts)
        return len(facts)

    async def run(self) -> None:
        """Follow for ever; on cancellation the lease is given back."""
        try:
            async with self._record.wakes() as wakes:
                async for _ in wakes:
                    await asyncio.sleep(self._linger_seconds)
                    try:
                        while await self.step() > 0:
                            pass
                    except RecordUnavailable as error:
                        log.warning("following waits", group=self.group.name, reason=str(error))
        finally:
            if self.lease is not None:
                # Without Postgres it ends by itself; what this loop failed with must not be hidden by that.
                with suppress(RecordUnavailable, TimeoutError):
                    async with asyncio.timeout(POLL_SECONDS):
                        await checkpoints.let_go(self._db, self.group.name, self.lease.epoch)

    async def _take(self) -> bool:
        self.lease = await checkpoints.take(self._db, self.group.name, self.group.version, self._owner, LEASE_SECONDS)
        if self.lease is not None:
            log.info("lease taken", group=self.group.name, epoch=self.lease.epoch, position=self.lease.position)
            self._renewed = lapsed()
        return self.lease is not None

    async def _is_still_ours(self, lease: Lease) -> bool:
        """Find out where the group stands: a crash of Postgres may have taken commits back, or hidden that one came."""
        self.lease = await checkpoints.held(self._db, self.group.name, lease.epoch)
        if self.lease is None:
            log.warning("lease lost", group=self.group.name, owner=self._owner)
            return False
        log.warning("place corrected", group=self.group.name, position=self.lease.position, instead_of=lease.position)
        return True

    async def _write(self, facts: Sequence[Recorded[Event]]) -> None:
        assert self.lease is not None
        batch = Batch()
        for fact in facts:
            for handler in self._handlers.get(type(fact.event), ()):
                for change in handler(fact):
                    batch.apply(change)
        position = facts[-1].position
        # The checkpoint first: whoever lost the lease touches no row, and a rebuild takes its locks in the same order.
        async with self._db.transaction(durable=False) as transaction:
            await checkpoints.move(transaction, self.group.name, self.lease, position, LEASE_SECONDS)
            await batch.write(transaction)
        self.lease = Lease(self.lease.epoch, position, self.lease.version)
        self._renewed = lapsed()


class Publisher:
    """Tells frames to the lanes, in position order. What it cannot tell waits; it never holds up the rows.

    In the happy path it is handed each batch. After trouble it reads the record from the place that Redis remembers up
    to the checkpoint; where Redis has forgotten, from the checkpoint on: hubs find what they missed in the record.
    """

    def __init__(self, record: Record, db: Db, lanes: Lanes, group: Group) -> None:
        self._record = record
        self._db = db
        self._lanes = lanes
        self._group = group
        self._untold: deque[Sequence[Recorded[Event]]] = deque()
        self._untold_bytes = 0
        self._wake = asyncio.Event()
        self._place: int | None = None
        self._heard: OrderedDict[RoomId, int] = OrderedDict()

    def hand_over(self, facts: Sequence[Recorded[Event]]) -> None:
        """Take a committed batch; more than is worth keeping is read again later."""
        self._untold.append(facts)
        self._untold_bytes += bytes_of(facts)
        if self._untold_bytes > UNTOLD_BYTES_MAX:
            self._forget_place()
        self._wake.set()

    async def step(self) -> None:
        """Tell everything that waits. Raises `LanesUnavailable`; the place is then found anew."""
        self._wake.clear()
        try:
            if self._place is None:
                await self._find_place()
            while self._untold:
                facts = self._untold.popleft()
                self._untold_bytes -= bytes_of(facts)
                await self._tell(facts)
        except BaseException:
            self._forget_place()
            raise

    async def run(self) -> None:
        """Tell for ever, and have Redis forget what is old; while it is away, try again every second."""
        trimmed_at = -LANE_TRIM_SECONDS
        while True:
            try:
                await self.step()
                if lapsed() - trimmed_at >= LANE_TRIM_SECONDS:
                    await self._lanes.trim()
                    trimmed_at = lapsed()
                with suppress(TimeoutError):
                    async with asyncio.timeout(LANE_TRIM_SECONDS):
                        await self._wake.wait()
            except (LanesUnavailable, RecordUnavailable) as error:
                log.warning("publishing waits", reason=str(error))
                await asyncio.sleep(POLL_SECONDS)

    async def _find_place(self) -> None:
        self._heard.clear()
        checkpoint = await checkpoints.position(self._db, self._group.name)
        told = await self._lanes.told()
        self._place = checkpoint if told is None or told > checkpoint else told
        while facts := await self._record.after(self._place, until=checkpoint, limit=LIVE_BATCH_EVENTS_MAX):
            await self._tell(facts)
        self._place = max(self._place, checkpoint)

    async def _tell(self, facts: Sequence[Recorded[Event]]) -> None:
        assert self._place is not None
        facts = [fact for fact in facts if fact.position > (self._place or 0)]
        if not facts:
            return
        if facts[0].position > self._place + 1:
            await self._tell_between(facts[0].position)
        await self._learn_previous(facts)
        entries: list[Entry] = []
        for fact in facts:
            entries += self._entries(fact)
        await self._lanes.publish(entries, told=facts[-1].position, forgotten=await self._forgotten(facts))
        self._place = facts[-1].position

    async def _tell_between(self, position: int) -> None:
        """Tell what was committed and never handed over: the answer to its commit was lost."""
        assert self._place is not None
        while self._place < position - 1:
            await self._tell(await self._record.after(self._place, until=position - 1, limit=LIVE_BATCH_EVENTS_MAX))

    def _entries(self, fact: Recorded[Any]) -> list[Entry]:
        entries = []
        room_id = fact.event.audience()
        if room_id is not None:
            prev = self._heard.get(room_id, 0)
            self._heard[room_id] = fact.position
            self._heard.move_to_end(room_id)
            if not isinstance(fact.event, UnknownEvent):
                frame = frames.room_frame(fact, prev)
                entries.append(Entry(fact.position, room_id, prev, frame, frames.ends_membership(fact.event)))
        if (control := frames.control(fact)) is not None:
            entries.append(Entry(fact.position, None, 0, frames.encode_control(control), None))
        return entries

    async def _forgotten(self, facts: Sequence[Recorded[Event]]) -> list[tuple[RoomId, int]]:
        """Return what told of messages that are deleted, or of their files: hubs that have not read it find it in the
        record, as it may be told now.
        """
        streams: set[StreamId] = set()
        for event in (fact.event for fact in facts):
            if isinstance(event, MessageDeleted):
                streams.add(MESSAGE.id(event.message_id))
                if event.file_id is not None:
                    streams.add(FILE.id(event.file_id))
        if not streams:
            return []
        until, found = facts[-1].position, await self._record.streams(sorted(streams))
        return [
            (room_id, fact.position)
            for events in found.values()
            for fact in events
            if fact.position <= until
            and not isinstance(fact.event, MessageDeleted)
            and (room_id := fact.event.audience()) is not None
        ]

    async def _learn_previous(self, facts: Sequence[Recorded[Event]]) -> None:
        """Look up, for rooms not remembered, what they heard before this batch."""
        first: dict[RoomId, int] = {}
        for fact in facts:
            room_id = fact.event.audience()
            if room_id is not None and room_id not in self._heard:
                first.setdefault(room_id, fact.position)
        previous = await self._record.previous_in_rooms(list(first.items()))
        self._heard.update(zip(first, previous, strict=True))
        while len(self._heard) > ROOMS_REMEMBERED_MAX + len(first):
            self._heard.popitem(last=False)

    def _forget_place(self) -> None:
        self._untold.clear()
        self._untold_bytes = 0
        self._place = None


def bytes_of(facts: Sequence[Recorded[Event]]) -> int:
    """Return about how much memory events take: their texts, and a fixed sum for each."""
    return sum(EVENT_BYTES + len(getattr(fact.event, "content", "")) for fact in facts)
