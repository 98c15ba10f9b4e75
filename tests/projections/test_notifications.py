"""The inbox is a function of the record: however it is cut into batches, rebuilt or followed, and as a plain fold says it."""

from collections.abc import Sequence
from random import Random
from typing import Any
from uuid import UUID, uuid4

from msgspec import Struct

from adapters.postgres.database import Database
from adapters.postgres.event_store import PostgresRecord
from commands.block import BlockUser, UnblockUser
from commands.command_bus import CommandBus
from commands.direct import OpenDirect
from commands.membership import LeaveRoom, PutMember, RemoveMember
from commands.message import DeleteMessage, PostMessage
from commands.notification import ChangeNotificationSettings, MarkNotificationsRead
from domain.block import UserBlocked, UserUnblocked
from domain.direct import people_of, room_id_of
from domain.errors import DomainError
from domain.events import Caller, Event, Recorded
from domain.ids import MessageId, RoomId
from domain.membership import MemberJoined, MemberLeft, MemberRemoved
from domain.message import MessageDeleted, MessagePosted
from domain.notification import NotificationSettings, NotificationSettingsChanged, RoomLevel, settings_of
from projections import NOTIFICATIONS
from tests.commands.test_desk import person, room_of
from tests.deployments import ledger
from workers.projector import Follower
from workers.rebuild import Rebuild

NAMES = ("ada.l", "ben.k", "cyd.m", "dan.o")
TEXTS = (
    "hello",
    "@ben.k look",
    "@room all",
    "@here now",
    "we deploy",
    "`deploy` it",
    "redeploy @ada.l",
    "@cyd.m @dan.o",
)
SELECT_TOLD = "SELECT account_id, position, kind, is_here FROM read.notifications ORDER BY position, account_id"


class Row(Struct, frozen=True, order=True):
    account_id: UUID
    position: int
    kind: str
    is_here: bool


async def history(command_bus: CommandBus, seed: int, steps: int) -> None:
    """Have a few people join, leave, write, block each other and change their minds."""
    chance = Random(seed)
    people = [await person(command_bus, name) for name in NAMES]
    rooms = [await room_of(command_bus, people[0], *people[1:]), await room_of(command_bus, people[1], people[2])]
    ids = [each.user_id for each in people if each.user_id]
    await command_bus.do(OpenDirect((ids[1],)), people[0])
    rooms.append(room_id_of(people_of(ids[0], (ids[1],))))
    said: list[tuple[Caller, MessageId]] = []
    for _ in range(steps):
        by, room_id, whom = chance.choice(people), chance.choice(rooms), chance.choice(ids)
        message_id = MessageId(uuid4())
        writer, old = chance.choice(said) if said else (by, message_id)
        level: Any = chance.choice(["all", "mentions", "none"])
        keywords = chance.choice([(), ("Deploy",), ("look", "now")])
        commands: list[tuple[Caller, Struct]] = [
            *[(by, PostMessage(room_id, message_id, chance.choice(TEXTS)))] * 12,
            *[(people[0], PutMember(rooms[0], whom, "member"))] * 2,
            (writer, DeleteMessage(old)),
            (by, ChangeNotificationSettings(default=level)),
            (by, ChangeNotificationSettings(rooms=(RoomLevel(room_id, level),), keywords=keywords)),
            (by, BlockUser(whom)),
            *[(by, UnblockUser(each)) for each in ids],
            (by, LeaveRoom(room_id)),
            (by, RemoveMember(room_id, whom, False)),
            (by, MarkNotificationsRead(chance.randrange(1, 200))),
        ]
        doer, command = chance.choice(commands)
        try:
            await command_bus.do(command, doer)
        except DomainError:
            continue
        if isinstance(command, PostMessage):
            said.append((doer, command.message_id))


def expected(events: Sequence[Recorded[Event]]) -> list[Row]:
    """Fold the record the plain way: everybody's whole settings, all memberships, all blocks, in one loop."""
    members: dict[RoomId, dict[UUID, bool]] = {}
    settings: dict[UUID, NotificationSettings] = {}
    blocks: set[tuple[UUID, UUID]] = set()
    rows = []
    for recorded in events:
        match recorded.event:
            case MemberJoined() as e:
                members.setdefault(e.room_id, {})[e.user_id] = e.is_direct
                wants = settings.get(e.user_id, NotificationSettings(e.user_id)).default
                if e.by != e.user_id and not e.is_direct and wants != "none" and (e.user_id, e.by) not in blocks:
                    rows.append(Row(e.user_id, recorded.position, "invitation", False))
            case MemberLeft() | MemberRemoved() as e:
                members[e.room_id].pop(e.user_id, None)
            case NotificationSettingsChanged() as e:
                settings[e.user_id] = settings_of(e)
            case UserBlocked() as e:
                blocks.add((e.user_id, e.blocked_id))
            case UserUnblocked() as e:
                blocks.discard((e.user_id, e.blocked_id))
            case MessageDeleted() as e:
                rows = [row for row in rows if row.position != e.posted_position]
            case MessagePosted() as e:
                for user_id, is_direct in members[e.room_id].items():
                    own = settings.get(user_id, NotificationSettings(e.sender_id))
                    level = own.level_in(e.room_id)
                    plain = "" if "`" in e.content else f" {e.content} "
                    if user_id == e.sender_id or level == "none" or (user_id, e.sender_id) in blocks:
                        continue
                    if user_id in e.mentions or e.mentions_room:
                        kind = "mention"
                    elif is_direct:
                        kind = "direct"
                    elif any(f" {keyword.lower()} " in plain for keyword in own.keywords):
                        kind = "keyword"
                    elif level == "all":
                        kind = "room"
                    else:
                        continue
                    only_here = e.mentions_room == "here" and user_id not in e.mentions
                    rows.append(Row(user_id, recorded.position, kind, kind == "mention" and only_here))
    return sorted(rows, key=lambda row: (row.position, row.account_id))


async def follow(record: PostgresRecord, db: Database, events_max: int | None = None) -> None:
    follower = Follower(NOTIFICATIONS, record, db, owner="test")
    if events_max is not None:
        follower._events_max = events_max
    while await follower.step() > 0:
        if events_max is not None:
            follower._events_max = events_max


async def test_the_inbox_is_what_a_plain_fold_says_in_batches_of_any_size_and_rebuilt(database_url: str) -> None:
    async with ledger(database_url) as (db, record, command_bus):
        await history(command_bus, 7, 250)
        events = await record.after(0, limit=5_000)
        wanted = expected(events)
        assert {row.kind for row in wanted} == {"mention", "direct", "keyword", "room", "invitation"}
        await follow(record, db, 3)
        found = await db.all(Row, SELECT_TOLD)
        assert found == wanted
        verdicts = await Rebuild(NOTIFICATIONS, record, db, progress=lambda progress: None).run(swap=True)
        assert all(verdict.is_equal for verdict in verdicts), verdicts
        assert await db.all(Row, SELECT_TOLD) == wanted
