"""A row of the record that cannot be decoded is told as what it is, and keeps nobody from the rows beside it."""

from uuid import uuid4

import pytest

from adapters.postgres.audit import AuditReader
from adapters.postgres.audit_index import Filter
from adapters.postgres.data_keys import Vault
from adapters.postgres.database import Database
from adapters.postgres.event_store import PostgresRecord
from commands.account import RegisterAccount
from commands.command_bus import CommandBus
from commands.message import EditMessage, PostMessage
from commands.room import OpenRoom
from domain.errors import EventUnreadableError
from domain.events import Caller, UnreadableEvent
from domain.ids import MessageId, RoomId, UserId
from domain.message import MESSAGE, MessageEdited, MessagePosted
from tests.deployments import MASTER, ledger
from tests.poison import SPOILT, SPOILT_METAS, Change, spoil

CASES = [("data", name, how) for name, how in SPOILT.items()] + [
    ("meta", name, how) for name, how in SPOILT_METAS.items()
]
ids = [f"{part}: {name}" for part, name, _ in CASES]


class Scene:
    """Three messages of one room, the second one edited."""

    def __init__(self, command_bus: CommandBus) -> None:
        self.command_bus = command_bus
        self.caller = Caller(user_id=UserId(uuid4()), address="203.0.113.9")
        self.room = RoomId(uuid4())
        self.messages = [MessageId(uuid4()) for _ in range(3)]
        self.positions: list[int] = []

    async def play(self) -> "Scene":
        assert self.caller.user_id
        await self.command_bus.do(RegisterAccount(self.caller.user_id, "a@example.com", "ada", "x"), Caller())
        await self.command_bus.do(OpenRoom(self.room, "Room", None, False), self.caller)
        for message_id in self.messages:
            outcome = await self.command_bus.do(PostMessage(self.room, message_id, "hello"), self.caller)
            self.positions.append(outcome.position)
        await self.command_bus.do(EditMessage(self.messages[1], "hello again"), self.caller)
        return self


def fresh(db: Database, record: PostgresRecord, command_bus: CommandBus) -> CommandBus:
    """Return a desk that remembers nothing."""
    return CommandBus(record, command_bus._handlers, now=command_bus.now, chance=command_bus._chance)


@pytest.mark.parametrize(("part", "name", "how"), CASES, ids=ids)
async def test_it_stops_no_reader(database_url: str, part: str, name: str, how: bytes | Change) -> None:
    async with ledger(database_url) as (db, record, command_bus):
        scene = await Scene(command_bus).play()
        bad, head = scene.positions[1], (await record.head()).position
        await spoil(database_url, bad, **{part: how})
        events = await record.after(0, limit=1_000)
        assert [recorded.position for recorded in events] == list(range(1, head + 1))
        [recorded] = [recorded for recorded in events if isinstance(recorded.event, UnreadableEvent)]
        assert isinstance(recorded.event, UnreadableEvent)
        assert (recorded.position, recorded.event.recorded_topic, recorded.event.frame_room()) == (
            bad,
            "message.posted",
            scene.room,
        )
        of_room = (await record.room_after(scene.room, 0, until=head, limit=1_000)).events
        assert [type(each.event) for each in of_room][-4:] == [
            MessagePosted, UnreadableEvent, MessagePosted, MessageEdited,
        ]  # fmt: skip
        # Nothing is decided on its stream, and everything on the others.
        again = fresh(db, record, command_bus)
        with pytest.raises(EventUnreadableError):
            await again.do(EditMessage(scene.messages[1], "more"), scene.caller)
        assert (await again.do(EditMessage(scene.messages[0], "more"), scene.caller)).events
        assert (await again.do(PostMessage(scene.room, MessageId(uuid4()), "more"), scene.caller)).events
        with pytest.raises(EventUnreadableError):
            await again.see(MESSAGE, scene.messages[1])
        # Auditors see where it stands, and what is wrong.
        page = await AuditReader(db, Vault(db, MASTER)).page(Filter(), after=0, limit=100)
        assert [entry.position for entry in page.entries][:head] == list(range(1, head + 1))
        [entry] = [entry for entry in page.entries if entry.unreadable]
        assert (entry.position, entry.type, entry.data) == (bad, "message.posted", {})
        assert entry.unreadable == recorded.event.fault
        edits = [entry for entry in page.entries if entry.type == "message.edited"]
        assert [entry.before for entry in edits] == [None, {"content": "hello"}]


async def test_a_box_of_a_meta_that_was_altered_is_the_auditors_matter(database_url: str) -> None:
    async with ledger(database_url) as (db, record, command_bus):
        scene = await Scene(command_bus).play()
        [position, *_] = scene.positions
        await spoil(database_url, position, meta=SPOILT["half a box"])
        assert not [
            recorded for recorded in await record.after(0, limit=100) if isinstance(recorded.event, UnreadableEvent)
        ]
        entry = await AuditReader(db, Vault(db, MASTER)).entry(position)
        assert entry is not None and (entry.unreadable, entry.actor) == ("not what was sealed", None)
