"""Presence delivery: each subscription gets the difference between who is online and what it got before."""

from collections.abc import Mapping
from functools import lru_cache

from domain.ids import RoomId, UserId
from gateway.protocol import server_frames
from gateway.protocol.framing import text_frame
from gateway.realtime.room_presence import RoomPresence
from gateway.realtime.subscription import FollowedRoom, Subscription


class PresenceDelivery:
    def __init__(self) -> None:
        self._pending: dict[Subscription, None] = {}  # those whose outbox did not take everything

    def deliver(self, room: FollowedRoom, online: frozenset[UserId]) -> None:
        """Tell every live subscription of a room what changed."""
        for subscription in room.live:
            self._deliver_to(subscription, online)

    def retry(self, presences: Mapping[RoomId, RoomPresence]) -> None:
        """Tell the subscriptions that were behind."""
        pending, self._pending = self._pending, {}
        for subscription in pending:
            presence = presences.get(subscription.room.room_id)
            if not subscription.is_over and presence is not None:
                self._deliver_to(subscription, presence.online)

    def _deliver_to(self, subscription: Subscription, online: frozenset[UserId]) -> None:
        if subscription.online is online:
            return
        come, gone = online - subscription.online, subscription.online - online
        delivered: set[UserId] = set()
        for user_id in (*come, *gone):
            frame = _presence_frame(subscription.room.room_id, user_id, user_id in come)
            if user_id != subscription.user_id and not subscription.outbox.push_ephemeral(frame):
                subscription.online = subscription.online ^ delivered
                self._pending[subscription] = None
                return
            delivered.add(user_id)
        subscription.online = online


@lru_cache(maxsize=4_096)
def _presence_frame(room_id: RoomId, user_id: UserId, is_online: bool) -> bytes:
    state = server_frames.Presence(room_id, user_id, "online" if is_online else "offline")
    return text_frame(server_frames.encode(state))
