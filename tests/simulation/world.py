"""The whole system in one made-up time: writers, projectors, lanes, hubs, sockets and clients, all of them the real ones.

Only what they stand on is made up: the record, the tables, Redis and the network in memory. From a seed come who says
what when, how long every step takes, and what breaks: processes killed and frozen, servers away, answers lost, Redis
emptied or robbed of its newest entries, sockets cut, readers slow. Then everything heals, and what every client heard is
held against the record.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import takewhile
from random import Random
from types import SimpleNamespace
from typing import Any, cast
from uuid import UUID

from hansard_client.backoff import Backoff
from hansard_client.chat import Chat
from hansard_client.errors import Closed, HansardError, Refused
from hansard_client.models import Event

from adapters.memory.event_store import MemoryRecord
from adapters.memory.lanes import MemoryStreams
from adapters.postgres.clock_watch import ClockWatch
from adapters.redis.rate_limits import LocalLimits
from commands import HANDLERS
from commands.account import RegisterAccount
from commands.command_bus import CommandBus
from commands.direct import OpenDirect
from commands.membership import LeaveRoom, PutMember, RemoveMember
from commands.message import DeleteMessage, EditMessage, PostMessage
from commands.reaction import AddReaction, RemoveReaction
from commands.room import ArchiveRoom, ChangeRoom, OpenRoom
from commands.session import EndSession, OpenSession
from domain import quotas
from domain.bounds import CLOCK_AHEAD_SECONDS_MAX
from domain.derived_ids import DerivedIds
from domain.direct import room_id_of
from domain.errors import BadTokenError, DomainError
from domain.events import Caller, Recorded
from domain.ids import MessageId, RecordId, RoomId, SessionId, UserId
from domain.membership import MemberJoined, MemberLeft, MemberRemoved
from domain.message import MessageDeleted, MessageEdited, MessagePosted
from domain.ports.credentials import Access, Refreshing
from domain.ports.record import RecordUnavailableError
from domain.room import RoomArchived
from gateway.edge.refusal_log import Refusals
from gateway.edge.sessions import Sessions
from gateway.http.read_your_writes import Reads
from gateway.realtime.connection_limit import SocketLimit
from gateway.realtime.hub import Hub
from gateway.realtime.read_marks import ReadMarks
from gateway.services import Services
from gateway.sockets.connection import SocketConnection
from projections import LIVE
from tests.simulation import everyday
from tests.simulation.everyday import Talk
from tests.simulation.loop import VirtualLoop
from tests.simulation.network import Line, Wire
from tests.simulation.rebuilding import rebuild
from tests.simulation.tables import COMMITS_LOST_MAX, MemoryTables
from tests.simulation.weather import LanesLink, NoRoster, Process, RecordLink, TablesLink, Weather
from workers.handed_events import HandedEvents
from workers.projector import Follower
from workers.publisher import Publisher

BEGAN = datetime(2026, 1, 1, tzinfo=UTC)
LANES = 3
CHAOS_SECONDS = 20.0
HEALING_SECONDS = 120.0
LEAP = timedelta(days=2)
OLD_SHARE = 0.3  # of the gateways
TOGETHER_SEEDS = 4  # in every fourth world gateways of this release are projectors, too
NEW_TOPICS = frozenset({RoomArchived.topic})
EMOJIS = ("👍", "❤️")
SESSION_REVOKED = "auth.session_revoked"


class Unsigned:
    """There is no notary in a simulation, so no checkpoint either."""

    async def newest(self) -> None:
        return None


class Tokens:
    """The port `domain.ports.Tokens`, unsigned: `<user>.<session>`."""

    def access(
        self, *, user_id: UserId, session_id: SessionId, now: datetime, until: datetime | None = None
    ) -> tuple[str, int]:
        return f"{user_id}.{session_id}", 3600

    def read(self, token: str, now: datetime) -> Access:
        user_id, _, session_id = token.partition(".")
        if not session_id:
            raise BadTokenError
        return Access(UserId(UUID(user_id)), SessionId(UUID(session_id)), now + timedelta(hours=1))

    def refresh(self, session_id: SessionId, *, after: str = "", key: str | None = None) -> Refreshing:
        raise AssertionError("nobody refreshes here")

    def read_refresh(self, token: str) -> Refreshing:
        raise AssertionError("nobody refreshes here")

    def jwks(self, now: datetime) -> dict[str, list[dict[str, str]]]:
        return {"keys": []}

    async def reload(self) -> None:
        pass


@dataclass
class Person:
    user_id: UserId
    session_id: SessionId
    is_logged_out: bool = False

    @property
    def token(self) -> str:
        return f"{self.user_id}.{self.session_id}"

    @property
    def caller(self) -> Caller:
        return Caller(user_id=self.user_id, session_id=self.session_id)


@dataclass
class Heard:
    """What one observer was told of one room; several feeds, where its membership ended and began again."""

    person: Person
    room_id: RoomId
    after: int
    events: list[Event] = field(default_factory=list)
    is_over: bool = False


class Gateway(Process):
    """One gateway process, with the sockets of those that are connected to it."""

    def __init__(self, name: str, world: "World", *, unknown: frozenset[str] = frozenset()) -> None:
        """`unknown`: the topics that it does not know, since it is of a release before."""
        super().__init__(name, world.weather)
        self.lines: list[Line] = []
        record, db = world.link(self, unknown), TablesLink(self, world.tables)
        lanes = LanesLink(self, world.streams, LANES)
        self.command_bus = world.command_bus(record, HANDLERS, now=world.now, chance=world.weather.chance.randbytes)
        tokens = Tokens()
        sessions, reads = Sessions(db, tokens, world.now), Reads(db)
        cluster_state = cast(Any, NoRoster())
        socket_limit = SocketLimit(cluster_state, quotas.SocketLimit())
        self.hub = world.hub(record, db, cast(Any, lanes), cluster_state, socket_limit, sessions, reads)
        policy = SimpleNamespace(quotas=quotas.OFF, origins=())
        self.services = cast(
            Services,
            SimpleNamespace(
                policy=policy, record_id=world.record_id, record=record, db=db, command_bus=self.command_bus, reads=reads,
                sessions=sessions, tokens=tokens, limits=LocalLimits(world.lapsed), lanes=lanes, hub=self.hub,
                socket_limit=socket_limit, now=world.now, refusals=Refusals(self.command_bus), derived=DerivedIds(), marks=ReadMarks(cluster_state),
                checkpoints=Unsigned(),
            ),
        )  # fmt: skip
        self.start(self.command_bus.run())
        self.start(self._run_hub())
        if not unknown and world.seed % TOGETHER_SEEDS == 1:
            self._project(world, record, db)

    def _project(self, world: "World", record: RecordLink, db: TablesLink) -> None:
        """Do a projector's work, too: take what was appended here as it was handed over, and give frames to the hub directly."""
        lanes = cast(Any, LanesLink(self, world.streams, LANES))
        publisher = world.publisher(record, db, lanes, LIVE, deliver=self.hub.deliver)
        handed = HandedEvents(record, is_taken=lambda: follower.lease is not None)
        follower = Follower(LIVE, handed, db, owner=self.name, committed=publisher.hand_over, taken=publisher.begin)
        record.hand = handed.hand
        self.hub.publishes_here(lambda: follower.lease is not None)
        self.start(publisher.run())
        self.start(follower.run())

    async def _run_hub(self) -> None:
        while True:  # a supervisor starts a gateway again that cannot begin without Postgres
            try:
                await self.hub.run()
            except RecordUnavailableError:
                await asyncio.sleep(0.2)

    def connect(self, token: str) -> Line:
        line = Line(self, token, self.weather)
        self.lines = [kept for kept in self.lines if not kept.is_over]
        self.lines.append(line)
        socket = cast(Any, SimpleNamespace(scope=line.scope, receive=line.receive, send=line.asgi_send))
        self.start(SocketConnection(self.services, socket, None).live())
        return line

    def kill(self) -> None:
        super().kill()
        for line in self.lines:
            line.cut()


class Projector(Process):
    def __init__(self, name: str, world: "World") -> None:
        super().__init__(name, world.weather)
        record, db = world.link(self), TablesLink(self, world.tables)
        publisher = world.publisher(record, db, cast(Any, LanesLink(self, world.streams, LANES)), LIVE)
        follower = Follower(LIVE, record, db, owner=name, committed=publisher.hand_over, taken=publisher.begin)
        self.start(publisher.run())
        self.start(follower.run())


class World:
    hub: Callable[..., Hub] = Hub
    publisher: type[Publisher] = Publisher
    store: type[MemoryRecord] = MemoryRecord
    record_link: type[RecordLink] = RecordLink
    read_tables: type[MemoryTables] = MemoryTables
    watch: type[ClockWatch] = ClockWatch
    command_bus: type[CommandBus] = CommandBus
    rebuild: Callable[..., Awaitable[list[str]]] = staticmethod(rebuild)

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.weather = Weather(seed)
        self.chance = Random(f"{seed} deeds")
        self.record_id = RecordId(UUID(int=seed, version=4))
        self.record = self.store(self.record_id, now=self.database_now, chance=self.weather.chance.randbytes)
        self.tables = self.read_tables(lambda: self.lapsed() + self.weather.ahead.total_seconds())
        self.streams = MemoryStreams()
        self.people: list[Person] = []
        self.rooms: list[RoomId] = []
        self.heard: list[Heard] = []
        self.chats: list[Chat] = []
        self.acknowledged: dict[str, tuple[int, str]] = {}
        self.unknown: set[str] = set()
        self.talk = Talk(seed)
        self.faults: list[str] = []
        self._names = 0
        self._is_healed = False

    def lapsed(self) -> float:
        return asyncio.get_running_loop().time()

    def now(self) -> datetime:
        return BEGAN + timedelta(seconds=self.lapsed())

    def database_now(self) -> datetime:
        return self.now() + self.weather.ahead

    def link(self, process: Process, unknown: frozenset[str] = frozenset()) -> RecordLink:
        watch = self.watch(own=self.now, uptime=self.lapsed)
        return self.record_link(process, self.record, watch, unknown=unknown)

    # Setting the scene

    async def run(self) -> list[str]:
        """Live through it all; answers what was found wrong."""
        self.gateways = [self._gateway(), self._gateway()]
        self.projectors = [Projector("p1", self), Projector("p2", self)]
        await self._settle()
        deeds = [self._start(self._speak(person)) for person in self.people[:3]]
        deeds.append(self._start(self._moderate()))
        observers = [
            self._start(self._observe(person, slow=i % 3 == 0))
            for i, person in enumerate((*self.people, *self.people[1:]))
        ]
        storm = self._start(self._storm())
        await asyncio.gather(storm, *deeds)
        self._heal()
        await self._converge()
        for task in observers:
            task.cancel()
        for outcome in await asyncio.gather(*observers, return_exceptions=True):
            if isinstance(outcome, Exception):
                self.faults.append(f"an observer failed: {outcome!r}")
        for process in (*self.gateways, *self.projectors):
            process.kill()
        await asyncio.sleep(HEALING_SECONDS)  # what was cancelled may end
        self.faults += self.weather.failures
        self.faults += ["a client met a gap" for chat in self.chats if chat.gaps]
        self._judge()
        return self.faults

    def _start(self, work: Any) -> "asyncio.Task[None]":
        return asyncio.get_running_loop().create_task(work)

    def _gateway(self) -> Gateway:
        self._names += 1
        unknown = NEW_TOPICS if self.chance.random() < OLD_SHARE else frozenset[str]()
        return Gateway(f"g{self._names}", self, unknown=unknown)

    async def _settle(self) -> None:
        command_bus = CommandBus(self.record, HANDLERS, now=self.now, chance=self.weather.chance.randbytes)
        for i in range(5):
            user_id, session_id = UserId(command_bus.new_id()), SessionId(command_bus.new_id())
            await command_bus.do(RegisterAccount(user_id, f"p{i}@example.com", f"p{i}", "no hash"), Caller())
            await command_bus.do(OpenSession(session_id, user_id, "no hash", self.now() + timedelta(days=7)), Caller())
            self.people.append(Person(user_id, session_id))
        ada = self.people[0].caller
        for i in range(3):
            room_id = RoomId(command_bus.new_id())
            self.rooms.append(room_id)
            await command_bus.do(OpenRoom(room_id, f"room {i}"), ada)
            for person in self.people[1:]:
                await command_bus.do(PutMember(room_id, person.user_id, "member"), ada)
        await command_bus.do(ChangeRoom(self.rooms[2], history="joined"), ada)
        two = tuple(sorted(person.user_id for person in self.people[:2]))
        await command_bus.do(OpenDirect(two), ada)
        self.rooms.append(room_id_of(two))

    # Deeds

    async def _do(self, command: Any, caller: Caller) -> Any:
        """Do a command on any gateway, again until its outcome is known; None where it is refused."""
        while True:
            gateway = self.chance.choice(self.gateways)
            try:
                async with asyncio.timeout(8):
                    return await asyncio.shield(gateway.start(gateway.command_bus.do(command, caller)))
            except (RecordUnavailableError, TimeoutError, asyncio.CancelledError):
                task = asyncio.current_task()
                if task is not None and task.cancelling():
                    raise
                await asyncio.sleep(0.5)
            except DomainError:
                return None

    async def _speak(self, person: Person) -> None:
        async with self._chat(person) as chat:
            posted: list[str] = []
            until = self.lapsed() + CHAOS_SECONDS
            while self.lapsed() < until:
                await asyncio.sleep(self.chance.choice((0.0, 0.05, 0.3, 1.5)))
                message_id = str(UUID(int=self.chance.getrandbits(128), version=4))
                said = f"{self.chance.getrandbits(32):x} " + "x" * self.chance.choice((1, 1, 1, 400))
                content = self.talk.words() + said
                room_id, place = self.talk.thread(self.chance.choice(self.rooms))
                try:
                    sent = await chat.send(room_id, content, message_id=message_id, timeout=20, **place)
                    self.acknowledged[message_id] = (sent.position, content)
                    posted.append(message_id)
                    self.talk.roots |= {} if place else {message_id: room_id}
                except Refused:
                    continue
                except HansardError:
                    self.unknown.add(message_id)
                if posted and self.chance.random() < 0.2:
                    edit = EditMessage(MessageId(UUID(self.chance.choice(posted))), f"edited {self.chance.random()}")
                    await self._do(edit, person.caller)
                if posted and self.chance.random() < 0.3:
                    deed = self.chance.choice((AddReaction, AddReaction, RemoveReaction))
                    liked = MessageId(UUID(self.chance.choice(list(self.acknowledged))))
                    await self._do(deed(liked, self.chance.choice(EMOJIS)), person.caller)
                if (aside := self.talk.deed()) is not None:
                    await self._do(aside, person.caller)
                if posted and self.chance.random() < 0.1:
                    await self._do(DeleteMessage(MessageId(UUID(self.chance.choice(posted)))), person.caller)

    async def _moderate(self) -> None:
        """Remove people and take them back; have one leave, and one log out."""
        ada, until = self.people[0], self.lapsed() + CHAOS_SECONDS
        while self.lapsed() < until:
            await asyncio.sleep(self.chance.uniform(0.5, 6))
            person, room_id = self.chance.choice(self.people[1:4]), self.chance.choice(self.rooms)
            if self.chance.random() < 0.3:
                await self._do(LeaveRoom(room_id), person.caller)
            else:
                await self._do(RemoveMember(room_id, person.user_id, False), ada.caller)
            await asyncio.sleep(self.chance.uniform(0, 3))
            await self._do(PutMember(room_id, person.user_id, "member"), ada.caller)
        leaver = self.people[4]
        leaver.is_logged_out = True
        await self._do(EndSession(leaver.session_id, "logout"), leaver.caller)

    def _chat(self, person: Person) -> Chat:
        async def dial(token: str) -> Wire:
            gateway = self.chance.choice(self.gateways)
            await asyncio.sleep(self.chance.choice((0.001, 0.01, 0.1)))
            if gateway.is_killed:
                raise Closed(None, "nobody listens there")
            line = gateway.connect(token)
            await line.opened()
            return Wire(line)

        async def token(refused: str | None) -> str:
            if refused is not None and person.is_logged_out:
                raise Refused(SESSION_REVOKED, 401, "a session that has ended is not refreshed")
            return person.token

        seed = self.chance.getrandbits(64)
        chat = Chat(dial, token, user_id=str(person.user_id), backoff=Backoff(0.1, 2.0), chance=Random(seed))
        self.chats.append(chat)
        return chat

    async def _observe(self, person: Person, *, slow: bool) -> None:
        try:
            async with self._chat(person) as chat, asyncio.TaskGroup() as group:
                for room_id in self.rooms:
                    await asyncio.sleep(self.chance.choice((0.0, 1.0, 9.0)))
                    after = self.chance.choice((0, None, self.chance.randrange(len(self.record.events))))
                    group.create_task(self._listen(chat, person, room_id, after, slow=slow))
        except* (Closed, Refused):
            assert person.is_logged_out, "only who logged out is sent away for good"

    async def _listen(self, chat: Chat, person: Person, room_id: RoomId, after: int | None, *, slow: bool) -> None:
        """Hear a room for ever: where the membership ends, ask again from there until it begins anew."""
        heard: Heard | None = None
        while True:
            try:
                feed = await chat.subscribe(room_id, after=after if heard is None else _held(heard), timeout=60)
                if heard is None:
                    heard = Heard(person, room_id, feed.position or 0)
                    self.heard.append(heard)
                async for event in feed:
                    heard.events.append(event)
                    if slow and not self._is_healed:
                        await asyncio.sleep(self.chance.choice((0.0, 0.02, 0.2)))
            except (Closed, Refused) as error:
                if isinstance(error, Refused) and error.code != SESSION_REVOKED:
                    await asyncio.sleep(0.5)  # not a member just now
                    continue
                if heard is not None:
                    heard.is_over = True
                raise
            await asyncio.sleep(0.5)

    # Breaking things

    async def _storm(self) -> None:
        until = self.lapsed() + CHAOS_SECONDS
        deeds: list[Callable[[], Awaitable[None]]] = [
            self._kill_gateway, self._kill_projector, self._freeze, self._empty_redis, self._rob_redis, self._redis_away,
            self._redis_hangs, self._postgres_away, self._cut, self._cut, self._lose_answers, self._rebuild_together,
            self._lose_keys, self._leap, self._end_room,
        ]  # fmt: skip
        while self.lapsed() < until:
            await asyncio.sleep(self.chance.uniform(0, 2.5))
            deed = self.chance.choice(deeds)
            self.weather.note(deed.__name__)
            await deed()

    async def _kill_gateway(self) -> None:
        i = self.chance.randrange(2)
        self.gateways[i].kill()
        await asyncio.sleep(self.chance.uniform(0, 1))
        self.gateways[i] = self._gateway()

    async def _kill_projector(self) -> None:
        i = self.chance.randrange(2)
        self.projectors[i].kill()
        await asyncio.sleep(self.chance.uniform(0, 2))
        self._names += 1
        self.projectors[i] = Projector(f"p{self._names}", self)

    async def _freeze(self) -> None:
        process = self.chance.choice((*self.gateways, *self.projectors))
        process.freeze()
        await asyncio.sleep(self.chance.uniform(0, 6))
        process.thaw()

    async def _empty_redis(self) -> None:
        self.streams.forget()

    async def _rob_redis(self) -> None:
        """A failover to a replica that was behind: the newest entries are gone, and perhaps the note of them."""
        for entries in self.streams.entries.values():
            del entries[len(entries) - self.chance.randrange(3) :]
        if self.chance.random() < 0.5 and self.streams.published is not None:
            self.streams.published = max(0, self.streams.published - self.chance.randrange(5))

    async def _redis_away(self) -> None:
        self.weather.away.add("redis")
        await asyncio.sleep(self.chance.uniform(0, 5))
        self.weather.away.discard("redis")

    async def _redis_hangs(self) -> None:
        self.weather.is_frozen = True
        await asyncio.sleep(self.chance.uniform(0, 8))
        self.weather.is_frozen = False

    async def _postgres_away(self) -> None:
        """Gone for a while; where it crashed, what need not wait for the disk may have been lost."""
        self.weather.away.add("postgres")
        if self.chance.random() < 0.5:
            self.tables.crash(self.chance.randrange(COMMITS_LOST_MAX + 1))
        await asyncio.sleep(self.chance.uniform(0, 2))
        self.weather.away.discard("postgres")

    async def _cut(self) -> None:
        for gateway in self.gateways:
            for line in gateway.lines:
                if self.chance.random() < 0.4:
                    line.cut()

    async def _lose_answers(self) -> None:
        self.weather.lost_answers = 0.2
        await asyncio.sleep(self.chance.uniform(0, 2))
        self.weather.lost_answers = 0.0

    async def _rebuild_together(self) -> None:
        """Two of the same tables, beside whoever follows."""
        for faults in await asyncio.gather(*(self.rebuild(self.record, self.tables, self.chance) for _ in range(2))):
            self.faults += faults

    async def _lose_keys(self) -> None:
        """Somebody's data keys are taken away and put back."""
        user_id = self.chance.choice(self.people).user_id
        self.weather.missing_keys.add(user_id)
        await asyncio.sleep(self.chance.uniform(0, 5))
        self.weather.missing_keys.discard(user_id)

    async def _leap(self) -> None:
        """The database's clock leaps, ahead or back, and is set right again. Whoever holds a lease by it may end."""
        self.weather.ahead = self.chance.choice((LEAP, LEAP, -LEAP))
        await asyncio.sleep(self.chance.uniform(0, 4))
        if self.chance.random() < 0.5:
            await self._kill_projector()
        self.weather.ahead = timedelta(0)

    async def _end_room(self) -> None:
        """Archive a room by one gateway, and post in it by all: the old ones do not know that it ended."""
        ada, room_id = self.people[0].caller, RoomId(UUID(int=self.chance.getrandbits(128), version=4))
        self._start(self._post_late(ada, room_id))

    async def _post_late(self, ada: Caller, room_id: RoomId) -> None:
        if await self._do(OpenRoom(room_id, "short-lived"), ada) is None:
            return
        await self._post_everywhere(ada, room_id)
        await self._do(ArchiveRoom(room_id), ada)
        await self._post_everywhere(ada, room_id)

    async def _post_everywhere(self, ada: Caller, room_id: RoomId) -> None:
        for gateway in list(self.gateways):
            message_id = MessageId(UUID(int=self.chance.getrandbits(128), version=4))
            self.unknown.add(str(message_id))
            with suppress(DomainError, RecordUnavailableError, TimeoutError):
                async with asyncio.timeout(8):
                    command = PostMessage(room_id, message_id, "in time or too late")
                    await asyncio.shield(gateway.start(gateway.command_bus.do(command, ada)))

    # Healing and judging

    def _heal(self) -> None:
        self.weather.clear_up()
        self._is_healed = True
        for process in (*self.gateways, *self.projectors):
            process.thaw()

    async def _converge(self) -> None:
        """Wait until everybody has everything, a bounded time."""
        deadline = self.lapsed() + HEALING_SECONDS
        while self.lapsed() < deadline and (self._is_behind() or any(map(self._missing, self.heard))):
            await asyncio.sleep(0.5)

    def _is_behind(self) -> bool:
        return bool(self.tables.checkpoints["live"]["position"] < len(self.record.events))

    def _missing(self, heard: Heard) -> bool:
        return not heard.is_over and [event.position for event in heard.events] != self._expected(heard)

    def _expected(self, heard: Heard) -> list[int]:
        """Return what somebody hears of a room after a position: everything, for in the end everybody is a member.

        Of a room that is seen since joining, what was before the latest joining is told to those who hear it then, and
        to nobody later: of each earlier membership, as much as was heard from its beginning on. What becomes of messages
        from before it is told to its member neither.
        """
        memberships: list[list[int]] = [[]]
        is_since_joining, is_member, began = heard.room_id == self.rooms[2], True, 0
        for recorded in self.record.events:
            if recorded.event.frame_room() != heard.room_id:
                continue
            is_own = getattr(recorded.event, "user_id", None) == heard.person.user_id
            if is_own and isinstance(recorded.event, MemberJoined):
                is_member, began = True, recorded.position
                memberships.append([])
            is_older = is_since_joining and getattr(recorded.event, "posted_position", began) < began
            if recorded.position > heard.after and (is_member or not is_since_joining) and not is_older:
                memberships[-1].append(recorded.position)
            if is_own and isinstance(recorded.event, (MemberLeft, MemberRemoved)):
                is_member = False
        if is_since_joining:
            told = {event.position for event in heard.events}
            earlier = [list(takewhile(told.__contains__, positions)) for positions in memberships[:-1]]
            memberships = [*earlier, memberships[-1]]
        return [position for positions in memberships for position in positions]

    def _judge(self) -> None:
        events = {recorded.position: recorded for recorded in self.record.events}
        for heard in self.heard:
            self._judge_feed(heard, events)
        posted = [
            (recorded.event, recorded.position)
            for recorded in self.record.events
            if isinstance(recorded.event, MessagePosted)
        ]
        by_id = {str(event.message_id): (position, event.content) for event, position in posted}
        if not self.acknowledged:
            self.faults.append("nobody said anything, so nothing was tried")
        if len(by_id) != len(posted):
            self.faults.append("a message was posted twice")
        for message_id, accepted in self.acknowledged.items():
            if by_id.get(message_id) != accepted:
                self.faults.append(f"lost: {message_id} was acknowledged at {accepted[0]}")
        if strangers := set(by_id) - set(self.acknowledged) - self.unknown:
            self.faults.append(f"nobody sent {sorted(strangers)}")
        self._judge_guards()
        self._judge_times()
        self._judge_rows()

    def _judge_feed(self, heard: Heard, events: dict[int, Recorded[Any]]) -> None:
        expected = self._expected(heard)
        positions = [event.position for event in heard.events]
        who = f"{heard.person.user_id} in {heard.room_id} after {heard.after}"
        if heard.is_over:
            expected = expected[: len(positions)]
        if positions != expected:
            missing = [at for at in expected if at not in positions]
            surplus = [at for at in positions if at not in expected]
            self.faults.append(f"{who} heard {positions}; missing {missing}, surplus {surplus}")
        deleted: set[str] = set()
        for event in heard.events:
            recorded = events[event.position].event
            if isinstance(recorded, MessageDeleted):
                deleted.add(str(recorded.message_id))
            if isinstance(recorded, (MessagePosted, MessageEdited)):
                told = event.data["content"]
                if told not in ("", recorded.content) or (told and str(recorded.message_id) in deleted):
                    self.faults.append(f"{who} heard {told!r} at {event.position}, not {recorded.content!r}")
                if told == "" and not self._is_deleted(recorded.message_id):
                    self.faults.append(f"{who} heard a tombstone at {event.position} of what is not deleted")

    def _is_deleted(self, message_id: MessageId) -> bool:
        return any(
            isinstance(recorded.event, MessageDeleted) and recorded.event.message_id == message_id
            for recorded in self.record.events
        )

    def _judge_guards(self) -> None:
        """Nothing is recorded of somebody who was no member at that position, nor in a room that had ended."""
        members: set[tuple[RoomId, UserId]] = set()
        ended: set[RoomId] = set()
        for recorded in self.record.events:
            match recorded.event:
                case MemberJoined():
                    members.add((recorded.event.room_id, recorded.event.user_id))
                case MemberLeft() | MemberRemoved():
                    members.discard((recorded.event.room_id, recorded.event.user_id))
                case MessagePosted() if (recorded.event.room_id, recorded.event.sender_id) not in members:
                    self.faults.append(f"{recorded.position} is of somebody who was no member")
                case RoomArchived():
                    ended.add(recorded.event.room_id)
                case MessagePosted() if recorded.event.room_id in ended:
                    self.faults.append(f"{recorded.position} is in a room that had ended")

    def _judge_times(self) -> None:
        """Nothing is recorded at a time that is still to come, further than a clock may be wrong."""
        latest = self.now() + timedelta(seconds=CLOCK_AHEAD_SECONDS_MAX)
        self.faults += [
            f"{recorded.position} was recorded at {recorded.at}"
            for recorded in self.record.events
            if recorded.at > latest
        ]

    def _judge_rows(self) -> None:
        """The read tables say of messages what the record says."""
        rows = {
            key[0]: row for key, row in self.tables.rows["read.messages"].items() if row["message_type"] != "system"
        }
        posted = {recorded.position for recorded in self.record.events if isinstance(recorded.event, MessagePosted)}
        if self.tables.parked:
            self.faults.append(f"parked, though nothing was wrong with it: {self.tables.parked}")
        if rows.keys() != posted:
            self.faults.append(f"the rows are of {sorted(rows.keys() ^ posted)} more or less than was posted")
        self.faults += everyday.judge(self.record.events, self.tables.rows)


def _held(heard: Heard) -> int:
    return heard.events[-1].position if heard.events else heard.after


def live_through(seed: int, world: type[World] = World) -> tuple[list[str], str]:
    """Run one seed; answers its faults, and the digest of everything that happened."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:

        async def made() -> World:
            return world(seed)

        lived = runner.run(made())
        return runner.run(lived.run()), lived.weather.digest
