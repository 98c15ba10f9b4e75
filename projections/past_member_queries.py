"""Members of a room as they were at a position, in the order in which they had joined.

A stay of so many binary digits that a position lies in began less than that power of two before it. So for each length, of which
there are as many as the position has digits, the index is read from there on, and what ended before is hardly met.
"""

from uuid import UUID

from domain.authorization import require_standing, standings
from domain.ids import RoomId
from domain.ports.database import Db
from projections.members import MemberInPage, MemberView
from projections.past_message_queries import Then

LENGTHS = tuple(range(1, 64))  # in binary digits; those of 63 have not ended
SELECT_PAGE = """
    SELECT room.standing, member.joined_position, member.user_id, member.role, member.joined_at
    FROM (
        SELECT r.id, read.standing(r.is_private, r.is_archived, m.role, m.is_banned) AS standing
        FROM read.rooms r LEFT JOIN read.room_members m ON m.room_id = r.id AND m.user_id = $1 WHERE r.id = $3
    ) room
    LEFT JOIN LATERAL (
        SELECT stay.user_id, became.role, stay.joined_at, stay.joined_position
        FROM (
            SELECT found.* FROM unnest($7::int[]) length (bits)
            CROSS JOIN LATERAL (
                SELECT s.user_id, s.joined_at, s.joined_position FROM read.past_stays s
                WHERE s.room_id = room.id AND read.bits(s.until_position - s.joined_position) = length.bits
                    AND (s.joined_position, s.user_id) > ($4, $5) AND s.joined_position <= $2 AND s.until_position > $2
                    AND s.joined_position > $2 - (CASE WHEN length.bits < 63 THEN 1::bigint << length.bits ELSE $2 END)
                ORDER BY s.joined_position, s.user_id LIMIT $6
            ) found
            WHERE room.standing = ANY ($8::text[])
            ORDER BY found.joined_position, found.user_id LIMIT $6
        ) stay
        CROSS JOIN LATERAL (
            SELECT p.role FROM read.past_roles p
            WHERE p.room_id = room.id AND p.user_id = stay.user_id AND p.position <= $2 ORDER BY p.position DESC LIMIT 1
        ) became
    ) member ON true
    ORDER BY member.joined_position, member.user_id
"""


async def page(
    db: Db, then: Then, room_id: RoomId, *, after: tuple[int, UUID] | None, limit: int
) -> list[tuple[MemberView, tuple[int, UUID]]]:
    """Return members of then in the order they had joined, each with its cursor. Raise `DomainError` if the viewer may not see
    them today."""
    position, user_id = after or (0, UUID(int=0))
    rows = await db.all(
        MemberInPage, SELECT_PAGE, *then, room_id, position, user_id, limit, LENGTHS, standings("member.list")
    )
    require_standing("member.list", rows[0].standing if rows else None)
    return [
        (row.member, (row.joined_position, row.member.user_id))
        for row in rows
        if row.member is not None and row.joined_position is not None
    ]
