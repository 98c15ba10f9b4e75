"""Rooms as they were at a position, as somebody sees them who may see them today.

A list is made in two steps: which rooms (`projections/past_room_pages.py`), and what those on the page were. `$1` is the
person, `$2` the position. Bounds and order of what is read of `read.messages` name the room, as in `projections/message_pages.py`; rooms and
members are looked up one by one (`OFFSET 0`), so that no plan looks at all of them for those of a page.
"""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from msgspec import Struct

from domain.authorization import require_standing, unknown
from domain.ids import RoomId, UserId
from domain.membership import MemberRole
from domain.ports.database import Db
from domain.ports.past import Past
from domain.reading import READING, ReadMarked
from domain.room import History
from projections import past_message_queries
from projections.mentions import EVERYBODY
from projections.messages import MessageRow, MessageView, of_message_row
from projections.past_message_queries import Then
from projections.past_room_pages import ALL, Asked, Offset, offsets
from projections.rooms import UNREAD_COUNTED_MAX, RoomView

SELECT_ROOMS = """
    SELECT read.standing(r.is_private, r.is_archived, m.role, m.is_banned) AS standing, msg.subject_id, msg.subject_by, msg.reacted, msg.pinned,
        msg.mentions, msg.mentions_room, msg.thread_id, msg.in_room, msg.threaded, r.id, named.name, named.description,
        named.is_private, named.history, owned.owner_id, archived.at IS NOT NULL AS is_archived, r.created_at,
        coalesce(archived.at, named.at) AS updated_at, latest.version, became.role, stay.joined_position, (
            SELECT coalesce(sum(c.net), 0)::int FROM (
                SELECT c.net FROM read.past_member_counts c
                WHERE c.room_id = r.id AND c.level = 3 AND c.stretch < $2::bigint >> 30
                UNION ALL
                SELECT c.net FROM read.past_member_counts c WHERE c.room_id = r.id AND c.level = 2
                    AND c.stretch >= $2::bigint >> 30 << 10 AND c.stretch < $2::bigint >> 20
                UNION ALL
                SELECT c.net FROM read.past_member_counts c WHERE c.room_id = r.id AND c.level = 1
                    AND c.stretch >= $2::bigint >> 20 << 10 AND c.stretch < $2::bigint >> 10
                UNION ALL
                SELECT c.net FROM read.past_member_counts c WHERE c.room_id = r.id AND c.level = 0
                    AND c.stretch >= $2::bigint >> 10 << 10 AND c.stretch <= $2
            ) c
        ) AS member_count, named.topic, r.is_direct,
        msg.id, msg.room_id, msg.sender_id, msg.message_type, msg.content,
        CASE WHEN NOT msg.deleted THEN msg.file_id END AS file_id, msg.reply_to, msg.is_edited, msg.created_at,
        msg.updated_at, msg.position, msg.version, msg.deleted
    FROM unnest($3::uuid[]) WITH ORDINALITY asked (id, i)
    CROSS JOIN LATERAL (SELECT * FROM read.rooms room WHERE room.id = asked.id OFFSET 0) r
    LEFT JOIN LATERAL (
        SELECT * FROM read.room_members member WHERE member.room_id = asked.id AND member.user_id = $1 OFFSET 0
    ) m ON true
    LEFT JOIN LATERAL (
        SELECT * FROM read.past_rooms p
        WHERE p.room_id = r.id AND p.name IS NOT NULL AND p.position <= $2 ORDER BY p.position DESC LIMIT 1
    ) named ON true
    LEFT JOIN LATERAL (
        SELECT p.owner_id FROM read.past_rooms p
        WHERE p.room_id = r.id AND p.owner_id IS NOT NULL AND p.position <= $2 ORDER BY p.position DESC LIMIT 1
    ) owned ON true
    LEFT JOIN LATERAL (
        SELECT p.at FROM read.past_rooms p
        WHERE p.room_id = r.id AND p.is_archived AND p.position <= $2 ORDER BY p.position DESC LIMIT 1
    ) archived ON true
    LEFT JOIN LATERAL (
        SELECT p.version FROM read.past_rooms p
        WHERE p.room_id = r.id AND p.position <= $2 ORDER BY p.position DESC LIMIT 1
    ) latest ON true
    LEFT JOIN LATERAL (
        SELECT p.role FROM read.past_roles p
        WHERE p.room_id = r.id AND p.user_id = $1 AND p.position <= $2 ORDER BY p.position DESC LIMIT 1
    ) became ON true
    LEFT JOIN LATERAL (
        SELECT s.joined_position FROM read.past_stays s
        WHERE s.room_id = r.id AND s.user_id = $1 AND s.until_position > $2 ORDER BY s.until_position LIMIT 1
    ) stay ON true
    LEFT JOIN LATERAL (
        SELECT * FROM read.messages last
        WHERE (last.room_id, last.position) >= (r.id, read.readable_from(r.history, m.role, m.joined_position))
            AND (last.room_id, last.position) <= (r.id, $2) AND last.in_room IS NOT FALSE
        ORDER BY last.room_id DESC, last.position DESC LIMIT 1
    ) msg ON true
    ORDER BY asked.i
"""
SELECT_OPENED = "SELECT position FROM read.past_rooms WHERE room_id = $1 AND position <= $2 ORDER BY position LIMIT 1"
# Of others' messages since then: how many there were, and how many of them mentioned the person, by name or with everybody.
SELECT_UNREAD = """
    SELECT asked.room_id, unread.count AS unread, mentioning.count AS mentions
    FROM unnest($3::uuid[], $4::bigint[]) asked (room_id, after)
    CROSS JOIN LATERAL (
        SELECT count(*) FROM (
            SELECT FROM read.messages new
            WHERE new.sender_id <> $1 AND new.in_room IS NOT FALSE AND (NOT new.deleted OR EXISTS (
                    SELECT FROM read.past_deletions d WHERE d.posted_position = new.position AND d.position > $2))
                AND (new.room_id, new.position) > (asked.room_id, asked.after)
                AND (new.room_id, new.position) <= (asked.room_id, $2)
            ORDER BY new.room_id, new.position LIMIT $5
        ) counted
    ) unread
    CROSS JOIN LATERAL (
        SELECT count(*) FROM (
            SELECT DISTINCT named.position FROM unnest($6::uuid[]) who (user_id)
            CROSS JOIN LATERAL (
                SELECT n.position FROM read.mentions n
                CROSS JOIN LATERAL (
                    SELECT m.sender_id, m.in_room, m.deleted FROM read.messages m WHERE m.position = n.position OFFSET 0
                ) new
                WHERE n.room_id = asked.room_id AND n.user_id = who.user_id AND n.position > asked.after AND n.position <= $2
                    AND new.sender_id <> $1 AND new.in_room IS NOT FALSE AND (NOT new.deleted OR EXISTS (
                        SELECT FROM read.past_deletions d WHERE d.posted_position = n.position AND d.position > $2))
                ORDER BY n.position LIMIT $5
            ) named LIMIT $5
        ) counted
    ) mentioning
"""


class PastRoom(MessageRow, frozen=True):
    """A room as it was, what the person is to it today, and the last message of then that they may read. `name` None: it was
    not there yet."""

    id: RoomId
    name: str | None
    description: str | None
    is_private: bool
    history: History
    owner_id: UserId
    is_archived: bool
    created_at: datetime
    updated_at: datetime
    version: int
    role: MemberRole | None
    joined_position: int
    member_count: int
    topic: str | None
    is_direct: bool | None
    last_message: MessageView | None


class Unread(Struct, frozen=True):
    room_id: RoomId
    unread: int
    mentions: int


async def page(
    db: Db, past: Past, then: Then, asked: Asked = ALL, *, before: tuple[int, UUID] | None = None, limit: int
) -> tuple[list[RoomView], Offset | None]:
    """Return at most `limit` rooms that this person may see today, as they were, and where to go on (None: nothing is after
    them); the order and the filters are those of `projections.rooms.page`, by what was true then."""
    places, following = await offsets(db, then, asked, before=before, limit=limit)
    found = await _rooms(db, past, then, [room_id for _, room_id in places])
    return [found[room_id] for _, room_id in places if room_id in found], following


async def one(db: Db, past: Past, then: Then, room_id: RoomId) -> RoomView:
    """Return a room as it was. Raise `DomainError` if this person may not see it today, or if there was none then."""
    rows = await db.all(PastRoom, SELECT_ROOMS, *then, [room_id])
    require_standing("room.read", rows[0].standing if rows else None)
    found = await _views(db, past, then, rows)
    if room_id not in found:
        raise unknown("room.read")
    return found[room_id]


async def require(db: Db, then: Then, room_id: RoomId) -> None:
    """Raise `DomainError` if there was no such room then."""
    if await db.value(SELECT_OPENED, room_id, then.position) is None:
        raise unknown("room.read")


async def _rooms(db: Db, past: Past, then: Then, ids: Sequence[RoomId]) -> dict[RoomId, RoomView]:
    return await _views(db, past, then, await db.all(PastRoom, SELECT_ROOMS, *then, list(ids)) if ids else [])


async def _views(db: Db, past: Past, then: Then, rows: Sequence[PastRoom]) -> dict[RoomId, RoomView]:
    """Return by id how these rooms looked; those that were not there yet are left out."""
    rows = [row for row in rows if row.name is not None]
    marks = await _marks(past, then, [row.id for row in rows if row.role is not None])
    since = {row.id: max(marks[row.id], row.joined_position) for row in rows if row.role is not None}
    asked = list(since), list(since.values())
    counted = (
        await db.all(Unread, SELECT_UNREAD, *then, *asked, UNREAD_COUNTED_MAX, [then.viewer_id, EVERYBODY])
        if since
        else []
    )
    unread = {count.room_id: count for count in counted}
    last = [of_message_row(row, row.last_message) for row in rows if row.last_message is not None]
    texts = await past_message_queries.texts(past, then, last)
    shown = {message.room_id: message for message in await past_message_queries.complete(db, past, then, texts)}
    return {row.id: _view(row, shown.get(row.id), unread.get(row.id), marks.get(row.id)) for row in rows}


async def _marks(past: Past, then: Then, ids: Sequence[RoomId]) -> dict[RoomId, int]:
    """Return how far this person had read these rooms."""
    streams = {room_id: READING.id(room_id, then.viewer_id) for room_id in ids}
    last = await past.last_until(list(streams.values()), then.position)
    marks = {
        stream: recorded.event.position for stream, recorded in last.items() if isinstance(recorded.event, ReadMarked)
    }
    return {room_id: marks.get(stream, 0) for room_id, stream in streams.items()}


def _view(row: PastRoom, last: MessageView | None, unread: Unread | None, mark: int | None) -> RoomView:
    assert row.name is not None, "rooms that were not there are left out"
    return RoomView(
        row.id, row.name, row.description, row.is_private, row.history, row.owner_id, row.is_archived, row.created_at,
        row.updated_at, row.version, row.role, row.member_count, last, None if unread is None else unread.unread, mark,
        row.topic, "direct" if row.is_direct else "room", None if unread is None else unread.mentions,
    )  # fmt: skip
