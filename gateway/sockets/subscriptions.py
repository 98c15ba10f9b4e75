"""What one socket hears: who may hear a room, and from where, is judged on the record; then a feed of it begins.

Subscribing and unsubscribing happen in the order asked, one at a time. The feeds themselves are the hub's.
"""

import asyncio
from collections.abc import Iterable, Mapping
from itertools import islice
from typing import Any, NamedTuple
from uuid import UUID

from msgspec import UNSET

from domain.bounds import ACCESS_READ_ROOMS_MAX, SUBSCRIPTIONS_MAX
from domain.errors import Refused
from domain.events import Stream
from domain.ids import RoomId, StreamId
from domain.membership import MEMBERSHIP, Membership, relation_of
from domain.rights import require_in_room
from domain.room import ROOM, History, Room
from gateway.http import problems
from gateway.protocol import client_frames, server_frames
from gateway.protocol.client_frames import Subscribe, Unsubscribe
from gateway.realtime.feeds import Connection, Feed
from gateway.services import House


class Reach(NamedTuple):
    """How far back a member hears a room: all of it, or since joining, as the room's last event at `position` has it."""

    joined: int
    history: History
    position: int


class Subscriptions:
    """The rooms that one connection hears."""

    def __init__(self, house: House, connection: Connection) -> None:
        self._house = house
        self._connection = connection
        self._turn = asyncio.Lock()

    async def subscribe(self, intent: Subscribe) -> None:
        """Subscribe to one room or many, and reply.

        Of many all or none; then `rooms` in the refusal says which were refused and why.
        """
        async with self._turn:
            await self._subscribe(intent)

    async def unsubscribe(self, intent: Unsubscribe) -> None:
        """Hear a room no more, and reply; a room that was not heard is no error."""
        async with self._turn:
            self._drop(RoomId(intent.room_id))
            self._connection.say(client_frames.reply(intent.id))

    async def open_own_room(self, room_id: RoomId, after: int | None, record: UUID | None, head: int) -> None:
        """Hear the room that the socket's address names.

        Raises:
            Refused: The room is unknown to this person, or they are not in it.

        """
        reach = (await self._reach([room_id]))[room_id]
        if isinstance(reach, Refused):
            raise reach
        self._begin(room_id, await self._feed(room_id, reach, after, record, head))

    async def _subscribe(self, intent: Subscribe) -> None:
        wanted: dict[RoomId, int | None] = {RoomId(room): after for room, after in (intent.rooms or {}).items()}
        if intent.room_id is not None:
            wanted[RoomId(intent.room_id)] = intent.after
        if not wanted or (intent.rooms is not None and (intent.room_id, intent.after) != (None, None)):
            detail = "Name a room_id, perhaps with after; or rooms, each with its own."
            self._connection.refuse(intent.id, 422, "field.invalid", detail)
            return
        if len(self._connection.feeds.keys() | wanted.keys()) > SUBSCRIPTIONS_MAX:
            detail = f"A socket hears at most {SUBSCRIPTIONS_MAX} rooms."
            self._connection.refuse(intent.id, 409, "subscriptions.too_many", detail)
            return
        head = (await self._house.record.head()).position
        reaches = await self._reach(wanted)
        refused = {room_id: reach for room_id, reach in reaches.items() if isinstance(reach, Refused)}
        if refused:
            first = next(iter(refused.values()))
            rooms = {room_id: each.code for room_id, each in refused.items()} if intent.rooms else UNSET
            status = problems.status_of(first)
            self._connection.refuse(intent.id, status, first.code, first.detail, rooms=rooms)
            return
        # Feeds first, all of them: the reply comes before the first frame, and after the last one of an old feed.
        feeds = {
            room_id: await self._feed(room_id, reach, wanted[room_id], intent.record, head)
            for room_id, reach in reaches.items()
            if not isinstance(reach, Refused)
        }
        self._connection.say(client_frames.reply(intent.id))
        for room_id, feed in feeds.items():
            self._begin(room_id, feed)

    async def _reach(self, room_ids: Iterable[RoomId]) -> Mapping[RoomId, Reach | Refused]:
        """Return, for each room, what lets this person hear it, or why they may not.

        It is judged on the record, at or after the head that the caller read before: what ends it later the feed tells.
        """
        user_id = self._connection.access.user_id
        rooms, found = iter(room_ids), dict[RoomId, Reach | Refused]()
        while some := list(islice(rooms, ACCESS_READ_ROOMS_MAX)):
            streams: dict[StreamId, Stream[Any]] = {}
            for room_id in some:
                streams |= {ROOM.id(room_id): ROOM, MEMBERSHIP.id(room_id, user_id): MEMBERSHIP}
            folds = await self._house.desk.read(streams)
            for room_id in some:
                room = folds[ROOM.id(room_id)]
                found[room_id] = _judged(room.state, room.position, folds[MEMBERSHIP.id(room_id, user_id)].state)
        return found

    async def _feed(
        self, room_id: RoomId, reach: Reach, after: int | None, record: UUID | None, head: int
    ) -> Feed | None:
        """Return a feed that may begin; None for a position that this record never gave."""
        if (record is not None and record != self._house.record_id) or (after is not None and after > head):
            return None
        since = reach.joined if reach.history == "joined" else 0
        place = max(head if after is None else after, since - 1)
        followed = await self._house.hub.open_room(room_id)
        followed.learn(reach.history, reach.position)
        return Feed(self._connection, followed, place=place, joined=reach.joined)

    def _begin(self, room_id: RoomId, feed: Feed | None) -> None:
        """Begin a feed; None: say that the position is of another record, and hear the room no more."""
        if feed is not None:
            self._house.hub.subscribe(feed)
            return
        self._drop(room_id)
        self._connection.say(client_frames.frame(server_frames.Reset(room_id, "record_changed")))

    def _drop(self, room_id: RoomId) -> None:
        if (feed := self._connection.feeds.get(room_id)) is not None:
            feed.drop()


def _judged(room: Room | None, position: int, membership: Membership | None) -> Reach | Refused:
    try:
        require_in_room("room.hear", None if room is None else room.kind, relation_of(membership))
    except Refused as refused:
        return refused
    assert room is not None and membership is not None, "only members hear a room"
    return Reach(membership.joined_position, room.history, position)
