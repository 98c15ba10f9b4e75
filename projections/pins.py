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
from projections.message_pages import PAGE_TEXT_BYTES_MAX, POSITION_MAX
from projections.messages import MessageRow, MessageView, of_message_row
from projections.tables import Change, Projection, Table

# How many are pinned, and of those as many, from the last pinned on, as fit.
SELECT_PINNED = """
    SELECT standing, subject_id, subject_by, reacted, pinned, mentions, mentions_room, thread_id, in_room, threaded,
        pinned_position, found,
        id, room_id, sender_id, message_type, content, file_id, reply_to, is_edited, created_at, updated_at, position, version,
        deleted
    FROM (
        SELECT room.standing, msg.*, count(msg.id) OVER () AS found,
            sum(octet_length(msg.content)) OVER (ORDER BY msg.pinned_position DESC) AS bytes
        FROM (
            SELECT r.id, read.standing(r.is_private, r.is_archived, m.role, m.is_banned) AS standing,
                read.readable_from(r.history, m.role, m.joined_position) AS readable_from
            FROM read.rooms r LEFT JOIN read.room_members m ON m.room_id = r.id AND m.user_id = $1 WHERE r.id = $2
        ) room
        LEFT JOIN LATERAL (
            SELECT m.*, p.position AS pinned_position
            FROM read.pins p JOIN read.messages m ON m.position = p.posted_position
            WHERE room.standing = ANY ($3::text[]) AND p.position <= $4
                AND p.room_id = room.id AND p.pinned AND p.posted_position >= room.readable_from AND NOT m.deleted
            ORDER BY p.position DESC LIMIT $5
        ) msg ON true
    ) page
    WHERE coalesce(bytes, 0) <= $6::bigint ORDER BY pinned_position DESC
"""

PINS = Table(
    "read.pins",
    key={"room_id": "uuid", "posted_position": "bigint"},
    columns={"position": "bigint", "pinned": "bool"},
)


class PinnedMessage(MessageRow, frozen=True):
    """A pinned message, and what its reader is to the room; only that if nothing is pinned, or nothing that they may read.

    `found`: how many the page would have if all fitted.
    """

    pinned_position: int | None
    found: int
    message: MessageView | None


async def pinned(
    db: Db, user_id: UserId, room_id: RoomId, *, until: int = POSITION_MAX
) -> tuple[list[MessageView], int | None]:
    """Return the messages of a room that were pinned up to a position, what was pinned last first, and from which position
    to go on if there are more. Fewer if they hold more than `PAGE_TEXT_BYTES_MAX`. Raise `DomainError` if this person may not
    read them."""
    rows = await db.all(
        PinnedMessage, SELECT_PINNED, user_id, room_id, standings("pin.list"), until, PINS_MAX, PAGE_TEXT_BYTES_MAX
    )
    require_standing("pin.list", rows[0].standing if rows else None)
    found = [of_message_row(row, row.message) for row in rows if row.message is not None]
    last = rows[-1].pinned_position
    return found, None if last is None or len(found) == rows[0].found else last - 1


def message_pinned(recorded: Recorded[MessagePinned]) -> Iterable[Change]:
    e = recorded.event
    yield PINS.put(e.room_id, e.posted_position, position=recorded.position, pinned=True)


def message_unpinned(recorded: Recorded[MessageUnpinned]) -> Iterable[Change]:
    yield PINS.set(recorded.event.room_id, recorded.event.posted_position, pinned=False)


PROJECTION = Projection(tables=(PINS,), handlers={MessagePinned: message_pinned, MessageUnpinned: message_unpinned})
