"""Subscriptions: a room that some socket of this process listens to, and each socket's subscription to it.

A subscription is either *live* (it gets what is fanned out) or *catching up* (it is replayed from the record).
`gateway/realtime/fan_out.py` makes one catch up that is behind, `gateway/realtime/replay.py` makes it live again.
"""

import asyncio
from collections.abc import Callable
from typing import Literal, Protocol

from domain.ids import RoomId, UserId
from domain.ports.credentials import Access
from domain.room import History
from gateway.protocol import close_codes, server_frames
from gateway.protocol.framing import with_prev
from gateway.realtime.outbox import Outbox
from gateway.realtime.room_frames import FramesBudget, RecentFrames, RoomFrame


class Subscriber(Protocol):
    """What a subscription needs of its socket (`gateway.realtime.connection.Connection`)."""

    access: Access
    outbox: Outbox
    is_of_one_room: bool
    subscriptions: "dict[RoomId, Subscription]"
    replay_turn: asyncio.Lock

    @property
    def is_closed(self) -> bool: ...
    def send(self, payload: bytes | None) -> None: ...
    def close(self, code: int, reason: str) -> None: ...


class FollowedRoom:
    """A room with its subscriptions, and `seen`, the position up to which its frames were fanned out."""

    def __init__(
        self, room_id: RoomId, seen: int, *, listeners_changed: Callable[[RoomId], None], budget: FramesBudget
    ) -> None:
        """`listeners_changed` is called with this room's id when a user came or went."""
        self.room_id = room_id
        self.seen = seen
        self.is_since_joining = False  # the room's history begins for each member with their joining
        self.live: dict[Subscription, None] = {}
        self.catching_up: dict[Subscription, None] = {}
        self.recent = RecentFrames(budget)
        self.is_healing = False
        self.heal_until = 0
        self._listeners_changed = listeners_changed
        self._history_position = 0

    @property
    def is_idle(self) -> bool:
        return not self.live and not self.catching_up

    def listeners(self) -> frozenset[UserId]:
        """Return the users who listen and have been live at least once."""
        return frozenset(each.user_id for each in (*self.live, *self.catching_up) if each.is_announced)

    def add_catching_up(self, subscription: "Subscription") -> None:
        self.live.pop(subscription, None)
        self.catching_up[subscription] = None

    def add_live(self, subscription: "Subscription") -> None:
        self.catching_up.pop(subscription, None)
        self.live[subscription] = None

    def remove(self, subscription: "Subscription") -> None:
        self.live.pop(subscription, None)
        self.catching_up.pop(subscription, None)
        self.note_listeners_changed()

    def note_listeners_changed(self) -> None:
        self._listeners_changed(self.room_id)

    def set_history(self, history: History, position: int) -> None:
        """Note the room's history as the event at `position` left it. Do nothing if a later event is known."""
        if position < self._history_position:
            return
        self._history_position = position
        if self.is_since_joining != (history == "joined"):
            self.is_since_joining = not self.is_since_joining
            self.recent.clear()  # its frames do not say which postings they are about

    def copy_history(self, other: "FollowedRoom") -> None:
        self.set_history("joined" if other.is_since_joining else "shared", other._history_position)

    def frames_after(self, position: int) -> list[RoomFrame] | None:
        """Return what was fanned out after a position, or None if it must be read from the record."""
        return [] if position >= self.seen else self.recent.after(position)


class Subscription:
    """One socket's to one room. Every frame up to `position` was queued, or is not for this member.

    `last_delivered` is the position of the last frame that the member has (0: none), and the `prev` of the next one. It is
    None until it is known.
    """

    def __init__(self, connection: Subscriber, room: FollowedRoom, *, position: int, joined: int) -> None:
        self.connection = connection
        self.outbox = connection.outbox
        self.user_id: UserId = connection.access.user_id
        self.room = room
        self.position = position
        self.last_delivered: int | None = None
        self.joined = joined
        self.is_announced = False  # the client got `live` once
        self.is_over = False
        self.online: frozenset[UserId] = frozenset()  # the presence that was delivered (`gateway/realtime/presence.py`)

    @property
    def visible_from(self) -> int:
        """The first position that this member may see; 0: all."""
        return self.joined if self.room.is_since_joining else 0

    def deliver(self, frame: RoomFrame, renamed: dict[int, bytes]) -> bool:
        """Queue a frame. Return False if this member may not see it.

        After a frame was withheld, `prev` of the next one names the last that the member has. `renamed` keeps such frames
        for other subscriptions that need the same.
        """
        self.position = frame.position
        if frame.posted is not None and frame.posted < self.visible_from:
            self.last_delivered = frame.prev if self.last_delivered is None else self.last_delivered
            return False
        content, prev = frame.frame, self.last_delivered
        if prev is not None and prev != frame.prev:
            if prev not in renamed:
                renamed[prev] = with_prev(content, frame.prev, prev)
            content = renamed[prev]
        self.outbox.push(content)
        self.last_delivered = frame.position
        return True

    def end(self, reason: Literal["left", "removed"]) -> None:
        """Stop, and tell the client: its user's membership has ended."""
        connection = self.connection
        self.drop()
        if connection.is_of_one_room:
            connection.close(close_codes.REMOVED, "no longer in this room")
        else:
            connection.send(server_frames.encode(server_frames.Unsubscribed(self.room.room_id, reason)))

    def drop(self) -> None:
        """Stop without telling the client."""
        self.is_over = True
        self.room.remove(self)
        if self.connection.subscriptions.get(self.room.room_id) is self:
            del self.connection.subscriptions[self.room.room_id]
