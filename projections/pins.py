"""Pins: which messages of a room are pinned. Owns the table `read.pins`.

An access check and the list that it guards are one statement, as in `projections/message_pages.py`.
"""

from collections.abc import Iterable

from domain.authorization import require_standing, standings
from domain.bounds import PINS_MAX
from domain.events import Recorded
from domain.ids import RoomId, UserId
from domain.pin import MessagePinned, MessageUnpinned
from domain.ports.database import Db
from projections.messages import MessageRow, MessageView, of_message_row
from projections.tables import Change, Projection, Table

SELECT_PINNED = """
    SELECT room.standing, msg.subject_id, msg.subject_by, msg.reacted, msg.pinned, msg.mentions, msg.mentions_room,
        msg.thread_id, msg.in_room, msg.threaded, msg.id, msg.room_id, msg.sender_id, msg.message_type, msg.content,
        msg.file_id, msg.reply_to, msg.is_edited, msg.created_at, msg.updated_at, msg.position, msg.version, msg.deleted
    FROM (
        SELECT r.id, read.standing(r.is_private, r.is_archived, m.role, m.is_banned) AS standing,
            read.readable_from(r.history, m.role, m.joined_position) AS readable_from
        FROM read.rooms r LEFT JOIN read.room_members m ON m.room_id = r.id AND m.user_id = $1 WHERE r.id = $2
    ) room
    LEFT JOIN LATERAL (
        SELECT m.*, p.position AS pinned_position
        FROM read.pins p JOIN read.messages m ON m.position = p.posted_position
        WHERE room.standing = ANY ($3::text[])
            AND p.room_id = room.id AND p.pinned AND p.posted_position >= room.readable_from AND NOT m.deleted
        ORDER BY p.position DESC LIMIT $4
    ) msg ON true
    ORDER BY msg.pinned_position DESC
"""

PINS = Table(
    "read.pins",
    key={"room_id": "uuid", "posted_position": "bigint"},
    columns={"position": "bigint", "pinned": "bool"},
)


class PinnedMessage(MessageRow, frozen=True):
    """A pinned message, and what its reader is to the room; only that if nothing is pinned, or nothing that they may read."""

    message: MessageView | None


async def pinned(db: Db, user_id: UserId, room_id: RoomId) -> list[MessageView]:
    """Return the pinned messages of a room, what was pinned last first. Raise `DomainError` if this
    person may not read them."""
    rows = await db.all(PinnedMessage, SELECT_PINNED, user_id, room_id, standings("pin.list"), PINS_MAX)
    require_standing("pin.list", rows[0].standing if rows else None)
    return [of_message_row(row, row.message) for row in rows if row.message is not None]


def message_pinned(recorded: Recorded[MessagePinned]) -> Iterable[Change]:
    e = recorded.event
    yield PINS.put(e.room_id, e.posted_position, position=recorded.position, pinned=True)


def message_unpinned(recorded: Recorded[MessageUnpinned]) -> Iterable[Change]:
    yield PINS.set(recorded.event.room_id, recorded.event.posted_position, pinned=False)


PROJECTION = Projection(tables=(PINS,), handlers={MessagePinned: message_pinned, MessageUnpinned: message_unpinned})
