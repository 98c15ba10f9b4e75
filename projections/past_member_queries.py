"""Members of a room as they were at a position, in the order in which they had joined.

A stay of so many binary digits that a position lies in began less than that power of two before it. So for each length, of which
there are as many as the position has digits, the index is read from there on, a bounded number of rows: up to where one of these
readings stopped first, all members are known. If thousands left shortly before, these are met before who stayed; then a page
ends where the reading did, short or empty, with a cursor from which to go on.
"""

from uuid import UUID

from msgspec import Struct

from domain.authorization import require_standing, standings
from domain.ids import RoomId, UserId
from domain.ports.database import Db
from projections.members import MemberView
from projections.past_message_queries import Then

LENGTHS = tuple(range(1, 64))  # in binary digits; those of 63 have not ended
ROUNDS_MAX = 4
NOBODY = UserId(UUID(int=2**128 - 1))
SELECT_PAGE = """
    WITH room AS MATERIALIZED (
        SELECT r.id, read.standing(r.is_private, r.is_archived, m.role, m.is_banned) AS standing
        FROM read.rooms r LEFT JOIN read.room_members m ON m.room_id = r.id AND m.user_id = $1 WHERE r.id = $3
    ), met AS MATERIALIZED (
        SELECT length.bits, found.*
        FROM room CROSS JOIN unnest($6::int[]) length (bits)
        CROSS JOIN LATERAL (
            SELECT s.user_id, s.joined_at, s.joined_position, s.until_position FROM read.past_stays s
            WHERE s.room_id = room.id AND read.bits(s.until_position - s.joined_position) = length.bits
                AND s.joined_position > $4 AND s.joined_position <= $2
                AND s.joined_position > $2 - (CASE WHEN length.bits < 63 THEN 1::bigint << length.bits ELSE $2 END)
            ORDER BY s.joined_position LIMIT $8
        ) found
        WHERE room.standing = ANY ($7::text[])
    ), reached AS MATERIALIZED (
        SELECT min(highest.position) AS position FROM (
            SELECT max(met.joined_position) AS position FROM met GROUP BY met.bits HAVING count(*) = $8
        ) highest
    )
    SELECT room.standing, reached.position AS reached, member.joined_position, member.user_id, member.role, member.joined_at
    FROM room CROSS JOIN reached
    LEFT JOIN LATERAL (
        SELECT stay.user_id, became.role, stay.joined_at, stay.joined_position
        FROM (
            SELECT met.user_id, met.joined_at, met.joined_position FROM met
            WHERE met.until_position > $2 AND met.joined_position <= coalesce(reached.position, $2)
            ORDER BY met.joined_position LIMIT $5
        ) stay
        CROSS JOIN LATERAL (
            SELECT p.role FROM read.past_roles p
            WHERE p.room_id = room.id AND p.user_id = stay.user_id AND p.position <= $2 ORDER BY p.position DESC LIMIT 1
        ) became
    ) member ON true
    ORDER BY member.joined_position
"""

Offset = tuple[int, UUID]  # of a member in the list: the position of their joining, and who they are


class MemberThen(Struct, frozen=True):
    """A member (None: there is none), and what the viewer is to the room. Above `reached` nothing was looked at; None: all was."""

    standing: str
    reached: int | None
    joined_position: int | None
    member: MemberView | None


async def page(
    db: Db, then: Then, room_id: RoomId, *, after: Offset | None, limit: int
) -> tuple[list[MemberView], Offset | None]:
    """Return at most `limit` members of then in the order they had joined, and where to go on; None: there are no more. There may
    be fewer, or none, although it goes on. Raise `DomainError` if the viewer may not see them today."""
    found: list[MemberView] = []
    start = 0 if after is None else after[0]
    for _ in range(ROUNDS_MAX):
        rows = await db.all(
            MemberThen, SELECT_PAGE, *then, room_id, start, limit - len(found), LENGTHS, standings("member.list"), 2 * limit
        )  # fmt: skip
        require_standing("member.list", rows[0].standing if rows else None)
        found += [row.member for row in rows if row.member is not None]
        if len(found) == limit and rows[-1].joined_position is not None:
            return found, (rows[-1].joined_position, found[-1].user_id)
        if rows[0].reached is None:
            return found, None
        start = rows[0].reached
    return found, (start, NOBODY)
