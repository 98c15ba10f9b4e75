"""Members as they were: a page costs what it shows also in a room that thousands left at once."""

from uuid import UUID

import asyncpg

from adapters.postgres.database import Database
from domain.ids import RoomId, UserId
from projections import past_member_queries
from projections.past_message_queries import Then
from tests.deployments import PLAN_MODES
from tests.projections.metering import Metered

READER, ROOM = UserId(UUID(int=1)), RoomId(UUID(int=2))
LIMIT = 50
GONE, STAYED, AFTER = 4_000, 120, 8_600
MANY = """
    INSERT INTO read.rooms (id, name, name_folded, is_private, history, owner_id, is_archived, member_count, activity, created_at,
        updated_at, version, last_posted)
    VALUES ($2, 'A room', 'a room', false, 'shared', $1, false, 120, 0, now(), now(), 1, 9000)
"""
# All of them stay for some 4,500 positions, one after the other; others come when they are gone.
STAYS = """
    INSERT INTO read.past_stays
    SELECT $1::uuid, gen_random_uuid(), n + 4500 - n % 3, n, now() FROM generate_series(1, $2::int) n
    UNION ALL SELECT $1::uuid, gen_random_uuid(), 9223372036854775807, $4::int + n, now() FROM generate_series(1, $3::int) n
"""
ROLES = "INSERT INTO read.past_roles SELECT room_id, user_id, joined_position, 'member' FROM read.past_stays"
SELECT_MODEL = """
    SELECT user_id FROM read.past_stays WHERE joined_position <= $1 AND until_position > $1 ORDER BY joined_position
"""
ROWS_MAX = 20  # met for each member that a page may show


async def test_a_page_is_bounded_after_thousands_left_at_once(database_url: str) -> None:
    connection = await asyncpg.connect(database_url)
    await connection.execute(MANY, READER, ROOM)
    await connection.execute(STAYS, ROOM, GONE, STAYED, AFTER)
    await connection.execute(ROLES)
    await connection.execute("VACUUM (ANALYZE) read.past_stays")
    await connection.execute("ANALYZE read.past_roles")
    db = await Database.open(database_url, size=2)
    for position in (GONE, AFTER - 20, AFTER + STAYED, 3 * AFTER):
        found: list[UUID] = []
        after: tuple[int, UUID] | None = None
        while True:
            metered = Metered(db, connection, PLAN_MODES[0])
            then = Then(READER, position)
            page = past_member_queries.page(metered, then, ROOM, after=after, limit=LIMIT)  # type: ignore[arg-type]
            members, after = await page
            assert metered.rows <= ROWS_MAX * LIMIT, (position, metered.rows)
            found += [member.user_id for member in members]
            if after is None:
                break
        assert found == [row["user_id"] for row in await connection.fetch(SELECT_MODEL, position)]
    await db.close()
    await connection.close()
