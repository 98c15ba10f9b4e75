"""The hub: from the lanes to the sockets of one gateway process. It joins the parts and runs their loops.

Frames come from the lanes (`lane_follower`). A room that somebody is subscribed to is followed (`rooms`): its next frame is
fanned out (`fan_out`); where one was missed, the record is read first (`healing`). A subscription that begins, or whose
client reads slowly, is replayed from the record (`replay`). Entries of the control lane are applied (`control_entries`).

Redis is only a hint. While it is away, and every few seconds anyway, the rooms are compared with the read tables.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress

import structlog

from adapters.clock import monotonic
from adapters.prometheus.gateway import HubMetrics
from adapters.redis.cluster_state import ClusterState
from adapters.redis.lanes import Entry, Lanes
from domain.ids import RoomId
from domain.ports.database import Db
from domain.ports.record import Record, RecordUnavailableError
from gateway.http.read_your_writes import Reads
from gateway.realtime import draining
from gateway.realtime.background_tasks import BackgroundTasks, run_together
from gateway.realtime.connection import Connection
from gateway.realtime.connection_limit import SocketLimit
from gateway.realtime.connections import Connections
from gateway.realtime.control_entries import ControlEntries
from gateway.realtime.fan_out import FanOut
from gateway.realtime.healing import Healing
from gateway.realtime.history import RoomHistory, frame_of
from gateway.realtime.lane_follower import LaneFollower
from gateway.realtime.outbox import Outbox, OutboxWriter, Transport
from gateway.realtime.presence import Presence
from gateway.realtime.replay import Replay
from gateway.realtime.rooms import FollowedRooms
from gateway.realtime.session_watch import RELOAD_SECONDS, Sessions, SessionWatch
from gateway.realtime.subscription import FollowedRoom, Subscription
from projections import frames

log = structlog.get_logger()

SWEEP_SECONDS = 2.0
SWEEP_WITHOUT_REDIS_SECONDS = 0.25
BEGIN_AGAIN_SECONDS = 0.25


class Hub:
    """All rooms and sockets of one gateway process."""

    def __init__(
        self,
        record: Record,
        db: Db,
        lanes: Lanes,
        cluster_state: ClusterState,
        socket_limit: SocketLimit,
        sessions: Sessions,
        reads: Reads,
        metrics: HubMetrics | None = None,
        *,
        fan_out: type[FanOut] = FanOut,
        replay: type[Replay] = Replay,
    ) -> None:
        """`fan_out` and `replay` are replaced by tests that plant a fault."""
        self.draining = False
        metrics = metrics or HubMetrics()
        self._reads = reads
        self._tasks = BackgroundTasks()
        self._writer = OutboxWriter(start=self._tasks.start, metrics=metrics)
        self._connections = Connections()
        metrics.sockets.set_function(lambda: len(self._connections))
        self._session_watch = SessionWatch(sessions, self._connections)
        self._control = ControlEntries(sessions, self._session_watch, self._connections)
        self._follower = LaneFollower(
            record, db, lanes, receive=self.receive, apply_control=self._apply_control, send_own=self._send_own
        )
        self._rooms = FollowedRooms(db, follow_lane=lambda room_id: self._follower.follow(lanes.lane_of(room_id)))
        history = RoomHistory(record, db)
        self._replay = replay(history, self._tasks, wait_for=reads.wait, metrics=metrics)
        self._fan_out = fan_out(catch_up=self._replay.catch_up_soon, metrics=metrics)
        self._healing = Healing(db, history, self._rooms, self._tasks, broadcast=self._fan_out.broadcast)
        self.presence = Presence(cluster_state, self._rooms, socket_limit, lane_of=lanes.lane_of)

    @property
    def follows_record(self) -> bool:
        """Whether Redis is away, or was until just now: then frames come from the record, somewhat later."""
        return self._follower.left_lanes.is_set()

    # The sockets' side

    def outbox(self, transport: Transport) -> Outbox:
        """Return a new outbox, which is written together with all others."""
        return Outbox(transport, write_soon=self._writer.write_soon)

    def register(self, connection: Connection) -> None:
        """Take a socket in: from now on it gets its user's own frames. Close it if its session has ended meanwhile."""
        self._connections.add(connection)
        self._session_watch.check(connection)

    def unregister(self, connection: Connection) -> None:
        connection.abandon()
        self._connections.remove(connection)

    async def open_room(self, room_id: RoomId) -> FollowedRoom:
        """Return a room that is followed from now on."""
        return await self._rooms.open(room_id)

    def subscribe(self, subscription: Subscription) -> None:
        """Begin a subscription, in place of the socket's earlier one to the same room. It catches up first."""
        room = subscription.room = self._rooms.reopen(subscription.room)
        connection = subscription.connection
        if connection.is_closed:
            return
        if (earlier := connection.subscriptions.get(room.room_id)) is not None:
            earlier.drop()
        connection.subscriptions[room.room_id] = subscription
        self._replay.catch_up_soon(subscription)

    async def drain(self) -> None:
        """Send all clients elsewhere, and accept no new ones."""
        self.draining = True
        await draining.drain(self._connections)

    # The lanes' side

    def deliver(self, entries: Sequence[Entry]) -> None:
        """Take entries from the publisher of this process, before their lanes have them. Those of the control lane are left to it:
        they are few, and nobody waits for them. But whose session they end gets no frame before that."""
        for entry in entries:
            if entry.room_id is None:
                self._control.silence(frames.decode_control(entry.frame))
        for entry in entries:
            if entry.room_id is not None:
                self._follower.note_delivered(entry)
                self.receive(entry)

    def publishes_here(self, is_here: Callable[[], bool]) -> None:
        """Leave the lanes of rooms unread as long as this is true: everything on them is delivered."""
        self._follower.publishes_here = is_here

    def receive(self, entry: Entry) -> None:
        """Take one entry of a room's lane."""
        self._reads.passed(entry.position)
        self._rooms.note_received(entry.position)
        room = None if entry.room_id is None else self._rooms.by_id.get(entry.room_id)
        if room is None or entry.position <= room.seen:
            return
        if entry.prev > room.seen or frames.is_of_file(entry.frame):
            self._healing.heal_soon(
                room, entry.position
            )  # what a file's frame may tell depends on the messages with it
        else:
            self._fan_out.broadcast(room, frame_of(entry, is_since_joining=room.is_since_joining))

    def _apply_control(self, control: frames.Control) -> None:
        self._reads.passed(control.position)
        self._control.apply(control)

    def _send_own(self, control: frames.Control) -> None:
        self._reads.passed(control.position, group="notifications")
        self._control.send_own_frames(control)

    # Running

    async def run(self) -> None:
        """Follow lanes, record and sessions until cancelled."""
        while not await self._begin():
            await asyncio.sleep(BEGIN_AGAIN_SECONDS)
        try:
            await run_together(
                self._follower.run(),
                self.presence.run(),
                _repeat(self._sweep, self._until_next_sweep),
                _repeat(self._session_watch.reload, lambda: asyncio.sleep(RELOAD_SECONDS)),
                _repeat(self._close_stalled, lambda: asyncio.sleep(SWEEP_SECONDS)),
            )
        finally:
            self._tasks.cancel()
            self._rooms.cancel()

    async def _begin(self) -> bool:
        """Find where to follow from. Return False if Postgres, which was there a moment ago, is away."""
        try:
            # First the lanes' ends: what was published before them is in the tables by then, what comes after is received.
            await self._follower.begin()
            await self._session_watch.reload()
        except RecordUnavailableError as error:
            log.warning("the hub waits for Postgres", reason=str(error))
            return False
        return True

    async def _until_next_sweep(self) -> None:
        """Wait until it is time to compare again: at once when the lanes fail, often while they are away."""
        if self.follows_record:
            await asyncio.sleep(SWEEP_WITHOUT_REDIS_SECONDS)
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(SWEEP_SECONDS):
                await self._follower.left_lanes.wait()

    async def _sweep(self) -> None:
        """Make up for what the lanes may have lost, and forget the rooms that nobody is subscribed to."""
        await self._follower.follow_record()
        self._rooms.forget_idle()
        await self._healing.compare()

    async def _close_stalled(self) -> None:
        self._connections.close_stalled(monotonic())


async def _repeat(step: Callable[[], Awaitable[None]], pause: Callable[[], Awaitable[None]]) -> None:
    while True:
        await pause()
        try:
            await step()
        except RecordUnavailableError as error:
            log.warning("the hub waits for Postgres", reason=str(error))
