"""The hub: from the lanes to the sockets of this process.

A room that somebody here listens to is followed: `seen` says up to where its frames were fanned out. A frame whose `prev`
lies beyond `seen` shows that something was missed; then the record is read before anything is delivered. A feed is one
socket's subscription to one room: *live* (gets what is fanned out) or *catching up* (is fed pages of the record at the
client's own pace, until nothing lies between). Whoever falls behind catches up in the same way: nobody waits for them.

Redis is a hint (`gateway/realtime/lane_follower.py`). While it is away, and every few seconds anyway, rooms are compared with the
read tables.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextlib import suppress
from time import perf_counter
from typing import Any

import structlog

from adapters.clock import lapsed
from adapters.prometheus.gateway import HubMetrics
from adapters.redis.cluster_state import Roster
from adapters.redis.lanes import Entry, Lanes
from domain.bounds import (
    DRAIN_REPLIES_SECONDS,
    DRAIN_SECONDS,
    DRAIN_SOCKETS_A_SECOND,
    REPLAY_PAGE_EVENTS,
    REPLAY_PAGE_EVENTS_MIN,
    REPLAYS_AT_ONCE_MAX,
)
from domain.ids import RoomId, UserId
from domain.ports import Db, Record, RecordUnavailable
from gateway.edge.authentication import RELOAD_SECONDS, Sessions
from gateway.http.read_your_writes import Reads
from gateway.protocol import client_frames, server_frames
from gateway.realtime import history
from gateway.realtime.connection_limit import Seats
from gateway.realtime.feeds import Connection, Feed, Rings, Room, Told
from gateway.realtime.lane_follower import Following
from gateway.realtime.presence import Presence
from projections import checkpoints, frames, rooms

log = structlog.get_logger()

DRAIN_WRITE_SECONDS = 0.1
SWEEP_SECONDS = 2.0
BEGIN_AGAIN_SECONDS = 0.25
SWEEP_WITHOUT_REDIS_SECONDS = 0.25


class Hub:
    """All rooms and sockets of one gateway process."""

    def __init__(
        self,
        record: Record,
        db: Db,
        lanes: Lanes,
        roster: Roster,
        seats: Seats,
        sessions: Sessions,
        reads: Reads,
        metrics: HubMetrics | None = None,
    ) -> None:
        self.draining = False
        self._metrics = metrics or HubMetrics()
        self._metrics.sockets.set_function(lambda: len(self._connections))
        self._record = record
        self._db = db
        self._lanes = lanes
        self._sessions = sessions
        self._reads = reads
        self._rooms: dict[RoomId, Room] = {}
        self.presence = Presence(roster, self._rooms, seats, lane_of=lanes.lane_of)
        self._rings = Rings()
        self._opening: dict[RoomId, asyncio.Task[Room]] = {}
        # Dictionaries where sets would do: in the order of coming, so that a simulated run can be had again.
        self._connections: dict[Connection, None] = {}
        self._by_user: dict[UserId, dict[Connection, None]] = {}
        self._dirty: list[Connection] = []
        self._dirty_since = 0.0
        self._last_heard = 0
        self._following = Following(record, db, lanes, hear=self.hear, obey=self._obey)
        self._replays = asyncio.Semaphore(REPLAYS_AT_ONCE_MAX)
        self._tasks: set[asyncio.Task[None]] = set()

    # The sockets' side

    def enter(self, connection: Connection) -> None:
        """Take a socket in: from now on it hears of itself. One whose session ended on the way here is closed."""
        self._connections[connection] = None
        self._by_user.setdefault(connection.access.user_id, {})[connection] = None
        self._close_if_over(connection)

    def leave(self, connection: Connection) -> None:
        for feed in list(connection.feeds.values()):
            feed.drop()
        connection.closed = True
        self._connections.pop(connection, None)
        of_user = self._by_user.get(connection.access.user_id, {})
        of_user.pop(connection, None)
        if not of_user:
            self._by_user.pop(connection.access.user_id, None)

    async def open_room(self, room_id: RoomId) -> Room:
        """Return a room that is followed from now on."""
        if (room := self._rooms.get(room_id)) is not None:
            return room
        if (opening := self._opening.get(room_id)) is None:
            # A task of its own: whoever asked first may go away, and the others must not go with them.
            opening = self._opening[room_id] = asyncio.get_running_loop().create_task(self._open(room_id))
            opening.add_done_callback(lambda task: task.cancelled() or task.exception())
        return await asyncio.shield(opening)

    async def _open(self, room_id: RoomId) -> Room:
        """Follow a room: its lane first, then how far its tables are."""
        try:
            await self._following.listen(self._lanes.lane_of(room_id))
            seen = await checkpoints.position(self._db, "live")
            while seen < self._last_heard:  # heard while we asked, and passed over because nobody followed the room yet
                seen = await checkpoints.position(self._db, "live")
            # One that was forgotten meanwhile may be back with its feeds: they must not be left behind.
            return self._rooms.setdefault(
                room_id, Room(room_id, seen, stirred=self.presence.stirred, rings=self._rings)
            )
        finally:
            del self._opening[room_id]

    def subscribe(self, feed: Feed) -> None:
        """Begin a feed; it catches up first, in its own time."""
        # A room that was idle for a moment may have been forgotten; then this one is followed again.
        room = self._rooms.setdefault(feed.room.room_id, feed.room)
        room.learn_from(feed.room)
        feed.room = room
        connection = feed.connection
        if connection.closed:
            return
        if (earlier := connection.feeds.get(room.room_id)) is not None:
            earlier.drop()
        connection.feeds[room.room_id] = feed
        self._catch_up_soon(feed)

    def write_soon(self, connection: Connection) -> None:
        """Have a connection's outbox written at the end of this turn of the loop."""
        if not self._dirty:
            self._dirty_since = perf_counter()
            asyncio.get_running_loop().call_soon(self._write_all)
        self._dirty.append(connection)

    async def drain(self) -> None:
        """Send everybody elsewhere, spread over some seconds; each is served until its time has come."""
        self.draining = True
        spread = min(DRAIN_SECONDS, len(self._connections) / DRAIN_SOCKETS_A_SECOND)
        async with asyncio.TaskGroup() as group:
            for connection in self._connections:
                seconds = random.uniform(0, spread)
                connection.say(client_frames.frame(server_frames.Reconnect(int(seconds * 1000))))
                group.create_task(self._send_away(connection, seconds))
        if self._connections:  # what they were told last is on its way
            await asyncio.sleep(DRAIN_WRITE_SECONDS)

    async def _send_away(self, connection: Connection, seconds: float) -> None:
        await asyncio.sleep(seconds)
        connection.leaving = True
        deadline = lapsed() + DRAIN_REPLIES_SECONDS
        while connection.operations and not connection.closed and lapsed() < deadline:
            await asyncio.sleep(0.01)
        connection.close(client_frames.DRAINING, "this server is going away")

    # Running

    async def run(self) -> None:
        """Follow lanes, record and sessions until cancelled."""
        while not await self._begins():
            await asyncio.sleep(BEGIN_AGAIN_SECONDS)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._following.run())
                group.create_task(self.presence.run())
                group.create_task(self._repeat(self._sweep, self._pause_of_sweeps))
                group.create_task(self._repeat(self._reload_sessions, lambda: asyncio.sleep(RELOAD_SECONDS)))
                group.create_task(self._repeat(self._cut_stalled, lambda: asyncio.sleep(SWEEP_SECONDS)))
        finally:
            for task in (*self._tasks, *self._opening.values()):
                task.cancel()

    async def _begins(self) -> bool:
        """Find where to follow from; False while Postgres, which was there a moment ago, is away."""
        try:
            # The lane's place first: what is told before it is in the tables by then, what comes after it will be heard.
            await self._following.begin()
            await self._reload_sessions()
        except RecordUnavailable as error:
            log.warning("the hub waits for Postgres", reason=str(error))
            return False
        return True

    async def _repeat(self, step: Callable[[], Awaitable[None]], pause: Callable[[], Awaitable[None]]) -> None:
        while True:
            await pause()
            try:
                await step()
            except RecordUnavailable as error:
                log.warning("the hub waits for Postgres", reason=str(error))

    @property
    def follows_record(self) -> bool:
        """Whether Redis is away, or was until just now: then frames come by the record, somewhat later."""
        return self._following.left_lanes.is_set()

    async def _pause_of_sweeps(self) -> None:
        """Wait until it is time to compare again: at once when the lanes fail, often while they are away."""
        if self._following.left_lanes.is_set():
            await asyncio.sleep(SWEEP_WITHOUT_REDIS_SECONDS)
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(SWEEP_SECONDS):
                await self._following.left_lanes.wait()

    async def _sweep(self) -> None:
        """Compare the rooms with the read tables, heal those that missed something, forget those nobody hears."""
        await self._following.follow_record()
        for room in [room for room in self._rooms.values() if room.is_idle]:
            room.forget()
            del self._rooms[room.room_id]
        for room_id, activity in await rooms.activities(self._db, list(self._rooms)):
            followed = self._rooms.get(room_id)
            if followed is not None and activity > followed.seen:
                self._heal_soon(followed, activity)

    async def _reload_sessions(self) -> None:
        await self._sessions.reload()
        for connection in list(self._connections):
            self._close_if_over(connection)

    def _close_if_over(self, connection: Connection) -> None:
        if self._sessions.is_over(connection.access):
            connection.close(client_frames.SESSION_REVOKED, "the session has ended")

    async def _cut_stalled(self) -> None:
        now = lapsed()
        for connection in list(self._connections):
            if connection.has_stalled(now):
                connection.close(client_frames.TOO_SLOW, "nothing was read for too long")

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: "asyncio.Task[None]") -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("a feed failed", exc_info=error)

    def _write_all(self) -> None:
        dirty, began, self._dirty = self._dirty, self._dirty_since, []
        for connection in dirty:
            if not connection.flush():
                self._start(connection.drained())
        self._metrics.fan_out_seconds.observe(perf_counter() - began)

    # What is told

    def hear(self, entry: Entry) -> None:
        """Take one entry of a room's lane."""
        self._reads.passed(entry.position)
        self._last_heard = max(self._last_heard, entry.position)
        room = None if entry.room_id is None else self._rooms.get(entry.room_id)
        if room is None or entry.position <= room.seen:
            return
        if entry.prev > room.seen or frames.is_of_file(entry.frame):
            self._heal_soon(room, entry.position)  # what may be told of a file depends on the messages that show it
        else:
            self._tell(room, history.heard(entry, is_since_joining=room.is_since_joining))

    def _obey(self, control: frames.Control) -> None:
        """Do what the control lane says. Whoever may be closed twice is closed once."""
        self._reads.passed(control.position)
        if control.session_ended is not None:
            self._sessions.end(control.session_ended)
        if control.activated is not None:
            self._sessions.reopen(control.activated)
        if control.deactivated is not None:
            self._sessions.shut(control.deactivated)
        if control.session_ended is not None or control.deactivated is not None:
            for connection in list(self._connections):
                self._close_if_over(connection)
        for own in control.own:
            for connection in self._by_user.get(own.user_id, ()):
                if connection.is_overfull:
                    connection.close(client_frames.TOO_SLOW, "come back, and read your lists again")
                else:
                    connection.say(own.frame.encode())

    # Fanning out

    def _tell(self, room: Room, told: Told) -> None:
        """Give a frame to every live feed; who is full falls behind, whose membership ended hears nothing more."""
        if told.topic == frames.DELETION:
            room.forget()
        else:
            room.remember(told)
        if frames.SKIPPED_MARK in told.frame:
            self._metrics.skipped.inc()
        room.seen = told.position
        behind: list[Feed] = []
        renamed: dict[int, bytes] = {}
        is_for_all = not room.is_since_joining
        for feed in room.live:
            if feed.place >= told.position:
                continue  # resumed from a gateway that was ahead of this one
            if feed.connection.is_full:
                behind.append(feed)
            elif is_for_all:
                feed.connection.push(told.frame)
                feed.place = feed.held = told.position
            else:
                feed.take(told, renamed)
        self._metrics.delivered.inc(len(room.live) - len(behind))
        for feed in behind:
            self._catch_up_soon(feed)
        if told.ended is not None:
            for feed in [feed for feed in room.live if feed.user_id == told.ended and feed.joined < told.position]:
                feed.end("left" if told.topic == frames.LEAVING else "removed")
        if told.history is not None:
            room.learn(told.history, told.position)

    def _heal_soon(self, room: Room, position: int) -> None:
        room.wanted = max(room.wanted, position)
        if not room.is_healing:
            room.is_healing = True
            self._start(self._heal(room))

    async def _heal(self, room: Room) -> None:
        """Read what was missed from the record, up to what the tables have, and fan it out."""
        try:
            while room.seen < room.wanted:
                until = await checkpoints.position(self._db, "live")
                page, complete = await self._page(room, room.seen, until)
                for told in page:
                    if told.position > room.seen:
                        self._tell(room, told)
                room.seen = max(room.seen, complete)
                if complete == until:
                    break
        except RecordUnavailable as error:
            log.warning("healing waits for Postgres", room=str(room.room_id), reason=str(error))
        finally:
            room.is_healing = False

    def _catch_up_soon(self, feed: Feed) -> None:
        feed.room.live.pop(feed, None)
        feed.room.catching[feed] = None
        self._start(self._catch_up(feed))

    async def _catch_up(self, feed: Feed) -> None:
        """Feed pages of the record until nothing lies between, then go live without a seam."""
        connection, limit = feed.connection, REPLAY_PAGE_EVENTS
        while not feed.over:
            await connection.drained()
            try:
                # What another room of this socket was given meanwhile may have filled it again.
                async with connection.replaying:
                    if connection.is_full:
                        continue
                    if feed.since and feed.held is None:
                        async with self._replays:
                            feed.held = await self._held_by(feed)
                    if feed.over or self._went_live(feed):
                        return
                    limit = await self._replay(feed, limit)
            except RecordUnavailable:
                await asyncio.sleep(SWEEP_SECONDS)

    def _went_live(self, feed: Feed) -> bool:
        """Give what the room still remembers and make the feed live; nothing is awaited, so nothing comes in between."""
        room = feed.room
        missed = room.after(feed.place) if feed.place >= feed.since else None
        if missed is None:
            return False
        self._give(feed, missed)
        if not feed.over:
            room.catching.pop(feed, None)
            room.live[feed] = None
            self._announce(feed)
            room.stirred.add(room.room_id)
        return True

    async def _replay(self, feed: Feed, limit: int) -> int:
        """Give a page of the record, as much as the socket takes. Answers how long the next page should be: what is
        not given is read again, so that no page waits in memory for a slow reader.
        """
        room = feed.room
        if room.seen < feed.since and not await self._reads.wait(feed.since):
            return limit
        until = max(room.seen, feed.since)
        feed.place = max(feed.place, feed.since - 1)
        async with self._replays:
            page, complete = await self._page(room, feed.place, until, limit=limit)
        for i, told in enumerate(page):
            if feed.over:
                return limit
            if feed.connection.is_full:
                return min(max(2 * i, REPLAY_PAGE_EVENTS_MIN), REPLAY_PAGE_EVENTS)
            self._give(feed, (told,))
        if not feed.over:
            feed.place = max(feed.place, complete)
        return min(2 * limit, REPLAY_PAGE_EVENTS)

    async def _held_by(self, feed: Feed) -> int:
        """Return the last frame that a member may hold who asked for what comes after a place; 0: none."""
        room_id, since = feed.room.room_id, feed.since
        return await history.last_heard(self._record, self._db, room_id, feed.place, since=since)

    def _give(self, feed: Feed, page: Sequence[Told]) -> None:
        renamed: dict[int, bytes] = {}
        for told in page:
            if feed.take(told, renamed):
                self._metrics.delivered.inc()
            if told.ended == feed.user_id and told.position > feed.joined:
                feed.end("left" if told.topic == frames.LEAVING else "removed")
                return

    def _announce(self, feed: Feed) -> None:
        if not feed.announced:
            feed.announced = True
            position = max(feed.place, feed.room.seen)
            feed.connection.say(client_frames.frame(server_frames.Live(feed.room.room_id, position)))

    async def _page(
        self, room: Room, place: int, until: int, *, limit: int = REPLAY_PAGE_EVENTS
    ) -> tuple[list[Told], int]:
        """Return what a room was told after a place, as it may be told now, and up to where that is all of it."""
        facts, is_last = await self._record.room_after(room.room_id, place, until=until, limit=limit)
        if not facts:
            return [], until
        (prev,) = await self._record.previous_in_rooms([(room.room_id, facts[0].position)])
        page = await history.told(self._db, room.room_id, facts, prev)
        return page, until if is_last else facts[-1].position
