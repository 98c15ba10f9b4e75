"""States of pages: whether a page of a room's messages is still what it was, told by a few bytes a message.

A row of `read.messages` is a function of its position, its version (of edits and the deletion) and three flags, as long as it
stands in the same table: each handler in `projections/messages.py` that changes a row sets one of these
(`tests/projections/test_page_states.py`). A row of `read.message_html` is one of position and version. A table that was
made anew is another one, with an id of its own. So pages with the same state have the same rows: nothing has to be told, noted
or cleared for that to hold.

What stands beside the rows (files, reactions, threads) is not in a state: of a page that shows some it says nothing.
"""

from collections.abc import Sequence
from struct import Struct as Packing

from msgspec import Struct

from domain.authorization import require_standing, standings
from domain.ids import RoomId, UserId
from domain.ports.database import Db
from projections.message_pages import POSITION_MAX, MessageInPage, RenderedMessageInPage

OF_MESSAGE = Packing(">Iqi???I")  # table, position, version, reacted, pinned, threaded, table of the HTML
NO_TABLE = 0

SELECT_STATE = """
    SELECT standing, (
        SELECT string_agg(
            oidsend(tableoid) || int8send(position) || int4send(version) || boolsend(coalesce(reacted, false))
                || boolsend(coalesce(pinned, false)) || boolsend(coalesce(threaded, false)) || oidsend(0::oid), ''
        )
        FROM (
            SELECT m.tableoid, m.position, m.version, m.reacted, m.pinned, m.threaded FROM read.messages m
            WHERE room.standing = ANY ($3::text[]) AND m.in_room IS NOT FALSE
                AND (m.room_id, m.position) >= (room.id, room.readable_from) AND (m.room_id, m.position) <= (room.id, $4)
            ORDER BY m.room_id DESC, m.position DESC LIMIT $5
        ) msg
    ) AS state
    FROM (
        SELECT r.id, read.standing(r.is_private, r.is_archived, m.role, m.is_banned) AS standing,
            read.readable_from(r.history, m.role, m.joined_position) AS readable_from
        FROM read.rooms r LEFT JOIN read.room_members m ON m.room_id = r.id AND m.user_id = $1 WHERE r.id = $2
    ) room
"""
SELECT_STATE_HTML = """
    SELECT standing, (
        SELECT string_agg(
            oidsend(msg.tableoid) || int8send(msg.position) || int4send(msg.version)
                || boolsend(coalesce(msg.reacted, false)) || boolsend(coalesce(msg.pinned, false))
                || boolsend(coalesce(msg.threaded, false)) || oidsend(coalesce(h.tableoid, 0::oid)), ''
            ORDER BY msg.position DESC
        )
        FROM (
            SELECT m.tableoid, m.position, m.version, m.reacted, m.pinned, m.threaded FROM read.messages m
            WHERE room.standing = ANY ($3::text[]) AND m.in_room IS NOT FALSE
                AND (m.room_id, m.position) >= (room.id, room.readable_from) AND (m.room_id, m.position) <= (room.id, $4)
            ORDER BY m.room_id DESC, m.position DESC LIMIT $5
        ) msg
        LEFT JOIN read.message_html h ON h.position = msg.position AND h.version = msg.version
    ) AS state
    FROM (
        SELECT r.id, read.standing(r.is_private, r.is_archived, m.role, m.is_banned) AS standing,
            read.readable_from(r.history, m.role, m.joined_position) AS readable_from
        FROM read.rooms r LEFT JOIN read.room_members m ON m.room_id = r.id AND m.user_id = $1 WHERE r.id = $2
    ) room
"""


class PageState(Struct, frozen=True):
    """What a reader is to a room, and the state of the page that they would get; None: it has no messages."""

    standing: str
    state: bytes | None


async def current(
    db: Db, user_id: UserId, room_id: RoomId, *, before: int | None, limit: int, html: bool
) -> bytes | None:
    """Return the state of the page that `message_pages.page` would answer now. Raise `DomainError` if this person may not read
    it."""
    sql = SELECT_STATE_HTML if html else SELECT_STATE
    place = POSITION_MAX if before is None else before - 1
    row = await db.one(PageState, sql, user_id, room_id, standings("message.list"), place, limit)
    require_standing("message.list", None if row is None else row.standing)
    return None if row is None else row.state


def of_rows(rows: Sequence[MessageInPage | RenderedMessageInPage]) -> bytes | None:
    """Return the state of a page before a position by its rows; None if it has no messages, or not all that were found."""
    if len(rows) != rows[0].found:
        return None
    return b"".join(
        OF_MESSAGE.pack(
            row.table_id, row.message.position, row.message.version, bool(row.reacted), bool(row.pinned),
            bool(row.threaded), row.html_table_id if isinstance(row, RenderedMessageInPage) else NO_TABLE,
        )
        for row in rows
        if row.message is not None
    )  # fmt: skip
