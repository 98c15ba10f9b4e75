"""The list of rooms as it was: every page of it is what a model says, and costs what a page costs, however many rooms there are, and
however long ago it was."""

import random
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import asyncpg

from adapters.postgres.data_keys import Vault
from adapters.postgres.database import Database
from adapters.postgres.past import PostgresPast
from domain.ids import UserId
from projections import past_room_pages, past_room_queries
from projections.past_message_queries import Then
from projections.past_room_pages import FEW_ROOMS, Asked
from tests.conftest import Servers, fresh_database
from tests.deployments import MASTER, PLAN_MODES
from tests.projections.metering import Metered

READER, OTHER = UserId(UUID(int=1)), UUID(int=2)
OPEN = 2**63 - 1
ALL = Asked()
NOW = datetime(2026, 11, 27, tzinfo=UTC)
POSITIONS = 24_000
LIMIT = 50
BOUND = 200  # rows met for each room that a page may show
ROOM = (
    "INSERT INTO read.rooms (id, name, name_folded, is_private, history, owner_id, is_archived, member_count, activity, created_at,"
    " updated_at, version, last_posted) SELECT id, 'A room', 'a room', is_private, 'shared', $2, false, 1, last, now(), now(), 1, last"
    " FROM unnest($1::uuid[], $3::bool[], $4::bigint[]) given (id, is_private, last)"
)
ANALYZE = """
    ANALYZE read.rooms; ANALYZE read.room_members; ANALYZE read.messages; ANALYZE read.past_rooms; ANALYZE read.past_roles;
    ANALYZE read.past_stays
"""


def uuid_of(room: int) -> UUID:
    return UUID(int=10_000 + room)


def postings_of(chance: random.Random, rooms: int, positions: int) -> list[int]:
    """Return the room of each position: rooms are opened first, then written in by a power law, in bursts."""
    order = list(range(rooms))
    while len(order) < positions:
        room = min(int(rooms * chance.random() ** 3), rooms - 1)
        order += [room] * chance.choice([1, 1, 1, 2, 30])
    return order[:positions]


def places_of(order: Sequence[int]) -> list[tuple[UUID, int, int]]:
    """Return each posting as a row: room, until when it was the last, position."""
    until: dict[int, int] = {}
    rows = []
    for position in range(len(order), 0, -1):
        room = order[position - 1]
        rows.append((uuid_of(room), until.get(room, OPEN), position))
        until[room] = position
    return rows


async def fill(
    db: asyncpg.Connection, order: Sequence[int], *, hidden: frozenset[int] = frozenset(), mine: Sequence[int] = ()
) -> None:
    rooms = max(order) + 1
    last = [0] * rooms
    first = [0] * rooms
    for position, room in enumerate(order, 1):
        last[room], first[room] = position, first[room] or position
    ids = [uuid_of(room) for room in range(rooms)]
    await db.execute(ROOM, ids, OTHER, [room in hidden for room in range(rooms)], last)
    await db.copy_records_to_table(
        "past_rooms",
        schema_name="read",
        columns=["room_id", "position", "at", "version", "name", "name_folded", "is_private", "history", "owner_id"],
        records=[
            (uuid_of(room), first[room], NOW, 1, "A room", "a room", room in hidden, "shared", OTHER)
            for room in range(rooms)
        ],
    )
    await db.copy_records_to_table(
        "messages",
        schema_name="read",
        columns=[
            "room_id",
            "position",
            "id",
            "sender_id",
            "message_type",
            "content",
            "is_edited",
            "created_at",
            "updated_at",
            "version",
            "deleted",
        ],
        records=[
            (uuid_of(room), position, UUID(int=position), OTHER, "text", "words", False, NOW, NOW, 1, False)
            for position, room in enumerate(order, 1)
            if first[room] != position
        ],
    )
    await db.copy_records_to_table(
        "past_places",
        schema_name="read",
        columns=["room_id", "until_position", "posted_position"],
        records=places_of(order),
    )
    await db.copy_records_to_table(
        "room_members",
        schema_name="read",
        columns=["room_id", "user_id", "role", "joined_at", "joined_position", "is_banned", "read_position"],
        records=[(uuid_of(room), READER, "member", NOW, first[room], False, 0) for room in mine],
    )
    await db.copy_records_to_table(
        "past_stays",
        schema_name="read",
        columns=["room_id", "user_id", "until_position", "joined_position", "joined_at"],
        records=[(uuid_of(room), READER, OPEN, first[room], NOW) for room in mine],
    )
    await db.execute(ANALYZE)
    await db.execute("VACUUM (ANALYZE) read.past_places")


@asynccontextmanager
async def opened(database_url: str) -> AsyncIterator[tuple[asyncpg.Connection, Database]]:
    connection = await asyncpg.connect(database_url)
    await connection.execute("SET enable_seqscan = off")  # as where tables are too large for it
    db = await Database.open(database_url, size=2)
    yield connection, db
    await db.close()
    await connection.close()


async def cost(
    connection: asyncpg.Connection, db: Database, mode: str, position: int, **asked: Any
) -> tuple[float, list[UUID]]:
    """Return how many rows a page of the list met, and its rooms."""
    metered = Metered(db, connection, mode)
    past = PostgresPast(metered, Vault(db, MASTER))  # type: ignore[arg-type]
    found, _ = await past_room_queries.page(metered, past, Then(READER, position), limit=LIMIT, **asked)  # type: ignore[arg-type]
    return metered.rows, [room.id for room in found]


def model(order: Sequence[int], position: int, seen: Any = lambda room: True) -> list[UUID]:
    """Return the rooms of then in the order of their last posting."""
    found = dict.fromkeys(reversed(order[:position]))
    return [uuid_of(room) for room in found if seen(room)]


async def test_a_page_of_the_list_costs_what_it_shows(servers: Servers) -> None:
    met: dict[int, list[float]] = {}
    for rooms in (10, 100, 1_000, 5_000):
        order = postings_of(random.Random(rooms), rooms, POSITIONS)
        async with fresh_database(servers) as url, opened(url) as (connection, db):
            await fill(connection, order)
            for mode in PLAN_MODES:
                for position in (rooms + 200, POSITIONS // 2, POSITIONS - 5):
                    rows, found = await cost(connection, db, mode, position)
                    assert found == model(order, position)[:LIMIT], (rooms, mode, position)
                    met.setdefault(rooms, []).append(rows)
    assert min(met[10]) > 10 and max(met[5_000]) <= 1.2 * max(met[1_000]), met
    assert max(met[5_000]) <= 25 * LIMIT, met


async def test_all_pages_are_the_whole_list_and_each_is_bounded(servers: Servers) -> None:
    """Whoever sees all rooms, one in ten, a handful: the pages together are what a model says, with and without more rooms than
    are sorted; none costs more than a page may."""
    for seed, rooms in ((1, 60), (2, 600)):
        chance = random.Random(seed)
        order = postings_of(chance, rooms, 4 * rooms)
        private = frozenset(room for room in range(rooms) if room % 10)
        async with fresh_database(servers) as url, opened(url) as (connection, db):
            mine = [room for room in range(rooms) if room % 50 == 1]
            await fill(connection, order, hidden=private, mine=mine)
            for few, limit in ((FEW_ROOMS, 7), (2, 7), (2, 1)):
                position = chance.randint(rooms // 2, len(order))
                seen = [
                    uuid for uuid in model(order, position) if (room := room_of(uuid)) not in private or room in mine
                ]
                assert await pages(connection, db, position, limit, few) == seen, (seed, few, limit, position)
                joined = [uuid for uuid in model(order, position) if room_of(uuid) in mine]
                assert await pages(connection, db, position, limit, few, Asked(joined=True)) == joined, (
                    seed,
                    few,
                    limit,
                )


async def test_who_sees_few_rooms_gets_whole_pages(servers: Servers) -> None:
    """Of thousands of rooms of others, in which more was written since."""
    order = [*range(4_000), *range(100, 4_000)]
    mine = range(100)
    async with fresh_database(servers) as url, opened(url) as (connection, db):
        await fill(connection, order, hidden=frozenset(range(4_000)), mine=mine)
        rows, found = await cost(connection, db, PLAN_MODES[0], len(order))
        assert found == model(order, len(order), mine.__contains__)[:LIMIT]
        assert rows <= 60 * LIMIT + 10 * len(mine), rows
        followed = await pages(connection, db, len(order), LIMIT, FEW_ROOMS)
        assert followed == model(order, len(order), mine.__contains__)


def room_of(room_id: UUID) -> int:
    return room_id.int - 10_000


async def pages(
    connection: asyncpg.Connection, db: Database, position: int, limit: int, few: int, asked: Asked = ALL
) -> list[UUID]:
    """Return the rooms of all pages; each page is within its bound of rows."""
    found: list[UUID] = []
    before = None
    while True:
        metered = Metered(db, connection, PLAN_MODES[0])
        then = Then(READER, position)
        places, before = await past_room_pages.offsets(metered, then, asked, before=before, limit=limit, few=few)  # type: ignore[arg-type]
        assert len(places) <= limit
        assert metered.rows <= BOUND * limit + (10 * few if few > limit else 0), (metered.rows, limit, few)
        found += [room_id for _, room_id in places]
        if before is None:
            return found
