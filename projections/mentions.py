"""Mentions: in which messages of a room somebody is mentioned. Owns the table `read.mentions`.

Counted for rooms that have something unread, in one statement for a page of rooms; for others nothing is asked.
"""

from collections.abc import Iterable, Sequence
from uuid import UUID

from msgspec import Struct
from msgspec.structs import replace

from domain.events import Recorded
from domain.ids import RoomId, UserId
from domain.message import MessagePosted
from domain.ports.database import Db
from projections.rooms import UNREAD_COUNTED_MAX, RoomView
from projections.tables import Change, Projection, Table

EVERYBODY = UserId(UUID(int=0))
SELECT_COUNTS = """
    SELECT asked.room_id, counted.count AS count FROM unnest($2::uuid[], $3::bigint[]) asked (room_id, read_position)
    JOIN read.room_members m ON m.room_id = asked.room_id AND m.user_id = $1
    CROSS JOIN LATERAL (
        SELECT count(*) FROM (
            SELECT DISTINCT named.position FROM unnest($4::uuid[]) who (user_id)
            CROSS JOIN LATERAL (
                SELECT n.position FROM read.mentions n
                CROSS JOIN LATERAL (
                    SELECT said.sender_id, said.in_room, said.deleted FROM read.messages said
                    WHERE said.position = n.position OFFSET 0
                ) msg
                WHERE n.room_id = asked.room_id AND n.user_id = who.user_id
                    AND n.position > greatest(asked.read_position, m.joined_position)
                    AND msg.sender_id <> $1 AND NOT msg.deleted AND msg.in_room IS NOT FALSE
                ORDER BY n.position LIMIT $5
            ) named LIMIT $5
        ) found
    ) counted
"""
SELECT_MEMBER_COUNT = "SELECT member_count FROM read.rooms WHERE id = $1"

MENTIONS = Table("read.mentions", key={"room_id": "uuid", "user_id": "uuid", "position": "bigint"}, columns={})


class MentionCount(Struct, frozen=True):
    """How many unread messages of a room mention somebody."""

    room_id: RoomId
    count: int


async def counted(db: Db, user_id: UserId, found: Sequence[RoomView]) -> list[RoomView]:
    """Return these rooms, each of one's own with how many of its unread messages mention one, counted up to 1,000."""
    asked = {room.id: room.read_position for room in found if room.unread and room.read_position is not None}
    rows = (
        await db.all(
            MentionCount,
            SELECT_COUNTS,
            user_id,
            list(asked),
            list(asked.values()),
            [user_id, EVERYBODY],
            UNREAD_COUNTED_MAX,
        )
        if asked
        else []
    )
    counts = {row.room_id: row.count for row in rows}
    return [room if room.unread is None else replace(room, mention_count=counts.get(room.id, 0)) for room in found]


async def member_count(db: Db, room_id: RoomId) -> int | None:
    """Return how many are in a room; None if there is no such room."""
    found: int | None = await db.value(SELECT_MEMBER_COUNT, room_id)
    return found


def posted(recorded: Recorded[MessagePosted]) -> Iterable[Change]:
    e = recorded.event
    for user_id in (*e.mentions, *((EVERYBODY,) if e.mentions_room else ())):
        yield MENTIONS.new(e.room_id, user_id, recorded.position)


PROJECTION = Projection(tables=(MENTIONS,), handlers={MessagePosted: posted})
