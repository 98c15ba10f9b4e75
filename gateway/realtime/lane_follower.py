"""Following: how a hub hears what is told. By the lanes while Redis answers, by the record while it does not.

Rooms need no more than lanes and the comparison with the read tables (`gateway/realtime/hub.py`): a frame's `prev` shows what was
missed. The control lane has no `prev`. So everything it says up to `obeyed` is known to be done; when Redis was away, or
has forgotten how far was told, the same is read from the record until both agree again.
"""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress

import msgspec
import structlog

from adapters.clock import lapsed
from adapters.redis.lanes import CONTROL, Entry, Lanes, LanesUnavailable
from domain.bounds import LANE_MARK_SECONDS, LANE_READ_ENTRIES_MAX, LIVE_BATCH_EVENTS_MAX
from domain.ports import Db, Record
from projections import checkpoints, frames

log = structlog.get_logger()

LISTEN_SECONDS = 1.0
RETRY_SECONDS = 0.25


class Following:
    """The lanes that this process reads, and where it is on them."""

    def __init__(
        self,
        record: Record,
        db: Db,
        lanes: Lanes,
        *,
        hear: Callable[[Entry], None],
        obey: Callable[[frames.Control], None],
    ) -> None:
        """`hear` gets every entry of a room's lane, `obey` everything that the control lane says, once and in order."""
        self.left_lanes = asyncio.Event()  # set while the record is followed instead
        self._record = record
        self._db = db
        self._lanes = lanes
        self._hear = hear
        self._obey = obey
        self._places: dict[int, str] = {}
        self._lanes_read: frozenset[int] = frozenset()
        self._is_away = False
        self._obeyed = 0
        self._passed_over = 0
        self._marked_at = 0.0

    async def begin(self) -> None:
        """Find the places to follow from. What was told before them is in the read tables."""
        await self._place(CONTROL)
        self._obeyed = await checkpoints.position(self._db, "live")

    async def listen(self, room_lane: int) -> None:
        """Read a lane from now on. While Redis is away, comparing with the tables does what the lane would."""
        if room_lane in self._places:
            return
        await self._place(room_lane)
        deadline = lapsed() + LISTEN_SECONDS
        while room_lane not in self._lanes_read and not self._is_away and lapsed() < deadline:
            with suppress(LanesUnavailable):
                await self._lanes.interrupt()
            await asyncio.sleep(0.001)

    async def run(self) -> None:
        """Read the lanes until cancelled."""
        while True:
            try:
                await self.step()
            except LanesUnavailable as error:
                if not self._is_away:
                    log.warning("the hub follows the record", reason=str(error))
                self._is_away = True
                self.left_lanes.set()
                await asyncio.sleep(RETRY_SECONDS)

    async def step(self) -> None:
        """Wait for entries, a bounded time, and take them. Raises `LanesUnavailable`."""
        if self._is_away:
            for lane in list(self._places):
                self._places[lane] = await self._lanes.last(lane)
            self._is_away = False
            log.info("the hub follows Redis again")
        self._lanes_read = frozenset(self._places)
        told = await self._mark()
        answer = await self._lanes.read(self._places)
        for lane, (place, entries) in answer.items():
            self._places[lane] = place
            if lane == CONTROL:
                self._take_control(entries)
            else:
                for entry in entries:
                    self._hear(entry)
        is_all = CONTROL not in answer or len(answer[CONTROL][1]) < LANE_READ_ENTRIES_MAX
        if told is not None and is_all and not self.left_lanes.is_set():
            self._obeyed = max(self._obeyed, told)

    async def follow_record(self) -> None:
        """Obey what the control lane may have lost; nothing to do while it is whole. Raises `RecordUnavailable`."""
        if not self.left_lanes.is_set():
            return
        # How far was told comes first, the tables' position after it: from there on the lane has everything.
        told = await self._told()
        until = await checkpoints.position(self._db, "live")
        while self._obeyed < until:
            facts = await self._record.after(self._obeyed, until=until, limit=LIVE_BATCH_EVENTS_MAX)
            for fact in facts:
                if (control := frames.control(fact)) is not None:
                    self._obey(control)
                self._obeyed = fact.position
            if len(facts) < LIVE_BATCH_EVENTS_MAX:
                self._obeyed = until
        if told is not None and self._passed_over <= self._obeyed:
            self.left_lanes.clear()

    async def _place(self, lane: int) -> None:
        try:
            place = await self._lanes.last(lane)
        except LanesUnavailable:
            place, self._is_away = "0-0", True
            self.left_lanes.set()
        self._places.setdefault(lane, place)

    async def _mark(self) -> int | None:
        """Return, once in a while, how far was told: a read that begins after this brings all of it."""
        if lapsed() - self._marked_at < LANE_MARK_SECONDS:
            return None
        self._marked_at = lapsed()
        told = await self._lanes.told()
        if told is None:
            self.left_lanes.set()  # Redis was emptied, or nothing was ever told
        return told

    async def _told(self) -> int | None:
        if self._is_away:
            return None
        try:
            return await self._lanes.told()
        except LanesUnavailable:
            return None

    def _take_control(self, entries: Sequence[Entry]) -> None:
        for entry in entries:
            if self.left_lanes.is_set():
                self._passed_over = max(self._passed_over, entry.position)
            elif entry.position > self._obeyed:
                self._obeyed = entry.position
                try:
                    control = frames.decode_control(entry.frame)
                except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
                    log.error("an entry of the control lane cannot be read", position=entry.position)
                else:
                    self._obey(control)
