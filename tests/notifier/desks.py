"""A notifier in a test: the record, both groups of read tables, planner and teller, all stepped by hand on a clock of the test."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from uuid import UUID, uuid4

from msgspec import Struct

from adapters.clock import now
from adapters.memory.notices import MemoryChannel, MemoryPresence
from adapters.postgres.database import Database
from adapters.postgres.event_store import PostgresRecord
from adapters.postgres.outbox import Outbox
from commands.command_bus import CommandBus
from commands.message import PostMessage
from commands.notification import ChangeNotificationSettings
from domain.events import Caller
from domain.ids import MessageId, RoomId, UserId
from projections import LIVE, NOTIFICATIONS, checkpoints
from projections.tables import Group
from tests.commands.test_desk import person, room_of
from tests.deployments import as_login, ledger
from workers.notice_planner import NoticePlanner
from workers.notice_teller import NoticeTeller
from workers.projector import Follower

MAIL_SECONDS = 600.0


class Somebody(Struct, frozen=True):
    """A person with one device, and a name that others can mention."""

    caller: Caller
    name: str
    device: UUID

    @property
    def id(self) -> UserId:
        assert self.caller.user_id is not None, "somebody is logged in"
        return self.caller.user_id


class Notifier:
    """The parts, and what is asked of them most."""

    def __init__(self, db: Database, record: PostgresRecord, command_bus: CommandBus, own: Database) -> None:
        self.db, self.record, self.command_bus, self.own = db, record, command_bus, own
        self.push, self.mail, self.here = MemoryChannel(), MemoryChannel("mail"), MemoryPresence()
        self.later = timedelta()
        self.outbox = Outbox(own)
        self.start()

    def start(self) -> None:
        """Begin as a new process would: with nothing in memory."""
        channels = (self.push, self.mail)
        self.planner = NoticePlanner(
            self.record, self.own, channels, self.here, now=self.clock, mail_seconds=MAIL_SECONDS
        )
        self.teller = NoticeTeller(self.own, channels, self.here, now=self.clock, mail_seconds=MAIL_SECONDS)

    def clock(self) -> datetime:
        return now() + self.later

    async def follow(self, *groups: Group) -> None:
        """Bring the read tables up to the record, or only these."""
        for group in groups or (LIVE, NOTIFICATIONS):
            follower = Follower(group, self.record, self.db, owner=uuid4().hex)
            while await follower.step() > 0:
                pass
            if follower.lease is not None:
                await checkpoints.let_go(self.db, group.name, follower.lease.epoch)

    async def plan(self) -> None:
        await self.follow()
        while await self.planner.step():
            pass

    async def tell(self) -> None:
        while await self.teller.step():
            pass

    async def run(self) -> list[tuple[int, int]]:
        """Do all there is to do now; answers position and count of each notice that was pushed since."""
        before = len(self.push.told)
        await self.plan()
        await self.tell()
        return [(told.notice.position, told.notice.count) for told in self.push.told[before:]]

    async def somebody(self) -> Somebody:
        name = f"p{uuid4().hex[:12]}"
        made = Somebody(await person(self.command_bus, name), name, uuid4())
        self.push.add(made.device, made.id)
        self.mail.add(made.id, made.id)
        return made

    async def room(self, owner: Somebody, *others: Somebody) -> RoomId:
        """Open a room, and have everybody told that they are in it."""
        made = await room_of(self.command_bus, owner.caller, *(other.caller for other in others))
        await self.run()
        return made

    async def say(self, by: Somebody, room_id: RoomId, text: str) -> int:
        outcome = await self.command_bus.do(PostMessage(room_id, MessageId(uuid4()), text), by.caller)
        return outcome.position

    async def want(self, who: Somebody, **settings: object) -> None:
        await self.command_bus.do(ChangeNotificationSettings(**settings), who.caller)  # type: ignore[arg-type]

    async def states(self) -> dict[str, int]:
        """Return how many pushes are in which state."""
        return {each.state: each.count for each in await self.outbox.counts() if each.channel == "push"}


@asynccontextmanager
async def notifier(database_url: str) -> AsyncIterator[Notifier]:
    """A notifier with the log-in of its kind; the read tables are followed by another."""
    async with ledger(database_url) as (db, record, command_bus):
        own = await Database.open(as_login(database_url, "notifier"), size=4)
        yield Notifier(db, record, command_bus, own)
        await own.close()
