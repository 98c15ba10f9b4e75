"""Messages as they are looked up by id or position; pages of them are in `projections/message_pages.py`.

Where a message is, is known by its stream, whose first event is its posting. Only system messages, which have no stream, are
looked up by id. So no index holds the ids that clients make, each of which would touch a page of its own. What was posted
under a system message's id is not found by it.
"""

from collections.abc import Collection, Sequence
from typing import NamedTuple

from msgspec.structs import replace

from domain.authorization import require_standing
from domain.ids import FileId, MessageId, RoomId, UserId
from domain.message import MESSAGE
from domain.ports.database import Db
from domain.rights import RoomOperation
from projections import file_queries
from projections.messages import MessageRow, MessageView, RenderedMessageView, of_message_row

SELECT_ONE = """
    SELECT read.standing(r.is_private, r.is_archived, m.role, m.is_banned) AS standing, msg.subject_id, msg.subject_by,
        msg.reacted, msg.pinned, msg.mentions, msg.mentions_room, msg.thread_id, msg.in_room, msg.threaded, h.html,
        msg.id, msg.room_id, msg.sender_id, msg.message_type, msg.content,
        CASE WHEN NOT msg.deleted THEN msg.file_id END AS file_id, msg.reply_to, msg.is_edited, msg.created_at,
        msg.updated_at, msg.position, msg.version, msg.deleted
    FROM read.messages msg JOIN read.rooms r ON r.id = msg.room_id
    LEFT JOIN read.room_members m ON m.room_id = r.id AND m.user_id = $1
    LEFT JOIN read.message_html h ON h.position = msg.position AND h.version = msg.version
    WHERE msg.position = coalesce(
        (SELECT position FROM read.messages WHERE id = $2 AND sender_id IS NULL LIMIT 1),
        (SELECT position FROM record.events WHERE stream = $3 AND version = 1)
    ) AND msg.position >= read.readable_from(r.history, m.role, m.joined_position)
"""
SELECT_IS_SYSTEM = "SELECT EXISTS (SELECT FROM read.messages WHERE id = $1 AND sender_id IS NULL)"
SELECT_DELETED = "SELECT position FROM read.messages WHERE position = ANY ($1::bigint[]) AND deleted"
SELECT_LATEST_WITH_FILES = """
    SELECT file_id, max(position) AS position FROM read.messages
    WHERE room_id = $1 AND file_id = ANY ($2::uuid[]) AND NOT deleted GROUP BY file_id
"""


class MessageFound(MessageRow, frozen=True):
    """A message, and what its reader is to the room."""

    html: str | None
    message: MessageView | None


class FilePosition(NamedTuple):
    file_id: FileId
    position: int


async def one(
    db: Db, user_id: UserId, message_id: MessageId, operation: RoomOperation = "message.read", *, html: bool = False
) -> MessageView:
    """Return a message as this person may see it. Raise `DomainError` if they may not, or if there is none."""
    row = await db.one(MessageFound, SELECT_ONE, user_id, message_id, MESSAGE.id(message_id))
    require_standing(operation, None if row is None else row.standing)
    assert row is not None and row.message is not None, "a message that is not there is refused"
    view = of_message_row(row, row.message)
    return RenderedMessageView.of(view, row.html) if html else view


async def is_system(db: Db, message_id: MessageId) -> bool:
    """Return whether a system message has this id."""
    return bool(await db.value(SELECT_IS_SYSTEM, message_id))


async def with_files(db: Db, messages: Sequence[MessageView]) -> list[MessageView]:
    """Return these messages, each with the file that is attached to it. One query for all, and none if there is no file."""
    wanted = [message.file_id for message in messages if message.file_id is not None and not message.deleted]
    views = await file_queries.views(db, wanted) if wanted else {}
    return [
        message if message.deleted or message.file_id not in views else replace(message, file=views[message.file_id])
        for message in messages
    ]


async def deleted_among(db: Db, positions: Collection[int]) -> set[int]:
    """Return which of these postings are tombstones by now."""
    return set(await db.all(int, SELECT_DELETED, list(positions))) if positions else set()


async def latest_with_files(db: Db, room_id: RoomId, file_ids: Collection[FileId]) -> dict[FileId, int]:
    """Return by file the position of the room's latest message that it is attached to and that is not deleted; files
    without one are left out."""
    if not file_ids:
        return {}
    return dict(await db.all(FilePosition, SELECT_LATEST_WITH_FILES, room_id, list(file_ids)))
