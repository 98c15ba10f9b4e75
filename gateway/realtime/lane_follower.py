"""Lane follower: how a hub receives what is published. From the lanes while Redis answers, from the record while it does not.

For rooms the lanes and a comparison with the read tables are enough (`gateway/realtime/healing.py`): a frame's `prev` shows
what was missed. The control lane has no `prev`. So the follower keeps the position up to which everything on it is known to
be applied; when Redis was away, or has forgotten how far was published, the same is read from the record until both agree
again.
"""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress

import msgspec
import structlog

from adapters.clock import monotonic
from adapters.redis.lanes import CONTROL, LANE_READ_ENTRIES_MAX, NOTIFICATIONS, Entry, Lanes, LanesUnavailableError
from domain.bounds import LIVE_BATCH_EVENTS_MAX
from domain.ports.database import Db
from domain.ports.record import Record
from gateway.realtime.notification_lane import NotificationLane
from projections import checkpoints, frames

LANE_MARK_SECONDS = 1.0

log = structlog.get_logger()

FOLLOW_SECONDS = 1.0
RETRY_SECONDS = 0.25


class LaneFollower:
    """The lanes that this process reads, and how far it has read them."""

    def __init__(
        self,
        record: Record,
        db: Db,
        lanes: Lanes,
        *,
        receive: Callable[[Entry], None],
        apply_control: Callable[[frames.Control], None],
        send_own: Callable[[frames.Control], None],
    ) -> None:
        """`receive` gets every entry of a room's lane, `apply_control` every entry of the control lane, `send_own` every one of the
        lane of notifications, once and in order."""
        self.left_lanes = asyncio.Event()  # set while the record is followed instead
        self.publishes_here: Callable[[], bool] = _never
        self._record = record
        self._db = db
        self._lanes = lanes
        self._receive = receive
        self._apply_control = apply_control
        self._notifications = NotificationLane(db, apply=send_own)
        self._cursors: dict[int, str] = {}  # by lane, the id of the last entry
        self._lanes_read: frozenset[int] = frozenset()
        self._is_away = False
        self._applied = 0  # everything on the control lane up to this position is applied
        self._passed_over = 0  # the last position on the control lane that was left to the record
        self._marked_at = 0.0

    async def begin(self) -> None:
        """Find where to follow from. What was published before is in the read tables. Raise `RecordUnavailableError`."""
        await self._find_cursor(CONTROL)
        await self._find_cursor(NOTIFICATIONS)
        await self._notifications.begin()
        self._applied = await checkpoints.position(self._db, "live")

    async def follow(self, room_lane: int) -> None:
        """Read a lane from now on. While Redis is away, comparing with the tables does what the lane would."""
        if room_lane in self._cursors:
            return
        await self._find_cursor(room_lane)
        deadline = monotonic() + FOLLOW_SECONDS
        while not (room_lane in self._lanes_read or self._is_away or self.publishes_here() or monotonic() >= deadline):
            with suppress(LanesUnavailableError):
                await self._lanes.interrupt()
            await asyncio.sleep(0.001)

    def note_delivered(self, entry: Entry) -> None:
        """Note that an entry of a room came without its lane, so that the lane need not be read up to there."""
        assert entry.room_id is not None, "it is an entry of a room"
        if (lane := self._lanes.lane_of(entry.room_id)) in self._cursors:
            self._cursors[lane] = f"{entry.position}-0"

    async def run(self) -> None:
        """Read the lanes until cancelled."""
        while True:
            try:
                await self.step()
            except LanesUnavailableError as error:
                if not self._is_away:
                    log.warning("the hub follows the record", reason=str(error))
                self._is_away = True
                self.left_lanes.set()
                await asyncio.sleep(RETRY_SECONDS)

    async def step(self) -> None:
        """Wait for entries, a bounded time, and take them. Raise `LanesUnavailableError`."""
        if self._is_away:
            for lane in list(self._cursors):
                self._cursors[lane] = await self._lanes.last(lane)
            self._is_away = False
            log.info("the hub follows Redis again")
        places = self._places()
        self._lanes_read = frozenset(places)
        published = await self._published_once_in_a_while()
        answer = await self._lanes.read(places)
        for lane, (cursor, entries) in answer.items():
            self._cursors[lane] = cursor
            if lane == CONTROL:
                self._take_control(entries)
            elif lane != NOTIFICATIONS:
                for entry in entries:
                    self._receive(entry)
        if NOTIFICATIONS in answer:  # after the frames of what they speak of
            take = self._notifications.pass_over if self.left_lanes.is_set() else self._notifications.take
            take(answer[NOTIFICATIONS][1])
        is_all = CONTROL not in answer or len(answer[CONTROL][1]) < LANE_READ_ENTRIES_MAX
        if published is not None and is_all and not self.left_lanes.is_set():
            self._applied = max(self._applied, published)

    def _places(self) -> dict[int, str]:
        """Return where to read on. What this process publishes itself it was given before, but for what is in no room."""
        if not self.publishes_here():
            return self._cursors
        return {lane: cursor for lane, cursor in self._cursors.items() if lane < 0}

    async def follow_record(self) -> None:
        """Apply what the control lane may have lost. Do nothing while the lane is whole. Raise `RecordUnavailableError`."""
        if not self.left_lanes.is_set():
            return
        # First how far was published, then the tables' position: from there on the lane has everything.
        published = await self._published()
        until = await checkpoints.position(self._db, "live")
        await self._apply_record(until)
        await self._notifications.heal()
        if published is not None and self._passed_over <= self._applied and self._notifications.is_whole:
            self.left_lanes.clear()

    async def _apply_record(self, until: int) -> None:
        while self._applied < until:
            events = await self._record.after(self._applied, until=until, limit=LIVE_BATCH_EVENTS_MAX)
            for recorded in events:
                if (control := frames.control(recorded)) is not None:
                    self._apply_control(control)
                self._applied = recorded.position
            if not events:
                self._applied = until

    async def _find_cursor(self, lane: int) -> None:
        try:
            cursor = await self._lanes.last(lane)
        except LanesUnavailableError:
            cursor, self._is_away = "0-0", True
            self.left_lanes.set()
        self._cursors.setdefault(lane, cursor)

    async def _published_once_in_a_while(self) -> int | None:
        """Return, every `LANE_MARK_SECONDS`, how far was published; otherwise None.

        A read of the lanes that begins after this brings everything up to it.
        """
        if monotonic() - self._marked_at < LANE_MARK_SECONDS:
            return None
        self._marked_at = monotonic()
        published = await self._lanes.published()
        if published is None:
            self.left_lanes.set()  # Redis was emptied, or nothing was ever published
        return published

    async def _published(self) -> int | None:
        """Return how far was published, or None if Redis is away or has forgotten it."""
        if self._is_away:
            return None
        try:
            return await self._lanes.published()
        except LanesUnavailableError:
            return None

    def _take_control(self, entries: Sequence[Entry]) -> None:
        for entry in entries:
            if self.left_lanes.is_set():
                self._passed_over = max(self._passed_over, entry.position)
            elif entry.position > self._applied:
                self._applied = entry.position
                try:
                    control = frames.decode_control(entry.frame)
                except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
                    log.error("an entry of the control lane cannot be read", position=entry.position)
                else:
                    self._apply_control(control)


def _never() -> bool:
    return False
