"""Pins: which messages of a room are pinned. Owns the table `read.pins`.

An access check and the list that it guards are one statement, as in `projections/messages.py`.
"""

from collections.abc import Iterable
from datetime import datetime
from uuid import UUID

from msgspec import Struct

from domain.bounds import PINS_MAX
from domain.events import Recorded
from domain.ids import FileId, MessageId, RoomId, UserId
from domain.kinds import MessageType
from domain.mention import MentionsRoom
from domain.pin import MessagePinned, MessageUnpinned
from domain.ports.database import Db
from domain.rights import require_standing, standings
from projections.messages import MessageView
from projections.tables import Change, Projection, Table

SELECT_PINNED = """
    WITH seen AS (
        SELECT r.id,
            CASE WHEN r.is_private AND r.is_archived THEN 'private archived' WHEN r.is_private THEN 'private'
                WHEN r.is_archived THEN 'archived' ELSE 'public' END
            || '/' ||
            coalesce(m.role, CASE WHEN m.is_banned THEN 'banned' WHEN m.room_id IS NULL THEN 'stranger' ELSE 'left' END)
                AS standing,
            CASE WHEN r.history = 'shared' THEN 0 WHEN m.role IS NULL THEN 9223372036854775807 ELSE m.joined_position END
                AS since
        FROM read.rooms r LEFT JOIN read.room_members m ON m.room_id = r.id AND m.user_id = $1 WHERE r.id = $2
    )
    SELECT seen.standing, msg.id, msg.room_id, msg.sender_id, msg.message_type, msg.content, msg.file_id, msg.reply_to,
        msg.is_edited, msg.created_at, msg.updated_at, msg.position, msg.version, msg.reacted,
        msg.mentions, msg.mentions_room
    FROM seen LEFT JOIN LATERAL (
        SELECT said.*, p.position AS pinned_position
        FROM read.pins p JOIN read.messages said ON said.position = p.posted_position
        WHERE p.room_id = seen.id AND p.pinned AND p.posted_position >= seen.since AND NOT said.deleted
            AND seen.standing = ANY ($3::text[])
        ORDER BY p.position DESC LIMIT $4
    ) msg ON true ORDER BY msg.pinned_position DESC
"""

PINS = Table(
    "read.pins",
    key={"room_id": "uuid", "posted_position": "bigint"},
    columns={"position": "bigint", "pinned": "bool"},
)


class _PinRow(Struct, frozen=True):
    """`id` None: nothing is pinned, or nothing that this person sees."""

    standing: str
    id: MessageId | None
    room_id: RoomId
    sender_id: UserId
    message_type: MessageType
    content: str
    file_id: FileId | None
    reply_to: MessageId | None
    is_edited: bool
    created_at: datetime
    updated_at: datetime
    position: int
    version: int
    reacted: bool | None
    mentions: str | None
    mentions_room: MentionsRoom | None


async def pinned(db: Db, user_id: UserId, room_id: RoomId) -> list[MessageView]:
    """Return the pinned messages of a room, what was pinned last first. Raises `DomainError` where this person may not."""
    rows = await db.all(_PinRow, SELECT_PINNED, user_id, room_id, standings("pin.list"), PINS_MAX)
    require_standing("pin.list", rows[0].standing if rows else None)
    return [_view(row, row.id) for row in rows if row.id is not None]


def message_pinned(recorded: Recorded[MessagePinned]) -> Iterable[Change]:
    e = recorded.event
    yield PINS.put(e.room_id, e.posted_position, position=recorded.position, pinned=True)


def message_unpinned(recorded: Recorded[MessageUnpinned]) -> Iterable[Change]:
    yield PINS.set(recorded.event.room_id, recorded.event.posted_position, pinned=False)


def _view(row: _PinRow, message_id: MessageId) -> MessageView:
    return MessageView(
        message_id, row.room_id, row.sender_id, row.message_type, row.content, row.file_id, row.reply_to, row.is_edited,
        row.created_at, row.updated_at, row.position, row.version, False, None, None, None if row.reacted else [], True,
        [UserId(UUID(each)) for each in (row.mentions or "").split()], row.mentions_room,
    )  # fmt: skip


PROJECTION = Projection(tables=(PINS,), handlers={MessagePinned: message_pinned, MessageUnpinned: message_unpinned})
