"""Feeds: one socket's outbox, one room's listeners, and what stands between them. No I/O but a socket's way out.

A feed is one socket's subscription to one room: *live* (it gets what is fanned out) or *catching up* (it is fed pages of
the record at the client's own pace, until nothing lies between). The hub moves them (`gateway/realtime/hub.py`).
"""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Literal, NamedTuple, Protocol
from uuid import UUID

from msgspec import UNSET, UnsetType

from domain.bounds import (
    EPHEMERA_WAITING_FRAMES_MAX,
    OUTBOX_BYTES_MAX,
    OUTBOX_FRAMES_MAX,
    ROOM_RING_BYTES_MAX,
    ROOM_RING_FRAMES_MAX,
    ROOM_RINGS_BYTES_MAX,
    WRITE_STALL_SECONDS,
)
from domain.ids import RoomId, UserId
from domain.ports import Access
from domain.room import History
from gateway.protocol import client_frames, server_frames
from gateway.server.transport import prepared, renamed_prev


class Way(Protocol):
    """A socket's way out (`gateway.server.transport.Outlet`)."""

    def write(self, frames: bytes) -> None: ...
    @property
    def is_paused(self) -> bool: ...
    @property
    def buffered_bytes(self) -> int: ...
    async def drained(self) -> None: ...
    def close(self, code: int, reason: str) -> None: ...


class Told(NamedTuple):
    """A frame for a room, prepared for writing; `ended` names whose feed ends with it.

    `posted`: the position of the posting that it tells of, which must lie within a member's history; None where what it
    tells is no older than itself, and in rooms whose history everybody sees. `history` is that of the room after it.
    """

    position: int
    prev: int
    frame: bytes
    ended: UUID | None
    topic: bytes
    posted: int | None = None
    history: History | None = None


class Connection:
    """One socket: who it is, what it hears, and its outbox."""

    def __init__(
        self,
        way: Way,
        access: Access,
        *,
        write_soon: Callable[["Connection"], None],
        note_refusal: Callable[[int, str], None],
        one_room: bool,
    ) -> None:
        self.access = access
        self._note_refusal = note_refusal
        self.one_room = one_room
        self.closed = False
        self.leaving = False  # it is drained: frames that it says now are not taken any more
        self.operations = 0  # frames taken and not answered yet
        self.feeds: dict[RoomId, Feed] = {}
        self.replaying = asyncio.Lock()  # one page of the record at a time, however many rooms it catches up with
        self._way = way
        self._write_soon = write_soon
        self._waiting: list[bytes] = []
        self._waiting_bytes = 0
        self._stalled_since: float | None = None
        self._stalled_at = 0

    @property
    def is_full(self) -> bool:
        """Whether no more may be queued for it: it then is fed from the record."""
        return len(self._waiting) >= OUTBOX_FRAMES_MAX or self._waiting_bytes >= OUTBOX_BYTES_MAX

    @property
    def is_overfull(self) -> bool:
        """Whether not even what cannot be fed from the record may be queued any more."""
        return len(self._waiting) >= 4 * OUTBOX_FRAMES_MAX or self._waiting_bytes >= 2 * OUTBOX_BYTES_MAX

    def push(self, frame: bytes) -> None:
        """Queue a prepared frame; written, with all others of this turn of the loop, in one go."""
        if self.closed:
            return
        if not self._waiting:
            self._write_soon(self)
        self._waiting.append(frame)
        self._waiting_bytes += len(frame)

    def say(self, payload: bytes | None) -> None:
        """Queue a frame for this socket alone; None says nothing."""
        if payload is not None:
            self.push(prepared(payload))

    def refuse(
        self,
        request: int | None,
        status: int,
        code: str,
        detail: str,
        *,
        retry_after_seconds: int | UnsetType = UNSET,
        rooms: dict[RoomId, str] | UnsetType = UNSET,
    ) -> None:
        """Reply no. It is counted like what is refused by HTTP, whether the client numbered its request or not."""
        self._note_refusal(status, code)
        self.say(
            client_frames.refusal(request, code, detail, status, retry_after_seconds=retry_after_seconds, rooms=rooms)
        )

    def whisper(self, frame: bytes) -> bool:
        """Queue what may be dropped; answers False where the client is behind: that is dropped first."""
        if self._way.is_paused or len(self._waiting) >= EPHEMERA_WAITING_FRAMES_MAX:
            return False
        self.push(frame)
        return True

    def close(self, code: int, reason: str) -> None:
        """Hear and tell no more from this moment on; the close frame goes out behind what was queued before it."""
        if self.closed:
            return
        self.closed = True
        for feed in list(self.feeds.values()):
            feed.drop()
        self._write_waiting()
        self._way.close(code, reason)

    def flush(self) -> bool:
        """Write what waits, unless the client does not take it; answers whether it was written."""
        if self._way.is_paused:
            return False
        self._write_waiting()
        return True

    async def drained(self) -> None:
        """Wait until everything queued is written and taken."""
        while self._waiting or self._way.is_paused:
            await self._way.drained()
            self.flush()

    def has_stalled(self, now: float) -> bool:
        """Whether the client has taken no byte for as long as is borne."""
        if not self._way.is_paused:
            self._stalled_since = None
            return False
        buffered = self._way.buffered_bytes
        if self._stalled_since is None or buffered < self._stalled_at:
            self._stalled_since = now
        self._stalled_at = buffered
        return now - self._stalled_since > WRITE_STALL_SECONDS

    def _write_waiting(self) -> None:
        if self._waiting:
            self._way.write(b"".join(self._waiting))
        self._waiting.clear()
        self._waiting_bytes = 0


class Feed:
    """One socket's subscription to one room. Everything told up to `place` was queued for it, or is not for this member.

    `held` is the last frame that the member holds (0: none), None where nobody asked yet: the next one names it as `prev`.
    """

    def __init__(self, connection: Connection, room: "Room", *, place: int, joined: int) -> None:
        self.connection = connection
        self.room = room
        self.place = place
        self.held: int | None = None
        self.joined = joined
        self.announced = False
        self.over = False
        self.online: frozenset[UserId] = (
            frozenset()
        )  # whom it was told to be in the room (`gateway/realtime/presence.py`)

    @property
    def user_id(self) -> UserId:
        return self.connection.access.user_id

    @property
    def since(self) -> int:
        """The first position that this member may hear; 0: all of them."""
        return self.joined if self.room.is_since_joining else 0

    def take(self, told: Told, renamed: dict[int, bytes]) -> bool:
        """Queue a frame as this member may hear it; answers False where they may not hear it at all.

        After what was withheld, `prev` names what the member holds; `renamed` keeps such frames for others like them.
        """
        self.place = told.position
        if told.posted is not None and told.posted < self.since:
            self.held = told.prev if self.held is None else self.held
            return False
        frame = told.frame
        if self.held is not None and self.held != told.prev:
            if self.held not in renamed:
                renamed[self.held] = renamed_prev(frame, told.prev, self.held)
            frame = renamed[self.held]
        self.connection.push(frame)
        self.held = told.position
        return True

    def end(self, reason: Literal["left", "removed"]) -> None:
        """Stop: after the member's own leaving or removal nothing more is told."""
        connection = self.connection
        self.drop()
        if connection.one_room:
            connection.close(client_frames.REMOVED, "no longer in this room")
        else:
            connection.say(client_frames.frame(server_frames.Unsubscribed(self.room.room_id, reason)))

    def drop(self) -> None:
        """Forget this feed without a word."""
        self.over = True
        self.room.live.pop(self, None)
        self.room.catching.pop(self, None)
        self.room.stirred.add(self.room.room_id)
        if self.connection.feeds.get(self.room.room_id) is self:
            del self.connection.feeds[self.room.room_id]


class Room:
    """A room that somebody of this process listens to."""

    def __init__(self, room_id: RoomId, seen: int, *, stirred: set[RoomId], rings: "Rings") -> None:
        """`stirred` is told this room's id when somebody came or went."""
        self.room_id = room_id
        self.seen = seen
        self.is_since_joining = False
        self.stirred = stirred
        self.live: dict[Feed, None] = {}
        self.catching: dict[Feed, None] = {}
        self.ring: deque[Told] = deque()
        self.ring_bytes = 0
        self._rings = rings
        self.wanted = 0
        self.is_healing = False
        self._history_at = 0

    def learn(self, history: History, position: int) -> None:
        """Take what a room's history is after an event; what an earlier event said is known already."""
        if position < self._history_at:
            return
        self._history_at = position
        if self.is_since_joining != (history == "joined"):
            self.is_since_joining = not self.is_since_joining
            self.forget()  # what the ring holds does not say what it tells of

    def learn_from(self, other: "Room") -> None:
        self.learn("joined" if other.is_since_joining else "shared", other._history_at)

    @property
    def is_idle(self) -> bool:
        return not self.live and not self.catching

    def people(self) -> frozenset[UserId]:
        """Return who listens, having heard all that was missed at least once."""
        return frozenset(feed.user_id for feed in (*self.live, *self.catching) if feed.announced)

    def remember(self, told: Told) -> None:
        """Keep a frame for those who are a little behind, within bounds."""
        self.ring.append(told)
        self.ring_bytes += len(told.frame)
        while len(self.ring) > ROOM_RING_FRAMES_MAX or self.ring_bytes > ROOM_RING_BYTES_MAX:
            self.ring_bytes -= len(self.ring.popleft().frame)
        self._rings.keep(self)

    def forget(self) -> None:
        """Keep nothing: what was deleted is told to nobody any more."""
        self.ring.clear()
        self.ring_bytes = 0
        self._rings.let_go(self)

    def after(self, place: int) -> list[Told] | None:
        """Return what was told after a place, if the ring still has all of it; None: read the record."""
        if place >= self.seen:
            return []
        if not self.ring or self.ring[0].prev > place:
            return None
        return [told for told in self.ring if told.position > place]


class Rings:
    """The rings of all rooms, within one bound: those of the rooms in which nothing was told for longest go first. Who was
    a little behind in one of them reads the record."""

    def __init__(self, bytes_max: int = ROOM_RINGS_BYTES_MAX) -> None:
        self.bytes = 0
        self._bytes_max = bytes_max
        self._held: dict[Room, int] = {}

    def keep(self, room: Room) -> None:
        """Count what a room's ring holds now; it was told something."""
        self.bytes += room.ring_bytes - self._held.pop(room, 0)
        self._held[room] = room.ring_bytes
        while self.bytes > self._bytes_max:
            next(iter(self._held)).forget()

    def let_go(self, room: Room) -> None:
        """Count a room's ring as empty."""
        self.bytes -= self._held.pop(room, 0)
