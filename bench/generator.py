"""A record of any size, seeded: the same seed makes the same talk, under a deployment that runs.

A thousand rooms of three people each, of which the reader is a member of two hundred and has read nothing; the talk goes
around among them. In the midst of it stands, once each, what an auditor would look for: a person who did one thing, one
to whom one thing happened, a room with two events, a type that happened once. Events are sealed and stand in the record
as the command bus would have written them, by COPY under the lock of who appends; the followers take them from there.
"""

import random
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from itertools import islice
from uuid import UUID

import asyncpg
from msgspec import Struct

from adapters.postgres.codec import encode, key_names
from adapters.postgres.data_keys import Vault
from adapters.postgres.database import Database
from adapters.postgres.master_key import Master
from domain.account import ACCOUNT, AccountRegistered, RoleGranted
from domain.events import Event, Meta
from domain.ids import EventId, MessageId, RoomId, StreamId, UserId
from domain.membership import MEMBERSHIP, MemberJoined, MemberRole
from domain.message import MESSAGE, MessagePosted
from domain.room import ROOM, RoomOpened

ROOMS = 1_000
JOINED = 200
MEMBERS = 3
CHUNK_EVENTS = 20_000
TEXT = "The quick brown fox jumps over the lazy dog, and then it says so to everybody."
LOCK = "LOCK TABLE record.append_lock IN EXCLUSIVE MODE"
SELECT_HEAD = "SELECT position FROM record.head"
TELL = "SELECT pg_notify('hansard_record', $1::bigint::text)"
COLUMNS = ("position", "stream", "version", "topic", "data", "meta", "room_id", "recorded_at")
Happened = tuple[StreamId, int, Event, UserId]


class Made(Struct):
    """Whom and what to look for, and a room that the reader is in, and one of those who talk in it."""

    actor: UserId
    subject: UserId
    room: RoomId
    type: str
    busy_room: RoomId
    busy_person: UserId


def talk(chance: random.Random, reader: UserId, messages: int) -> tuple[Made, Iterator[Happened]]:
    """Return what is rare, and everything that happens, in order."""
    rooms = [RoomId(_uuid(chance)) for _ in range(ROOMS)]
    people = [UserId(_uuid(chance)) for _ in range(ROOMS)]
    tag = f"{chance.getrandbits(32):x}"  # several talks in one record have people of their own
    made = Made(
        UserId(_uuid(chance)), UserId(_uuid(chance)), RoomId(_uuid(chance)), RoleGranted.topic, rooms[0], people[0]
    )

    def happens() -> Iterator[Happened]:
        for number, user_id in enumerate((*people, made.actor, made.subject)):
            yield _registered(user_id, f"{tag}-{number}")
        for i, room_id in enumerate(rooms):
            members = [people[(i + k) % ROOMS] for k in range(MEMBERS)] + [reader] * (i < JOINED)
            yield from _opened(room_id, *members)
        for n in range(messages):
            if n == messages // 2:
                yield from _opened(made.room, made.actor)
                yield ACCOUNT.id(made.subject), 2, RoleGranted(made.subject, "auditor"), people[0]
            i = chance.randrange(ROOMS)
            sender, message_id = people[(i + chance.randrange(MEMBERS)) % ROOMS], MessageId(_uuid(chance))
            yield MESSAGE.id(message_id), 1, MessagePosted(message_id, rooms[i], sender, TEXT), sender

    return made, happens()


def crowd(chance: random.Random, room_id: RoomId, talkers: Sequence[UserId], members: int) -> Iterator[Happened]:
    """Return a public room with so many members, of whom the first are there already and the others come with it."""
    others = [UserId(_uuid(chance)) for _ in range(members - len(talkers))]
    tag = f"{chance.getrandbits(32):x}"
    for number, user_id in enumerate(others):
        yield _registered(user_id, f"{tag}-{number}")
    yield from _opened(room_id, *talkers, *others)


def _registered(user_id: UserId, name: str) -> Happened:
    return (
        ACCOUNT.id(user_id),
        1,
        AccountRegistered(user_id, f"g{name}@example.com", f"generated-{name}", "no hash"),
        user_id,
    )


def _opened(room_id: RoomId, *members: UserId) -> Iterator[Happened]:
    owner = members[0]
    yield ROOM.id(room_id), 1, RoomOpened(room_id, "A room", None, False, owner), owner
    for user_id in members:
        role: MemberRole = "owner" if user_id == owner else "member"
        yield MEMBERSHIP.id(room_id, user_id), 1, MemberJoined(room_id, user_id, role, by=user_id), user_id


async def generate(url: str, master: Master, reader: UserId, *, messages: int, seed: int = 1) -> tuple[Made, int]:
    """Append the talk to a record; answers what is rare in it, and the position of its end."""
    chance = random.Random(seed)
    made, happens = talk(chance, reader, messages)
    return made, await append(url, master, chance, happens)


async def append(url: str, master: Master, chance: random.Random, happens: Iterable[Happened]) -> int:
    """Append what happens to a record; answers the position of its end."""
    happens = iter(happens)
    db = await Database.open(url, size=2)
    owner = await asyncpg.connect(url)  # the user that migrates, who may write the record's table
    try:
        vault = Vault(db, master)
        head = 0
        while chunk := list(islice(happens, CHUNK_EVENTS)):
            head = await _append(owner, vault, chance, chunk)
        await owner.execute("VACUUM ANALYZE record.events")
        return head
    finally:
        await owner.close()
        await db.close()


async def _append(owner: asyncpg.Connection, vault: Vault, chance: random.Random, chunk: list[Happened]) -> int:
    at = datetime.now(UTC)
    metas = [Meta(EventId(_uuid(chance)), "Generated", actor) for _, _, _, actor in chunk]
    named = {
        name for (_, _, event, _), meta in zip(chunk, metas, strict=True) for name in key_names(event, meta, at.date())
    }
    keys = await vault.make(named)
    async with owner.transaction():
        await owner.execute(LOCK)
        head = await owner.fetchval(SELECT_HEAD)
        rows = []
        for position, ((stream, version, event, _), meta) in enumerate(zip(chunk, metas, strict=True), head + 1):
            data, plain = encode(event, meta, stream=stream, day=at.date(), keys=keys, vault=vault)
            rows.append((position, stream, version, event.topic, data, plain, event.frame_room(), at))
        await owner.copy_records_to_table("events", schema_name="record", columns=COLUMNS, records=rows)
        await owner.execute(TELL, head + len(rows))
    return int(head + len(rows))


def _uuid(chance: random.Random) -> UUID:
    return UUID(int=chance.getrandbits(128), version=4)
