"""Presence: who is in a room just now, and who types. Never recorded, dropped first, and right again by itself.

A user is online in a room while a live socket of theirs is subscribed to it, on whichever gateway. Every gateway publishes
whom it sees (`gateway/realtime/presence_exchange.py`); who is online is the union over the gateways that live
(`gateway/realtime/room_presence.py`), and a subscription gets the difference to what it got before
(`gateway/realtime/presence_delivery.py`).
"""

import asyncio
from collections.abc import Callable

from adapters.clock import monotonic
from adapters.redis.cluster_state import ClusterState
from domain.ids import RoomId, UserId
from gateway.realtime.background_tasks import run_together
from gateway.realtime.connection_limit import SocketLimit
from gateway.realtime.presence_delivery import PresenceDelivery
from gateway.realtime.presence_exchange import PresenceExchange
from gateway.realtime.room_presence import RoomPresence
from gateway.realtime.rooms import FollowedRooms
from gateway.realtime.subscription import FollowedRoom
from gateway.realtime.typing_notices import TypingThrottle, deliver_typing

PRESENCE_STEP_SECONDS = 0.1


class Presence:
    """Of the rooms that one gateway follows."""

    def __init__(
        self,
        cluster_state: ClusterState,
        rooms: FollowedRooms,
        socket_limit: SocketLimit,
        *,
        lane_of: Callable[[RoomId], int],
    ) -> None:
        self._rooms = rooms
        self._gateway = cluster_state.gateway
        self._by_room: dict[RoomId, RoomPresence] = {}
        self._delivery = PresenceDelivery()
        self._throttle = TypingThrottle()
        self._exchange = PresenceExchange(
            cluster_state,
            self._by_room,
            socket_limit,
            lane_of=lane_of,
            on_change=self._presence_changed,
            on_typing=self._somebody_types,
        )

    def typing(self, room: FollowedRoom, user_id: UserId) -> None:
        """Tell the others in a room that a user types there, at most once in two seconds."""
        if self._throttle.passes(room.room_id, user_id):
            deliver_typing(room, user_id)
            self._exchange.publish_typing_soon(room.room_id, user_id)

    async def run(self) -> None:
        """Keep presence up to date until cancelled."""
        await run_together(self._step_for_ever(), self._exchange.receive_for_ever())

    async def step(self) -> None:
        """Deliver what changed here, publish it to the other gateways, and read what they published."""
        self.notice()
        await self._exchange.step()

    def notice(self) -> None:
        """See who came to this gateway's rooms and who went."""
        for room_id in self._rooms.take_changed():
            self._notice_room(room_id)
        self._delivery.retry(self._by_room)

    def _notice_room(self, room_id: RoomId) -> None:
        room = self._rooms.by_id.get(room_id)
        here = frozenset[UserId]() if room is None else room.listeners()
        if room_id not in self._by_room:
            if not here:
                return
            self._exchange.read_soon(room_id)
        presence = self._by_room.setdefault(room_id, RoomPresence(self._gateway))
        if presence.update_own(here, monotonic()):
            self._exchange.publish_soon(room_id, presence)
        self._presence_changed(room_id)
        if presence.has_leaving:
            self._rooms.note_listeners_changed(room_id)  # look again until the grace is over
        elif not here:
            del self._by_room[room_id]

    def _presence_changed(self, room_id: RoomId) -> None:
        """Deliver a room's presence, after the list of some gateway changed."""
        presence = self._by_room[room_id]
        presence.update_online(self._exchange.living)
        if (room := self._rooms.by_id.get(room_id)) is not None:
            self._delivery.deliver(room, presence.online)

    def _somebody_types(self, room_id: RoomId, user_id: UserId) -> None:
        """Deliver that a user types, whom another gateway sees."""
        if (room := self._rooms.by_id.get(room_id)) is not None:
            deliver_typing(room, user_id)

    async def _step_for_ever(self) -> None:
        while True:
            await self.step()
            await asyncio.sleep(PRESENCE_STEP_SECONDS)
