"""Subscriptions of one socket: who may listen to a room, and from where, is decided on the record; then one begins.

Requests to subscribe and unsubscribe are handled in their order, one at a time. The subscriptions themselves are the hub's.
"""

import asyncio
from collections.abc import Iterable, Mapping
from itertools import islice
from typing import Any, NamedTuple
from uuid import UUID

from msgspec import UNSET

from domain.authorization import require_in_room
from domain.bounds import SUBSCRIPTIONS_MAX
from domain.errors import DomainError
from domain.events import Stream
from domain.ids import RoomId, StreamId
from domain.membership import MEMBERSHIP, Membership, relationship_of
from domain.room import ROOM, History, Room
from gateway.http.error_mapping import status_of
from gateway.protocol import server_frames
from gateway.protocol.client_frames import Subscribe, Unsubscribe
from gateway.realtime.connection import Connection
from gateway.realtime.subscription import Subscription
from gateway.services import Services

ACCESS_READ_ROOMS_MAX = 100


class Reach(NamedTuple):
    """How far back a member sees a room: all of it, or since joining, as the room's last event at `position` left it."""

    joined: int
    history: History
    position: int


class Subscriptions:
    """One connection's."""

    def __init__(self, services: Services, connection: Connection) -> None:
        self._services = services
        self._connection = connection
        self._turn = asyncio.Lock()

    async def subscribe(self, frame: Subscribe) -> None:
        """Subscribe to one room or many, and reply.

        To many all or none; then `rooms` in the refusal says which were refused and why.
        """
        async with self._turn:
            await self._subscribe(frame)

    async def unsubscribe(self, frame: Unsubscribe) -> None:
        """End a subscription, and reply. It is no error if there is none."""
        async with self._turn:
            self._drop(RoomId(frame.room_id))
            self._connection.send(server_frames.reply(frame.id))

    async def open_own_room(self, room_id: RoomId, after: int | None, record: UUID | None, head: int) -> None:
        """Subscribe to the room that the socket's address names. Raise `DomainError` unless the user is a member of it."""
        reach = (await self._reach([room_id]))[room_id]
        if isinstance(reach, DomainError):
            raise reach
        self._begin(room_id, await self._made(room_id, reach, after, record, head))

    async def _subscribe(self, frame: Subscribe) -> None:
        wanted = self._wanted(frame)
        if wanted is None:
            return
        head = (await self._services.record.head()).position
        reaches = await self._reach(wanted)
        if refused := {room_id: reach for room_id, reach in reaches.items() if isinstance(reach, DomainError)}:
            self._refuse(frame, refused)
            return
        # All are made before one begins: the reply comes before the first frame, and after the last of an earlier one.
        subscriptions = {
            room_id: await self._made(room_id, reach, wanted[room_id], frame.record, head)
            for room_id, reach in reaches.items()
            if not isinstance(reach, DomainError)
        }
        self._connection.send(server_frames.reply(frame.id))
        for room_id, subscription in subscriptions.items():
            self._begin(room_id, subscription)

    def _wanted(self, frame: Subscribe) -> dict[RoomId, int | None] | None:
        """Return the rooms that a frame names, each with its `after`. Return None, and reply, if they cannot be subscribed to."""
        wanted: dict[RoomId, int | None] = {RoomId(room): after for room, after in (frame.rooms or {}).items()}
        if frame.room_id is not None:
            wanted[RoomId(frame.room_id)] = frame.after
        if not wanted or (frame.rooms is not None and (frame.room_id, frame.after) != (None, None)):
            detail = "Name a room_id, perhaps with after; or rooms, each with its own."
            self._connection.refuse(frame.id, 422, "field.invalid", detail)
            return None
        if len(self._connection.subscriptions.keys() | wanted.keys()) > SUBSCRIPTIONS_MAX:
            detail = f"A socket hears at most {SUBSCRIPTIONS_MAX} rooms."
            self._connection.refuse(frame.id, 409, "subscriptions.too_many", detail)
            return None
        return wanted

    def _refuse(self, frame: Subscribe, refused: Mapping[RoomId, DomainError]) -> None:
        first = next(iter(refused.values()))
        rooms = {room_id: each.code for room_id, each in refused.items()} if frame.rooms else UNSET
        self._connection.refuse(frame.id, status_of(first), first.code, first.detail, rooms=rooms)

    async def _reach(self, room_ids: Iterable[RoomId]) -> Mapping[RoomId, Reach | DomainError]:
        """Return, for each room, how far back this user may see it, or why they may not.

        It is decided on the record, at or after the head that the caller read before; what ends the membership later ends
        the subscription.
        """
        user_id = self._connection.access.user_id
        rooms, found = iter(room_ids), dict[RoomId, Reach | DomainError]()
        while some := list(islice(rooms, ACCESS_READ_ROOMS_MAX)):
            streams: dict[StreamId, Stream[Any]] = {}
            for room_id in some:
                streams |= {ROOM.id(room_id): ROOM, MEMBERSHIP.id(room_id, user_id): MEMBERSHIP}
            folds = await self._services.command_bus.read(streams)
            for room_id in some:
                room = folds[ROOM.id(room_id)]
                found[room_id] = _decide(room.state, room.position, folds[MEMBERSHIP.id(room_id, user_id)].state)
        return found

    async def _made(
        self, room_id: RoomId, reach: Reach, after: int | None, record: UUID | None, head: int
    ) -> Subscription | None:
        """Return a subscription that may begin, or None if this record never gave the position."""
        if (record is not None and record != self._services.record_id) or (after is not None and after > head):
            return None
        since = reach.joined if reach.history == "joined" else 0
        position = max(head if after is None else after, since - 1)
        room = await self._services.hub.open_room(room_id)
        room.set_history(reach.history, reach.position)
        return Subscription(self._connection, room, position=position, joined=reach.joined)

    def _begin(self, room_id: RoomId, subscription: Subscription | None) -> None:
        """Begin a subscription. For None, end the earlier one, and tell the client that its position is of another record."""
        if subscription is not None:
            self._services.hub.subscribe(subscription)
            return
        self._drop(room_id)
        self._connection.send(server_frames.encode(server_frames.Reset(room_id, "record_changed")))

    def _drop(self, room_id: RoomId) -> None:
        if (subscription := self._connection.subscriptions.get(room_id)) is not None:
            subscription.drop()


def _decide(room: Room | None, position: int, membership: Membership | None) -> Reach | DomainError:
    try:
        require_in_room("room.hear", None if room is None else room.kind, relationship_of(membership))
    except DomainError as refused:
        return refused
    assert room is not None and membership is not None, "only members listen to a room"
    return Reach(membership.joined_position, room.history, position)
