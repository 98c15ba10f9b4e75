"""Presence exchange: what this gateway publishes of presence and typing, and what it receives from the others.

Every gateway publishes whole lists, so a lost or repeated message does no harm; a list counts as long as the lease of its
gateway lives (`adapters/redis/cluster_state.py`). Without Redis a gateway knows of its own sockets, and after a lease's time
of no others.
"""

import asyncio
import math
from collections import deque
from collections.abc import Callable, Mapping

import msgspec
import structlog

from adapters.clock import monotonic
from adapters.redis.cluster_state import (
    GATEWAY_BEAT_SECONDS,
    GATEWAY_LEASE_SECONDS,
    ClusterState,
    ClusterStateUnavailableError,
    People,
    PresenceMessage,
)
from domain.ids import RoomId, UserId
from gateway.realtime.connection_limit import SocketLimit
from gateway.realtime.room_presence import RoomPresence

PRESENCE_READ_SECONDS = 30.0
EPHEMERA_UNSENT_MAX = 1_000

log = structlog.get_logger()


class PresenceExchange:
    def __init__(
        self,
        cluster_state: ClusterState,
        presences: Mapping[RoomId, RoomPresence],
        socket_limit: SocketLimit,
        *,
        lane_of: Callable[[RoomId], int],
        on_change: Callable[[RoomId], None],
        on_typing: Callable[[RoomId, UserId], None],
    ) -> None:
        """`presences` are those of the rooms that this gateway follows; the lists of the others are kept in them.

        `on_change` is called after a list of another gateway changed, `on_typing` when somebody types there.
        """
        self.living = frozenset((cluster_state.gateway,))
        self._cluster_state = cluster_state
        self._presences = presences
        self._socket_limit = socket_limit
        self._lane_of = lane_of
        self._on_change = on_change
        self._on_typing = on_typing
        self._pending: deque[tuple[int, PresenceMessage]] = deque(maxlen=EPHEMERA_UNSENT_MAX)
        self._unread: set[RoomId] = set()
        self._lanes: set[int] = set()
        self._is_lost = False
        self._lost_at = 0.0
        self._heartbeat_at = self._read_at = -math.inf

    # What this gateway publishes

    def publish_soon(self, room_id: RoomId, presence: RoomPresence) -> None:
        """Publish soon whom this gateway sees in a room."""
        if (people := presence.own) is not None:
            self._publish_soon(PresenceMessage(self._cluster_state.gateway, room_id, people))

    def publish_typing_soon(self, room_id: RoomId, user_id: UserId) -> None:
        self._publish_soon(PresenceMessage(self._cluster_state.gateway, room_id, typing=user_id))

    def read_soon(self, room_id: RoomId) -> None:
        """Have a room's lists read that the others have published."""
        self._unread.add(room_id)

    async def step(self) -> None:
        """Publish what is pending, and read what is unread. While Redis is away, note that."""
        try:
            if monotonic() - self._heartbeat_at >= GATEWAY_BEAT_SECONDS:
                await self._heartbeat()
            if not self._is_lost:
                await self._socket_limit.report()
                await self._publish_pending()
                await self._read_unread()
        except ClusterStateUnavailableError as error:
            self._lose(error)

    def _publish_soon(self, message: PresenceMessage) -> None:
        self._pending.append((self._lane_of(message.room_id), message))

    async def _publish_pending(self) -> None:
        if self._pending:
            messages = list(self._pending)
            self._pending.clear()
            await self._cluster_state.publish(messages)

    async def _heartbeat(self) -> None:
        """Renew the lease, and forget the lists of gateways that do not live any more."""
        self._heartbeat_at = monotonic()
        is_new, living = await self._cluster_state.beat()
        if is_new or self._is_lost:  # the first time, or Redis was away or forgot everything: publish all of it again
            self._is_lost = False
            for room_id, presence in self._presences.items():
                self.publish_soon(room_id, presence)
            self._socket_limit.report_again()
        self._set_living(living | {self._cluster_state.gateway})
        if monotonic() - self._read_at > PRESENCE_READ_SECONDS:  # messages may be lost
            self._read_at = monotonic()
            self._unread |= self._presences.keys()

    # What the others publish

    async def receive_for_ever(self) -> None:
        """Take what the others publish until cancelled."""
        while True:
            try:
                await self._cluster_state.listen(self._lanes or {0})
                self._unread |= self._presences.keys()  # what was published while nobody listened
                async for message in self._cluster_state.published():
                    self.receive(message)
            except (ClusterStateUnavailableError, msgspec.MsgspecError) as error:
                log.warning("presence is not received", reason=str(error))
                await asyncio.sleep(GATEWAY_BEAT_SECONDS)

    def receive(self, message: PresenceMessage) -> None:
        """Take one message of another gateway."""
        if message.gateway == self._cluster_state.gateway or message.room_id not in self._presences:
            return
        if message.typing is not None:
            self._on_typing(message.room_id, message.typing)
        if message.people is not None:
            self._take(message.room_id, message.gateway, message.people)

    async def _read_unread(self) -> None:
        if not self._unread:
            return
        room_ids = list(self._unread)
        if new := {self._lane_of(room_id) for room_id in room_ids} - self._lanes:
            await self._cluster_state.listen(new)
            self._lanes |= new
        for room_id, lists in (await self._cluster_state.people(room_ids)).items():
            self._unread.discard(room_id)
            for gateway, people in lists.items():
                if gateway != self._cluster_state.gateway and room_id in self._presences:
                    self._take(room_id, gateway, people)

    def _take(self, room_id: RoomId, gateway: str, people: People) -> None:
        if self._presences[room_id].update_other(gateway, people):
            self._on_change(room_id)

    # Which gateways live

    def _lose(self, error: ClusterStateUnavailableError) -> None:
        """Go on without Redis: what the others published counts for a lease's time."""
        if not self._is_lost:
            log.warning("presence knows of this gateway alone", reason=str(error))
            self._lost_at = monotonic()
        self._is_lost = True
        self._pending.clear()
        self._unread |= self._presences.keys()
        if monotonic() - self._lost_at > GATEWAY_LEASE_SECONDS:
            self._set_living(frozenset((self._cluster_state.gateway,)))

    def _set_living(self, living: frozenset[str]) -> None:
        if living == self.living:
            return
        if living - self.living:
            self._unread |= self._presences.keys()
        self.living = living
        for room_id, presence in self._presences.items():
            presence.forget_others(living.__contains__)
            self._on_change(room_id)
