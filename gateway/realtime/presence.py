"""Presence and typing: who is in a room just now. Never recorded, dropped first, and right again by itself.

A person is online in a room while a live socket of theirs is subscribed to it, on whichever gateway. Every gateway says
whom it sees, in whole lists, so that a lost or doubled whisper does no harm; what a gateway said holds as long as its
lease (`adapters/redis/cluster_state.py`). Who is online is the union over the gateways that live, and a feed is told the difference
to what it was told before. Without Redis a gateway knows of its own sockets, and of nobody else after a lease's time.
"""

import asyncio
import math
from collections import OrderedDict, deque
from collections.abc import Callable, Mapping
from functools import lru_cache

import msgspec
import structlog

from adapters.clock import lapsed
from adapters.redis.cluster_state import People, Roster, RosterUnavailable, Whisper
from domain.bounds import (
    EPHEMERA_UNSENT_MAX,
    GATEWAY_BEAT_SECONDS,
    GATEWAY_LEASE_SECONDS,
    PRESENCE_GRACE_SECONDS,
    PRESENCE_PEOPLE_MAX,
    PRESENCE_READ_SECONDS,
    PRESENCE_STEP_SECONDS,
    TYPING_SECONDS,
    TYPISTS_REMEMBERED_MAX,
)
from domain.ids import RoomId, UserId
from gateway.protocol import client_frames, server_frames
from gateway.realtime.connection_limit import Seats
from gateway.realtime.feeds import Feed, Room
from gateway.server.transport import prepared

log = structlog.get_logger()
NOBODY: frozenset[UserId] = frozenset()
NEVER_SAID = People(0, NOBODY)


class Crowd:
    """The people of one room that this gateway follows."""

    def __init__(self) -> None:
        self.by_gateway: dict[str, People] = {}
        self.leaving: dict[UserId, float] = {}
        self.online = NOBODY


class Presence:
    """What one gateway knows, and says, of who is where."""

    def __init__(
        self, roster: Roster, rooms: Mapping[RoomId, Room], seats: Seats, *, lane_of: Callable[[RoomId], int]
    ) -> None:
        """`rooms` are those that somebody here listens to, as the hub has them."""
        self.stirred: set[RoomId] = set()  # rooms whose listeners came or went
        self._roster = roster
        self._rooms = rooms
        self._seats = seats
        self._lane_of = lane_of
        self._crowds: dict[RoomId, Crowd] = {}
        self._living = frozenset((roster.gateway,))
        self._unsaid: deque[tuple[int, Whisper]] = deque(maxlen=EPHEMERA_UNSENT_MAX)
        self._unread: set[RoomId] = set()
        self._lanes: set[int] = set()
        self._typed: OrderedDict[tuple[RoomId, UserId], float] = OrderedDict()
        self._untold: dict[Feed, None] = {}
        self._is_lost = False
        self._beaten_at = self._read_at = -math.inf

    def typing(self, room: Room, user_id: UserId) -> None:
        """Tell the others of a room that somebody types there; again within two seconds is passed over."""
        now, who = lapsed(), (room.room_id, user_id)
        if now - self._typed.get(who, -math.inf) < TYPING_SECONDS:
            return
        self._typed[who] = now
        self._typed.move_to_end(who)
        if len(self._typed) > TYPISTS_REMEMBERED_MAX:
            self._typed.popitem(last=False)
        self._tell_typing(room, user_id)
        self._unsaid.append((self._lane_of(room.room_id), Whisper(self._roster.gateway, room.room_id, typing=user_id)))

    # Running

    async def run(self) -> None:
        """Notice, say and hear until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._step_for_ever())
            group.create_task(self._hear_for_ever())

    async def step(self) -> None:
        """Tell what changed here, say it to the other gateways, and read what they said."""
        self.notice()
        try:
            if lapsed() - self._beaten_at >= GATEWAY_BEAT_SECONDS:
                await self._beat()
            if not self._is_lost:
                await self._seats.say()
                await self._say()
                await self._read()
        except RosterUnavailable as error:
            self._lose(error)

    def notice(self) -> None:
        """See who came to this gateway's rooms and who went; whoever went is missed after a grace."""
        stirred = list(self.stirred)
        self.stirred.clear()
        for room_id in stirred:
            room = self._rooms.get(room_id)
            here = frozenset[UserId]() if room is None else room.people()
            if room_id not in self._crowds:
                if not here:
                    continue
                self._unread.add(room_id)
            crowd = self._crowds.setdefault(room_id, Crowd())
            self._see(room_id, crowd, here)
            self._tell_room(room_id, crowd)
            if crowd.leaving:
                self.stirred.add(room_id)
            elif not here:
                del self._crowds[room_id]
        untold, self._untold = self._untold, {}
        for feed in untold:
            if not feed.over and (kept := self._crowds.get(feed.room.room_id)) is not None:
                self._tell(feed, kept.online)

    def take(self, whisper: Whisper) -> None:
        """Take what another gateway said."""
        if whisper.gateway == self._roster.gateway or whisper.room_id not in self._crowds:
            return
        if whisper.typing is not None and (room := self._rooms.get(whisper.room_id)) is not None:
            self._tell_typing(room, whisper.typing)
        if whisper.people is not None:
            self._take_people(whisper.room_id, whisper.gateway, whisper.people)

    async def _step_for_ever(self) -> None:
        while True:
            await self.step()
            await asyncio.sleep(PRESENCE_STEP_SECONDS)

    async def _hear_for_ever(self) -> None:
        while True:
            try:
                await self._roster.listen(self._lanes or {0})
                self._unread |= self._crowds.keys()  # what was said while nobody listened
                async for whisper in self._roster.hear():
                    self.take(whisper)
            except (RosterUnavailable, msgspec.MsgspecError) as error:
                log.warning("presence is not heard", reason=str(error))
                await asyncio.sleep(GATEWAY_BEAT_SECONDS)

    def _see(self, room_id: RoomId, crowd: Crowd, here: frozenset[UserId]) -> None:
        now, gateway = lapsed(), self._roster.gateway
        before = crowd.by_gateway.get(gateway, NEVER_SAID)
        for user_id in before.user_ids - here:
            crowd.leaving.setdefault(user_id, now + PRESENCE_GRACE_SECONDS)
        crowd.leaving = {
            user_id: deadline for user_id, deadline in crowd.leaving.items() if user_id not in here and deadline > now
        }
        seen = _most(here | crowd.leaving.keys(), before.user_ids)
        if seen != before.user_ids:
            crowd.by_gateway[gateway] = People(before.number + 1, seen)
            self._say_soon(room_id, crowd)

    # The other gateways

    async def _beat(self) -> None:
        """Renew the lease, and let go of what gateways said that live no more."""
        self._beaten_at = lapsed()
        is_new, living = await self._roster.beat()
        if is_new or self._is_lost:  # the first time, or Redis was away or forgot everything: say all of it again
            self._is_lost = False
            for room_id, crowd in self._crowds.items():
                self._say_soon(room_id, crowd)
            self._seats.say_again()
        self._set_living(living | {self._roster.gateway})
        if lapsed() - self._read_at > PRESENCE_READ_SECONDS:  # whispers may be lost
            self._read_at = lapsed()
            self._unread |= self._crowds.keys()

    async def _say(self) -> None:
        if self._unsaid:
            whispers = list(self._unsaid)
            self._unsaid.clear()
            await self._roster.say(whispers)

    async def _read(self) -> None:
        if not self._unread:
            return
        room_ids = list(self._unread)
        if new := {self._lane_of(room_id) for room_id in room_ids} - self._lanes:
            await self._roster.listen(new)
            self._lanes |= new
        for room_id, said in (await self._roster.people(room_ids)).items():
            self._unread.discard(room_id)
            for gateway, people in said.items():
                if gateway != self._roster.gateway and room_id in self._crowds:
                    self._take_people(room_id, gateway, people)

    def _take_people(self, room_id: RoomId, gateway: str, people: People) -> None:
        crowd = self._crowds[room_id]
        if people.number > crowd.by_gateway.get(gateway, NEVER_SAID).number:
            crowd.by_gateway[gateway] = people
            self._tell_room(room_id, crowd)

    def _say_soon(self, room_id: RoomId, crowd: Crowd) -> None:
        if (people := crowd.by_gateway.get(self._roster.gateway)) is not None:
            self._unsaid.append((self._lane_of(room_id), Whisper(self._roster.gateway, room_id, people)))

    def _lose(self, error: RosterUnavailable) -> None:
        """Go on without Redis: what others said holds for a lease's time."""
        if not self._is_lost:
            log.warning("presence knows of this gateway alone", reason=str(error))
            self._lost_at = lapsed()
        self._is_lost = True
        self._unsaid.clear()
        self._unread |= self._crowds.keys()
        if lapsed() - self._lost_at > GATEWAY_LEASE_SECONDS:
            self._set_living(frozenset((self._roster.gateway,)))

    def _set_living(self, living: frozenset[str]) -> None:
        if living == self._living:
            return
        if living - self._living:
            self._unread |= self._crowds.keys()
        self._living = living
        for room_id, crowd in self._crowds.items():
            for gateway in crowd.by_gateway.keys() - living:
                del crowd.by_gateway[gateway]
            self._tell_room(room_id, crowd)

    # Telling

    def _tell_room(self, room_id: RoomId, crowd: Crowd) -> None:
        """Tell everybody in a room what changed since they were told."""
        said = (people.user_ids for gateway, people in crowd.by_gateway.items() if gateway in self._living)
        online = NOBODY.union(*said)
        if online != crowd.online:
            crowd.online = _most(online, crowd.online)
        if (room := self._rooms.get(room_id)) is not None:
            for feed in room.live:
                self._tell(feed, crowd.online)

    def _tell(self, feed: Feed, online: frozenset[UserId]) -> None:
        """Tell one feed the difference to what it was told; for what it does not take now, again soon."""
        if feed.online is online:
            return
        come, gone = online - feed.online, feed.online - online
        told: set[UserId] = set()
        for user_id in (*come, *gone):
            frame = _presence_frame(feed.room.room_id, user_id, user_id in come)
            if user_id != feed.user_id and not feed.connection.whisper(frame):
                feed.online = feed.online ^ told
                self._untold[feed] = None
                return
            told.add(user_id)
        feed.online = online

    @staticmethod
    def _tell_typing(room: Room, user_id: UserId) -> None:
        frame = prepared(client_frames.frame(server_frames.IsTyping(room.room_id, user_id)))
        for feed in room.live:
            if feed.user_id != user_id:
                feed.connection.whisper(frame)


@lru_cache(maxsize=4_096)
def _presence_frame(room_id: RoomId, user_id: UserId, is_online: bool) -> bytes:
    return prepared(client_frames.frame(server_frames.Presence(room_id, user_id, "online" if is_online else "offline")))


def _most(people: frozenset[UserId], first: frozenset[UserId]) -> frozenset[UserId]:
    """Return these people, but no more than are told of; where they are too many, those who were among the first stay."""
    if len(people) <= PRESENCE_PEOPLE_MAX:
        return people
    staying = people & first
    return staying | frozenset(sorted(people - staying)[: PRESENCE_PEOPLE_MAX - len(staying)])
