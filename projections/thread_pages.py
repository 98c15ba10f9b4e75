"""Pages of a thread's replies: an access check and the page that it guards are one statement, as in `projections/message_pages.py`.

Replies that are shown in the room, too, are among them. They are found in the index `replies_of_thread`: bounds and order name
the root, too, so that no plan walks all messages for those of one thread.
"""

from domain.authorization import require_standing, standings
from domain.errors import NotARootError
from domain.ids import MessageId, UserId
from domain.message import MESSAGE
from domain.ports.database import Db
from projections.message_pages import PAGE_TEXT_BYTES_MAX
from projections.messages import MessageRow, MessageView, RenderedMessageView, of_message_row

# How many replies there are, and of those as many, from the first on, as fit. HTML is read only if it is asked for.
SELECT_REPLIES = """
    SELECT standing, subject_id, subject_by, reacted, pinned, mentions, mentions_room, thread_id, in_room, threaded, is_root,
        html, found, id, room_id, sender_id, message_type, content, CASE WHEN NOT deleted THEN file_id END AS file_id,
        reply_to, is_edited, created_at, updated_at, position, version, deleted
    FROM (
        SELECT root.standing, root.is_root, msg.*, h.html, count(msg.id) OVER () AS found,
            sum(coalesce(octet_length(msg.content), 0) + coalesce(octet_length(h.html), 0)) OVER (ORDER BY msg.position) AS bytes
        FROM (
            SELECT m.position, m.thread_id IS NULL AND m.sender_id IS NOT NULL AS is_root,
                read.standing(r.is_private, r.is_archived, mine.role, mine.is_banned) AS standing
            FROM read.messages m JOIN read.rooms r ON r.id = m.room_id
            LEFT JOIN read.room_members mine ON mine.room_id = r.id AND mine.user_id = $1
            WHERE m.position = coalesce(
                (SELECT position FROM read.messages WHERE id = $2 AND sender_id IS NULL LIMIT 1),
                (SELECT position FROM record.events WHERE stream = $3 AND version = 1)
            ) AND m.position >= read.readable_from(r.history, mine.role, mine.joined_position)
        ) root
        LEFT JOIN LATERAL (
            SELECT * FROM read.messages reply
            WHERE root.standing = ANY ($4::text[]) AND reply.root_position IS NOT NULL
                AND (reply.root_position, reply.position) > (root.position, $5)
                AND (reply.root_position, reply.position) <= (root.position, 9223372036854775807)
            ORDER BY reply.root_position, reply.position LIMIT $6
        ) msg ON true
        LEFT JOIN read.message_html h ON $7 AND h.position = msg.position AND h.version = msg.version
    ) page
    WHERE bytes <= $8::bigint ORDER BY position
"""


class ReplyInPage(MessageRow, frozen=True):
    """A reply, and what its reader is to the room; only that where the page has no reply.

    `is_root`: whether there can be a thread of the message. `found`: how many replies the page would have if all fitted.
    """

    is_root: bool
    html: str | None
    found: int
    message: MessageView | None


async def page(
    db: Db, user_id: UserId, thread_id: MessageId, *, after: int, limit: int, html: bool = False
) -> tuple[list[MessageView], bool]:
    """Return at most `limit` replies after a position, the oldest first, and whether there may be more. Fewer if they hold more
    than `PAGE_TEXT_BYTES_MAX`. Raise `DomainError` if this person may not read them, or if there is no such root."""
    rows = await db.all(
        ReplyInPage, SELECT_REPLIES, user_id, thread_id, MESSAGE.id(thread_id), standings("thread.list"), after, limit, html,
        PAGE_TEXT_BYTES_MAX,
    )  # fmt: skip
    require_standing("thread.list", rows[0].standing if rows else None)
    if not rows[0].is_root:
        raise NotARootError
    found = [
        RenderedMessageView.of(of_message_row(row, row.message), row.html) if html else of_message_row(row, row.message)
        for row in rows
        if row.message is not None
    ]
    return found, len(found) == limit or len(found) < rows[0].found
