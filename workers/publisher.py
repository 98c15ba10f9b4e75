"""The publisher: adds the live group's frames to the lanes, in position order, after their rows are committed.

Frames that cannot be published wait; they never delay the rows. Normally each batch is handed over by the follower.
After trouble, and whenever its process takes the group's lease, the publisher reads the record from the position that
Redis remembers up to the checkpoint; if Redis has lost it, from the checkpoint on: hubs find what they missed in the
record.

The position that Redis remembers moves only past what every lane took. A lane that refuses is left out and tried again
every second, from where it was; the others go on. A position beyond the head belongs to a record that was since
restored to an earlier state: the record gets a new id, and every process starts again.
"""

import asyncio
from collections import OrderedDict, deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from time import perf_counter

import structlog

from adapters.clock import monotonic
from adapters.prometheus.workers import PublisherMetrics
from adapters.redis.lanes import LANE_TRIM_SECONDS, Entry, Lanes, LanesUnavailableError
from domain.bounds import LIVE_BATCH_EVENTS_MAX, POLL_SECONDS, READ_EVENTS_MAX
from domain.events import Event, Recorded
from domain.ids import RoomId
from domain.ports.database import Db
from domain.ports.record import Record, RecordReplacedError, RecordUnavailableError
from projections import checkpoints
from projections.tables import Group
from workers.lane_entries import LaneEntries

log = structlog.get_logger()

UNTOLD_BYTES_MAX = 32 * 1024**2  # about
EVENT_BYTES = 1_500  # of an event with a short text, and all that surrounds it


class Publisher:
    """Publishes frames. Only the process that holds the group's lease publishes; a standby's publisher waits."""

    def __init__(
        self,
        record: Record,
        db: Db,
        lanes: Lanes,
        group: Group,
        metrics: PublisherMetrics | None = None,
        *,
        deliver: Callable[[Sequence[Entry]], None] | None = None,
    ) -> None:
        """`deliver` gets the entries before they are added to the lanes: the hub of the same process, if there is one."""
        self._record = record
        self._deliver = deliver
        self._events_max = LIVE_BATCH_EVENTS_MAX if deliver is None else READ_EVENTS_MAX
        self._db = db
        self._lanes = lanes
        self._entries = LaneEntries(record, lanes)
        self._group = group
        self._untold: deque[Sequence[Recorded[Event]]] = deque()
        self._untold_bytes = 0
        self._wake = asyncio.Event()
        self._place = 0  # everything up to it was told, but for lanes that are behind
        self._is_lost = True  # the place is to be found anew
        self._heard: OrderedDict[RoomId, int] = OrderedDict()
        self._behind: dict[int, int] = {}  # lanes that refused, and up to where each took everything
        self._metrics = metrics or PublisherMetrics()
        self._metrics.lanes_behind.set_function(lambda: len(self._behind))

    def begin(self) -> None:
        """Find the position anew: the lease was taken just now, and another process may have published in between."""
        self._is_lost = True
        self._wake.set()

    def hand_over(self, events: Sequence[Recorded[Event]]) -> None:
        """Take a committed batch. If too much waits already, forget it all and read it from the record later."""
        self._untold.append(events)
        self._untold_bytes += bytes_of(events)
        if self._untold_bytes > UNTOLD_BYTES_MAX:
            self._forget_untold()
            self._is_lost = True
        self._wake.set()

    async def step(self) -> None:
        """Publish everything that waits. Raise `LanesUnavailableError` or `RecordReplacedError`; the next step finds the position
        anew."""
        self._wake.clear()
        try:
            while self._is_lost or self._untold:
                if self._is_lost:
                    await self._find_place()
                else:
                    events = self._untold.popleft()
                    self._untold_bytes -= bytes_of(events)
                    await self._tell(events)
            if self._behind:
                await self._mend()
        except BaseException:
            self._is_lost = True
            raise

    async def run(self) -> None:
        """Publish what is handed over, for ever, and trim the lanes. While Redis is away, try again every second."""
        trimmed_at = -LANE_TRIM_SECONDS
        while True:
            is_woken = False
            with suppress(TimeoutError):
                async with asyncio.timeout(POLL_SECONDS if self._behind else LANE_TRIM_SECONDS):
                    is_woken = await self._wake.wait()
            try:
                if is_woken or self._behind:
                    await self.step()
                if monotonic() - trimmed_at >= LANE_TRIM_SECONDS:
                    await self._lanes.trim()
                    trimmed_at = monotonic()
            except (LanesUnavailableError, RecordUnavailableError) as error:
                log.warning("publishing waits", reason=str(error))
                await asyncio.sleep(POLL_SECONDS)
                self._wake.set()

    def _forget_untold(self) -> None:
        self._untold.clear()
        self._untold_bytes = 0

    async def _find_place(self) -> None:
        """Go on where Redis says, up to the checkpoint. What is handed over from now on is found or told again."""
        self._is_lost = False
        self._forget_untold()
        self._heard.clear()
        self._behind.clear()
        checkpoint = await checkpoints.position(self._db, self._group.name)
        told = await self._lanes.published()
        if told is not None and told > checkpoint:
            await self._require_told_by_this_record(told)
        self._place = checkpoint if told is None else min(told, checkpoint)
        while events := await self._record.after(self._place, until=checkpoint, limit=self._events_max):
            await self._tell(events)
        self._place = max(self._place, checkpoint)

    async def _require_told_by_this_record(self, told: int) -> None:
        """Raise `RecordReplacedError` if more was published than the record holds, after giving it another id."""
        head = await self._record.head()
        if told <= head.position:
            return
        log.error("the record is behind what was told of it: it was replaced by an earlier state, and gets a new id",
                  told=told, head=head.position, record=str(head.record))  # fmt: skip
        await self._record.renew(head.record, told)
        await self._lanes.forget()
        raise RecordReplacedError(f"Frames were told up to position {told}, and the record ends at {head.position}.")

    async def _tell(self, events: Sequence[Recorded[Event]]) -> None:
        events = [recorded for recorded in events if recorded.position > self._place]
        if not events:
            return
        began = perf_counter()
        if events[0].position > self._place + 1:
            await self._tell_between(events[0].position)
        entries = await self._entries.of(events, self._heard)
        if self._deliver is not None:
            self._deliver(entries)
        entries = [entry for entry in entries if self._entries.lane(entry) not in self._behind]
        last = events[-1].position
        forgotten = [
            each for each in await self._entries.forgotten(events) if self._entries.lane_of(each[0]) not in self._behind
        ]
        for lane in await self._lanes.publish(entries, published=None if self._behind else last, forgotten=forgotten):
            log.error("a lane refuses frames", lane=lane, after=self._place)
            self._behind[lane] = self._place
        self._place = last
        self._metrics.seconds.observe(perf_counter() - began)
        self._metrics.frames.inc(len(entries))

    async def _tell_between(self, position: int) -> None:
        """Publish what was committed and never handed over, because the answer to its commit was lost."""
        while self._place < position - 1:
            await self._tell(await self._record.after(self._place, until=position - 1, limit=self._events_max))

    async def _mend(self) -> None:
        """Publish to lanes that refused what they missed; lanes that still refuse stay where they are."""
        for lane in list(self._behind):
            if await self._caught_up(lane, self._place):
                del self._behind[lane]
                log.info("a lane is mended", lane=lane)
        if not self._behind:
            await self._lanes.publish((), published=self._place)

    async def _caught_up(self, lane: int, until: int) -> bool:
        while self._behind[lane] < until:
            events = await self._record.after(self._behind[lane], until=until, limit=self._events_max)
            entries = [entry for entry in await self._entries.of(events, {}) if self._entries.lane(entry) == lane]
            forgotten = [
                each for each in await self._entries.forgotten(events) if self._entries.lane_of(each[0]) == lane
            ]
            if await self._lanes.publish(entries, published=None, forgotten=forgotten):
                return False
            self._behind[lane] = events[-1].position
        return True


def bytes_of(events: Sequence[Recorded[Event]]) -> int:
    """Return about how much memory events take: their texts, and a fixed sum for each."""
    return sum(EVENT_BYTES + len(getattr(recorded.event, "content", "")) for recorded in events)
