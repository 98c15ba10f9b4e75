"""Pages of a room's messages: an access check and the page that it guards are one statement.

Bounds and order of each statement name the room too: so no plan can walk the messages of all rooms, looking for those of a
quiet one (`tests/projections/test_plans.py`). `read.standing` and `read.readable_from` say what the reader is to the room, and
from which position they may read it (`migrations/0088_what_may_be_read.sql`). A room without messages to show is one row
without a message; no row means that there is no such room.
"""

from collections.abc import Sequence
from typing import NamedTuple

from domain.authorization import require_standing, standings
from domain.ids import RoomId, UserId
from domain.ports.database import Db
from projections.messages import MessageRow, MessageView, RenderedMessageView, of_message_row

PAGE_TEXT_BYTES_MAX = 1024**2  # of a page of messages: their text, and their HTML if it is asked for
POSITION_MAX = 2**63 - 1

# How many messages there are, and of those as many, from the first on (`around` one: from it outwards), as fit.
SELECT_BEFORE = """
    SELECT standing, subject_id, subject_by, reacted, pinned, mentions, mentions_room, thread_id, in_room, threaded, table_id,
        found, id, room_id, sender_id, message_type, content, CASE WHEN NOT deleted THEN file_id END AS file_id, reply_to, is_edited,
        created_at, updated_at, position, version, deleted
    FROM (
        SELECT room.standing, msg.*, count(msg.id) OVER () AS found,
            sum(octet_length(msg.content)) OVER (ORDER BY msg.position DESC) AS bytes
        FROM (
            SELECT r.id, read.standing(r.is_private, r.is_archived, m.role, m.is_banned) AS standing,
                read.readable_from(r.history, m.role, m.joined_position) AS readable_from
            FROM read.rooms r LEFT JOIN read.room_members m ON m.room_id = r.id AND m.user_id = $1 WHERE r.id = $2
        ) room
        LEFT JOIN LATERAL (
            SELECT m.tableoid AS table_id, m.* FROM read.messages m
            WHERE room.standing = ANY ($3::text[]) AND m.in_room IS NOT FALSE
                AND (m.room_id, m.position) >= (room.id, room.readable_from) AND (m.room_id, m.position) <= (room.id, $4)
            ORDER BY m.room_id DESC, m.position DESC LIMIT $5
        ) msg ON true
    ) page
    WHERE coalesce(bytes, 0) <= $6::bigint ORDER BY position DESC
"""
SELECT_AFTER = """
    SELECT standing, subject_id, subject_by, reacted, pinned, mentions, mentions_room, thread_id, in_room, threaded, table_id,
        found, id, room_id, sender_id, message_type, content, CASE WHEN NOT deleted THEN file_id END AS file_id, reply_to, is_edited,
        created_at, updated_at, position, version, deleted
    FROM (
        SELECT room.standing, msg.*, count(msg.id) OVER () AS found,
            sum(octet_length(msg.content)) OVER (ORDER BY msg.position) AS bytes
        FROM (
            SELECT r.id, read.standing(r.is_private, r.is_archived, m.role, m.is_banned) AS standing,
                read.readable_from(r.history, m.role, m.joined_position) AS readable_from
            FROM read.rooms r LEFT JOIN read.room_members m ON m.room_id = r.id AND m.user_id = $1 WHERE r.id = $2
        ) room
        LEFT JOIN LATERAL (
            SELECT m.tableoid AS table_id, m.* FROM read.messages m
            WHERE room.standing = ANY ($3::text[]) AND m.in_room IS NOT FALSE
                AND (m.room_id, m.position) > (room.id, greatest($4, room.readable_from - 1))
                AND (m.room_id, m.position) <= (room.id, 9223372036854775807)
            ORDER BY m.room_id, m.position LIMIT $5
        ) msg ON true
    ) page
    WHERE coalesce(bytes, 0) <= $6::bigint ORDER BY position
"""
SELECT_AROUND = """
    SELECT standing, subject_id, subject_by, reacted, pinned, mentions, mentions_room, thread_id, in_room, threaded, table_id,
        found, id, room_id, sender_id, message_type, content, CASE WHEN NOT deleted THEN file_id END AS file_id, reply_to, is_edited,
        created_at, updated_at, position, version, deleted
    FROM (
        SELECT room.standing, msg.*, count(msg.id) OVER () AS found,
            sum(octet_length(msg.content)) OVER (ORDER BY abs(msg.position - $4), msg.position) AS bytes
        FROM (
            SELECT r.id, read.standing(r.is_private, r.is_archived, m.role, m.is_banned) AS standing,
                read.readable_from(r.history, m.role, m.joined_position) AS readable_from
            FROM read.rooms r LEFT JOIN read.room_members m ON m.room_id = r.id AND m.user_id = $1 WHERE r.id = $2
        ) room
        LEFT JOIN LATERAL ((
            SELECT m.tableoid AS table_id, m.* FROM read.messages m
            WHERE room.standing = ANY ($3::text[]) AND m.in_room IS NOT FALSE
                AND (m.room_id, m.position) >= (room.id, room.readable_from) AND (m.room_id, m.position) <= (room.id, $4)
            ORDER BY m.room_id DESC, m.position DESC LIMIT $5
        ) UNION ALL (
            SELECT m.tableoid AS table_id, m.* FROM read.messages m
            WHERE room.standing = ANY ($3::text[]) AND m.in_room IS NOT FALSE
                AND (m.room_id, m.position) > (room.id, greatest($4, room.readable_from - 1))
                AND (m.room_id, m.position) <= (room.id, 9223372036854775807)
            ORDER BY m.room_id, m.position LIMIT $6
        )) msg ON true
    ) page
    WHERE coalesce(bytes, 0) <= $7::bigint ORDER BY position
"""
SELECT_BEFORE_HTML = """
    SELECT standing, subject_id, subject_by, reacted, pinned, mentions, mentions_room, thread_id, in_room, threaded, table_id,
        html, html_table_id, found, id, room_id, sender_id, message_type, content, CASE WHEN NOT deleted THEN file_id END AS file_id, reply_to, is_edited,
        created_at, updated_at, position, version, deleted
    FROM (
        SELECT room.standing, msg.*, h.html, coalesce(h.tableoid, 0::oid) AS html_table_id, count(msg.id) OVER () AS found,
            sum(coalesce(octet_length(msg.content), 0) + coalesce(octet_length(h.html), 0))
                OVER (ORDER BY msg.position DESC) AS bytes
        FROM (
            SELECT r.id, read.standing(r.is_private, r.is_archived, m.role, m.is_banned) AS standing,
                read.readable_from(r.history, m.role, m.joined_position) AS readable_from
            FROM read.rooms r LEFT JOIN read.room_members m ON m.room_id = r.id AND m.user_id = $1 WHERE r.id = $2
        ) room
        LEFT JOIN LATERAL (
            SELECT m.tableoid AS table_id, m.* FROM read.messages m
            WHERE room.standing = ANY ($3::text[]) AND m.in_room IS NOT FALSE
                AND (m.room_id, m.position) >= (room.id, room.readable_from) AND (m.room_id, m.position) <= (room.id, $4)
            ORDER BY m.room_id DESC, m.position DESC LIMIT $5
        ) msg ON true
        LEFT JOIN read.message_html h ON h.position = msg.position AND h.version = msg.version
    ) page
    WHERE bytes <= $6::bigint ORDER BY position DESC
"""
SELECT_AFTER_HTML = """
    SELECT standing, subject_id, subject_by, reacted, pinned, mentions, mentions_room, thread_id, in_room, threaded, table_id,
        html, html_table_id, found, id, room_id, sender_id, message_type, content, CASE WHEN NOT deleted THEN file_id END AS file_id, reply_to, is_edited,
        created_at, updated_at, position, version, deleted
    FROM (
        SELECT room.standing, msg.*, h.html, coalesce(h.tableoid, 0::oid) AS html_table_id, count(msg.id) OVER () AS found,
            sum(coalesce(octet_length(msg.content), 0) + coalesce(octet_length(h.html), 0))
                OVER (ORDER BY msg.position) AS bytes
        FROM (
            SELECT r.id, read.standing(r.is_private, r.is_archived, m.role, m.is_banned) AS standing,
                read.readable_from(r.history, m.role, m.joined_position) AS readable_from
            FROM read.rooms r LEFT JOIN read.room_members m ON m.room_id = r.id AND m.user_id = $1 WHERE r.id = $2
        ) room
        LEFT JOIN LATERAL (
            SELECT m.tableoid AS table_id, m.* FROM read.messages m
            WHERE room.standing = ANY ($3::text[]) AND m.in_room IS NOT FALSE
                AND (m.room_id, m.position) > (room.id, greatest($4, room.readable_from - 1))
                AND (m.room_id, m.position) <= (room.id, 9223372036854775807)
            ORDER BY m.room_id, m.position LIMIT $5
        ) msg ON true
        LEFT JOIN read.message_html h ON h.position = msg.position AND h.version = msg.version
    ) page
    WHERE bytes <= $6::bigint ORDER BY position
"""
SELECT_AROUND_HTML = """
    SELECT standing, subject_id, subject_by, reacted, pinned, mentions, mentions_room, thread_id, in_room, threaded, table_id,
        html, html_table_id, found, id, room_id, sender_id, message_type, content, CASE WHEN NOT deleted THEN file_id END AS file_id, reply_to, is_edited,
        created_at, updated_at, position, version, deleted
    FROM (
        SELECT room.standing, msg.*, h.html, coalesce(h.tableoid, 0::oid) AS html_table_id, count(msg.id) OVER () AS found,
            sum(coalesce(octet_length(msg.content), 0) + coalesce(octet_length(h.html), 0))
                OVER (ORDER BY abs(msg.position - $4), msg.position) AS bytes
        FROM (
            SELECT r.id, read.standing(r.is_private, r.is_archived, m.role, m.is_banned) AS standing,
                read.readable_from(r.history, m.role, m.joined_position) AS readable_from
            FROM read.rooms r LEFT JOIN read.room_members m ON m.room_id = r.id AND m.user_id = $1 WHERE r.id = $2
        ) room
        LEFT JOIN LATERAL ((
            SELECT m.tableoid AS table_id, m.* FROM read.messages m
            WHERE room.standing = ANY ($3::text[]) AND m.in_room IS NOT FALSE
                AND (m.room_id, m.position) >= (room.id, room.readable_from) AND (m.room_id, m.position) <= (room.id, $4)
            ORDER BY m.room_id DESC, m.position DESC LIMIT $5
        ) UNION ALL (
            SELECT m.tableoid AS table_id, m.* FROM read.messages m
            WHERE room.standing = ANY ($3::text[]) AND m.in_room IS NOT FALSE
                AND (m.room_id, m.position) > (room.id, greatest($4, room.readable_from - 1))
                AND (m.room_id, m.position) <= (room.id, 9223372036854775807)
            ORDER BY m.room_id, m.position LIMIT $6
        )) msg ON true
        LEFT JOIN read.message_html h ON h.position = msg.position AND h.version = msg.version
    ) page
    WHERE bytes <= $7::bigint ORDER BY position
"""


class MessageInPage(MessageRow, frozen=True):
    """A message of a page, and what its reader is to the room; only that where the page has no message.

    `found`: how many messages the page would have if all fitted. `table_id`: the table that the message was read from, which
    another one takes the place of when it was made anew.
    """

    table_id: int | None
    found: int
    message: MessageView | None


class RenderedMessageInPage(MessageRow, frozen=True):
    """The same with HTML; `html_table_id` 0: it is not there yet."""

    table_id: int | None
    html: str | None
    html_table_id: int
    found: int
    message: MessageView | None


class PageRead(NamedTuple):
    """Messages, whether there may be more of them, and the rows that they were made of."""

    messages: list[MessageView]
    has_more: bool
    rows: Sequence[MessageInPage | RenderedMessageInPage]


class Extent(NamedTuple):
    """Which messages of a room to look for: its two statements, and their arguments from the fourth on."""

    plain: str
    rendered: str
    arguments: tuple[int, ...]


async def page(
    db: Db,
    user_id: UserId,
    room_id: RoomId,
    *,
    before: int | None = None,
    after: int | None = None,
    around: int | None = None,
    limit: int,
    html: bool = False,
) -> PageRead:
    """Return at most `limit` messages, and whether there may be more: newest first before a position (the end, if none is
    given), oldest first after one, ascending around one. Fewer if they hold more than `PAGE_TEXT_BYTES_MAX`.
    Raise `DomainError` if this person may not read them."""
    extent = _extent(before, after, around, limit)
    arguments = (user_id, room_id, standings("message.list"), *extent.arguments, PAGE_TEXT_BYTES_MAX)
    read = _rendered if html else _plain
    return await read(db, extent, arguments, limit)


def _extent(before: int | None, after: int | None, around: int | None, limit: int) -> Extent:
    if around is not None:
        return Extent(SELECT_AROUND, SELECT_AROUND_HTML, (around, limit - limit // 2, limit // 2))
    if after is not None:
        return Extent(SELECT_AFTER, SELECT_AFTER_HTML, (after, limit))
    return Extent(SELECT_BEFORE, SELECT_BEFORE_HTML, (POSITION_MAX if before is None else before - 1, limit))


async def _plain(db: Db, extent: Extent, arguments: tuple[object, ...], limit: int) -> PageRead:
    rows = await db.all(MessageInPage, extent.plain, *arguments)
    require_standing("message.list", rows[0].standing if rows else None)
    found = [of_message_row(row, row.message) for row in rows if row.message is not None]
    return PageRead(found, len(found) == limit or len(found) < rows[0].found, rows)


async def _rendered(db: Db, extent: Extent, arguments: tuple[object, ...], limit: int) -> PageRead:
    rows = await db.all(RenderedMessageInPage, extent.rendered, *arguments)
    require_standing("message.list", rows[0].standing if rows else None)
    found: list[MessageView] = [
        RenderedMessageView.of(of_message_row(row, row.message), row.html) for row in rows if row.message is not None
    ]
    return PageRead(found, len(found) == limit or len(found) < rows[0].found, rows)
