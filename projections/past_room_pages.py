"""Which rooms stand on a page of the list as it was: the latest posting first, as at that position.

A room of then is a row of `read.past_places` that the position lies in. One of so many binary digits in length began less than that
power of two before it, so for each length the index is read backwards from the page's start, a bounded number of rows: down to
where one of them stopped first, all rooms are known. A row that ended before the position is of a room whose own row began later, and
there is at most one such row of a room and length: so of what is met on the first page half is rooms of then, and on all pages
together a room is met at most once for each length.

What somebody may not see, or did not ask for, is passed over. After `ROUNDS_MAX` readings those who see few rooms have them
sorted, and for others the page ends where the reading did: shorter than it might be, with a cursor from which to go on.
"""

from typing import NamedTuple
from uuid import UUID

from msgspec import Struct

from domain.authorization import standings
from domain.ids import RoomId
from domain.ports.database import Db
from domain.text import fold
from projections.past_member_queries import LENGTHS
from projections.past_message_queries import Then
from projections.rooms import FIRST

ROUNDS_MAX = 4
FEW_ROOMS = 1_000
NO_ROOM = RoomId(UUID(int=0))

# `$1` is the person, `$2` the position, `$7` before which to go on.
SELECT_LATEST = """
    WITH met AS MATERIALIZED (
        SELECT length.bits, found.room_id, found.posted_position, found.until_position
        FROM unnest($9::int[]) length (bits)
        CROSS JOIN LATERAL (
            SELECT p.room_id, p.posted_position, p.until_position FROM read.past_places p
            WHERE read.bits(p.until_position - p.posted_position) = length.bits AND p.posted_position < least($7::bigint, $2::bigint + 1)
                AND p.posted_position > $2 - (CASE WHEN length.bits < 63 THEN 1::bigint << length.bits ELSE $2 END)
            ORDER BY p.posted_position DESC LIMIT $10
        ) found
    ), reached AS MATERIALIZED (
        SELECT coalesce(max(lowest.position), 0) AS position FROM (
            SELECT min(met.posted_position) AS position FROM met GROUP BY met.bits HAVING count(*) = $10
        ) lowest
    )
    SELECT reached.position AS reached, room.room_id, room.last_posted
    FROM reached LEFT JOIN LATERAL (
        SELECT place.room_id, place.posted_position AS last_posted
        FROM (
            SELECT met.room_id, met.posted_position FROM met
            WHERE met.until_position > $2 AND met.posted_position >= reached.position
            ORDER BY met.posted_position DESC OFFSET 0
        ) place
        CROSS JOIN LATERAL (
            SELECT read.standing(r.is_private, r.is_archived, m.role, m.is_banned) AS standing
            FROM read.rooms r LEFT JOIN read.room_members m ON m.room_id = r.id AND m.user_id = $1
            WHERE r.id = place.room_id OFFSET 0
        ) today
        WHERE today.standing = ANY ($3::text[])
            AND ($4 OR (
                SELECT p.position FROM read.past_rooms p
                WHERE p.room_id = place.room_id AND p.is_archived AND p.position <= $2 ORDER BY p.position LIMIT 1) IS NULL)
            AND (NOT $5 OR $2 >= (
                SELECT s.joined_position FROM read.past_stays s
                WHERE s.room_id = place.room_id AND s.user_id = $1 AND s.until_position > $2 ORDER BY s.until_position LIMIT 1))
            AND ($6::text IS NULL OR 0 < (
                SELECT position($6 IN p.name_folded) FROM read.past_rooms p
                WHERE p.room_id = place.room_id AND p.name IS NOT NULL AND p.position <= $2 ORDER BY p.position DESC LIMIT 1))
        ORDER BY place.posted_position DESC LIMIT $8
    ) room ON true
    ORDER BY room.last_posted DESC
"""
# All rooms that may be on the list, if there are fewer than `$9` of each kind: one's own and those that were public at some time, or
# those of which one was a member.
SELECT_FEW = """
    WITH own AS MATERIALIZED (
        SELECT m.room_id FROM read.room_members m WHERE NOT $5 AND m.user_id = $1 AND m.role IS NOT NULL LIMIT $9
    ), public AS MATERIALIZED (
        SELECT p.room_id FROM read.past_rooms p WHERE NOT $5 AND NOT p.is_private LIMIT $9
    ), joined AS MATERIALIZED (
        SELECT s.room_id FROM read.past_stays s WHERE $5 AND s.user_id = $1 AND s.until_position > $2 LIMIT $9
    ), counted AS MATERIALIZED (
        SELECT greatest((SELECT count(*) FROM own), (SELECT count(*) FROM public), (SELECT count(*) FROM joined)) < $9 AS are_few
    )
    SELECT counted.are_few, room.room_id, room.last_posted
    FROM counted LEFT JOIN LATERAL (
        SELECT place.room_id, place.posted_position AS last_posted
        FROM (SELECT room_id FROM own UNION SELECT room_id FROM public UNION SELECT room_id FROM joined) maybe
        CROSS JOIN LATERAL (
            SELECT p.room_id, p.posted_position FROM read.past_places p
            WHERE p.room_id = maybe.room_id AND p.until_position > $2 ORDER BY p.until_position LIMIT 1
        ) place
        CROSS JOIN LATERAL (
            SELECT read.standing(r.is_private, r.is_archived, m.role, m.is_banned) AS standing
            FROM read.rooms r LEFT JOIN read.room_members m ON m.room_id = r.id AND m.user_id = $1
            WHERE r.id = place.room_id OFFSET 0
        ) today
        WHERE counted.are_few AND place.posted_position < least($7::bigint, $2::bigint + 1) AND today.standing = ANY ($3::text[])
            AND ($4 OR (
                SELECT p.position FROM read.past_rooms p
                WHERE p.room_id = place.room_id AND p.is_archived AND p.position <= $2 ORDER BY p.position LIMIT 1) IS NULL)
            AND (NOT $5 OR $2 >= (
                SELECT s.joined_position FROM read.past_stays s
                WHERE s.room_id = place.room_id AND s.user_id = $1 AND s.until_position > $2 ORDER BY s.until_position LIMIT 1))
            AND ($6::text IS NULL OR 0 < (
                SELECT position($6 IN p.name_folded) FROM read.past_rooms p
                WHERE p.room_id = place.room_id AND p.name IS NOT NULL AND p.position <= $2 ORDER BY p.position DESC LIMIT 1))
        ORDER BY place.posted_position DESC LIMIT $8
    ) room ON true
    ORDER BY room.last_posted DESC
"""

Offset = tuple[int, RoomId]  # of a room in the list: the position of its last posting, and its id


class Asked(NamedTuple):
    """Which rooms are asked for, as by `projections.rooms.page`: also `archived` ones, only those `joined`, those with `q` in
    their name."""

    archived: bool = False
    joined: bool = False
    q: str | None = None

    @property
    def arguments(self) -> tuple[bool, bool, str | None]:
        return self.archived, self.joined, None if self.q is None else fold(self.q).strip()


ALL = Asked()


class Latest(Struct, frozen=True):
    """A room of the list; None: there is none. Below `reached` nothing was looked at; 0: all was."""

    reached: int
    room_id: RoomId | None
    last_posted: int | None


class OfFew(Struct, frozen=True):
    """A room of the list; None: there is none, or rooms are not few."""

    are_few: bool
    room_id: RoomId | None
    last_posted: int | None


async def offsets(
    db: Db, then: Then, asked: Asked, *, before: tuple[int, UUID] | None, limit: int, few: int = FEW_ROOMS
) -> tuple[list[Offset], Offset | None]:
    """Return where at most `limit` rooms stood in the list as it was, the first first, and where to go on; None: the list ends
    there. There may be fewer, or none, although it goes on. At most `few` rooms of a person are sorted."""
    start = FIRST[0] if before is None else before[0]
    found: list[Offset] = []
    end = start
    for _ in range(ROUNDS_MAX):
        rows = await db.all(
            Latest, SELECT_LATEST, *then, standings("room.list"), *asked.arguments, end, limit - len(found), LENGTHS, 2 * limit
        )  # fmt: skip
        found += _offsets(rows)
        if len(found) == limit:
            return found, found[-1]
        end = rows[0].reached
        if end == 0:
            return found, None
    rows_of_few = await db.all(OfFew, SELECT_FEW, *then, standings("room.list"), *asked.arguments, start, limit, few)
    if not rows_of_few[0].are_few:
        return found, (end, NO_ROOM)
    found = _offsets(rows_of_few)
    return found, found[-1] if len(found) == limit else None


def _offsets(rows: list[Latest] | list[OfFew]) -> list[Offset]:
    return [(row.last_posted, row.room_id) for row in rows if row.last_posted is not None and row.room_id is not None]
