"""Messages: what was said in a room, in the order it was posted. Owns the table `read.messages`.

`position` is that of the posting: a row's key, and the cursor of pages. System messages are rows too, one for each
event that a room hears of its members and of itself; their id comes from the position, their text is a code.
An access check and the page that it guards are one statement.
"""

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from msgspec import UNSET, Meta, Struct, UnsetType
from msgspec.structs import replace

from domain.events import Event, Recorded
from domain.ids import FileId, MessageId, RoomId, UserId, system_message_id
from domain.kinds import MessageType
from domain.membership import MemberJoined, MemberLeft, MemberRemoved, MemberRoleChanged
from domain.mention import MentionsRoom
from domain.message import MESSAGE, MessageDeleted, MessageEdited, MessagePosted
from domain.pin import MessagePinned, MessageUnpinned
from domain.ports.database import Db
from domain.reaction import ReactionAdded
from domain.rights import RoomOperation, require_standing, standings
from domain.room import RoomArchived, RoomChanged
from projections import files
from projections.files import FileView
from projections.reactions import ReactionView
from projections.relationship import SINCE, STANDING
from projections.tables import Change, Projection, Table

PAGE_TEXT_BYTES_MAX = 1024**2  # of a page of messages with HTML: their text and it

# A room as this person may see it: `since` is the first position they may read, $3 are the standings that read at all.
_SEEN_ROOM = (
    "WITH seen AS (SELECT r.id, "
    + STANDING
    + " AS standing, "
    + SINCE
    + """ AS since
        FROM read.rooms r LEFT JOIN read.room_members m ON m.room_id = r.id AND m.user_id = $1 WHERE r.id = $2
    )
"""
)
_ROW = """
    msg.id, msg.room_id, msg.sender_id, msg.message_type, msg.content,
    CASE WHEN NOT msg.deleted THEN msg.file_id END, msg.reply_to, msg.is_edited,
    msg.created_at, msg.updated_at, msg.position, msg.version, msg.deleted, msg.subject_id, msg.subject_by,
    msg.reacted, msg.pinned, msg.mentions, msg.mentions_room
"""
_PLAIN = "SELECT seen.standing, " + _ROW + ", NULL::text FROM seen LEFT JOIN LATERAL "
# With HTML: how many there are too, and of those as many, from the first on (`around` one: from it outwards), as fit.
_HTML = (
    "SELECT * FROM (SELECT seen.standing, "
    + _ROW
    + """, h.html, count(msg.id) OVER () AS found,
    sum(coalesce(octet_length(msg.content), 0) + coalesce(octet_length(h.html), 0)) OVER (ORDER BY """
)
_OF_SEEN = ") AS bytes FROM seen LEFT JOIN LATERAL "
_JOIN_HTML = f"""
    LEFT JOIN read.message_html h ON h.position = msg.position AND h.version = msg.version) page
    WHERE bytes <= {PAGE_TEXT_BYTES_MAX}"""
_FOUND = 21  # the column
POSITION_MAX = 2**63 - 1
# Bounds and order name the room too: so no plan can walk the messages of all rooms, looking for those of a quiet one
# (`tests/projections/test_plans.py`).
_OF_ROOM = "SELECT * FROM read.messages m WHERE seen.standing = ANY ($3::text[]) AND (m.room_id, m.position) "
_UP_TO = (
    _OF_ROOM
    + """>= (seen.id, seen.since) AND (m.room_id, m.position) <= (seen.id, $4)
    ORDER BY m.room_id DESC, m.position DESC LIMIT $5
"""
)
_BEYOND = (
    _OF_ROOM
    + f"""> (seen.id, greatest($4, seen.since - 1)) AND (m.room_id, m.position) <= (seen.id, {POSITION_MAX})
    ORDER BY m.room_id, m.position LIMIT """
)
_BEFORE = "(" + _UP_TO + ") msg ON true"
_AFTER = "(" + _BEYOND + "$5) msg ON true"
_AROUND = "((" + _UP_TO + ") UNION ALL (" + _BEYOND + "$6)) msg ON true"
SELECT_BEFORE = _SEEN_ROOM + _PLAIN + _BEFORE + " ORDER BY msg.position DESC"
SELECT_AFTER = _SEEN_ROOM + _PLAIN + _AFTER + " ORDER BY msg.position"
SELECT_AROUND = _SEEN_ROOM + _PLAIN + _AROUND + " ORDER BY msg.position"
SELECT_BEFORE_HTML = (
    _SEEN_ROOM + _HTML + "msg.position DESC" + _OF_SEEN + _BEFORE + _JOIN_HTML + " ORDER BY position DESC"
)
SELECT_AFTER_HTML = _SEEN_ROOM + _HTML + "msg.position" + _OF_SEEN + _AFTER + _JOIN_HTML + " ORDER BY position"
SELECT_AROUND_HTML = (
    _SEEN_ROOM + _HTML + "abs(msg.position - $4), msg.position" + _OF_SEEN + _AROUND + _JOIN_HTML + " ORDER BY position"
)
# Where a message stands is known by its stream, of which its posting is the first event; only system messages, which have no
# stream, are looked up by id here. So no index holds clients' ids, each of which would touch a page of its own.
# What was posted under a system message's id is not found by it.
SELECT_ONE = (
    "SELECT "
    + STANDING
    + ", "
    + _ROW
    + """, h.html
    FROM read.messages msg JOIN read.rooms r ON r.id = msg.room_id
    LEFT JOIN read.room_members m ON m.room_id = r.id AND m.user_id = $1
    LEFT JOIN read.message_html h ON h.position = msg.position AND h.version = msg.version
    WHERE msg.position = coalesce(
        (SELECT position FROM read.messages WHERE id = $2 AND sender_id IS NULL LIMIT 1),
        (SELECT position FROM record.events WHERE stream = $3 AND version = 1)
    ) AND msg.position >= """
    + SINCE
)
SELECT_IS_SYSTEM = "SELECT EXISTS (SELECT FROM read.messages WHERE id = $1 AND sender_id IS NULL)"
SELECT_DELETED = "SELECT position FROM read.messages WHERE position = ANY ($1::bigint[]) AND deleted"
SELECT_SHOWINGS = """
    SELECT file_id, max(position) FROM read.messages
    WHERE room_id = $1 AND file_id = ANY ($2::uuid[]) AND NOT deleted GROUP BY file_id
"""

MESSAGES = Table(
    "read.messages",
    key={"position": "bigint"},
    columns={
        "room_id": "uuid",
        "id": "uuid",
        "sender_id": "uuid",
        "message_type": "text",
        "content": "text",
        "file_id": "uuid",
        "reply_to": "uuid",
        "is_edited": "bool",
        "created_at": "timestamptz",
        "updated_at": "timestamptz",
        "version": "int",
        "deleted": "bool",
        "subject_id": "uuid",
        "subject_by": "uuid",
        "reacted": "bool",
        "pinned": "bool",
        "mentions": "text",
        "mentions_room": "text",
    },
)


Moment = Annotated[datetime, Meta(tz=True)]  # RFC 3339


class MessageView(Struct, frozen=True, omit_defaults=True):
    """A message as the contract shows it. `subjects` stands on system messages only, `html` where it was asked for,
    `file` on those that show one: as it is where messages are read; as it was then in the frame `message.posted`, after
    which the room hears `file.completed` or `file.failed` if it had not ended; and not in other frames. `reactions`, in
    the order of their first, and `pinned` stand where messages are read. `mentions`
    stand there and in `message.posted`: whom the text named when it was posted; of a deleted message nobody."""

    id: MessageId
    room_id: RoomId
    sender_id: UserId | None
    message_type: MessageType
    content: str
    file_id: FileId | None
    reply_to: MessageId | None
    is_edited: bool
    created_at: Moment
    updated_at: Moment
    position: int
    version: int
    deleted: bool
    subjects: list[UserId] | None = None
    file: FileView | None = None
    reactions: list[ReactionView] | None = None
    pinned: bool | None = None
    mentions: list[UserId] | None = None
    mentions_room: MentionsRoom | None = None


class RenderedMessageView(MessageView, frozen=True):
    """With its text as _HTML; null until the rendering has caught up."""

    html: str | None | UnsetType = UNSET


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
) -> tuple[list[MessageView], bool]:
    """Return at most `limit` messages, and whether there may be more: newest first before a position (the end, if none is
    given), oldest first after one, ascending around one. With HTML fewer where they hold more than
    `PAGE_TEXT_BYTES_MAX`. Raises `DomainError` where this person may not."""
    if around is not None:
        sql = SELECT_AROUND_HTML if html else SELECT_AROUND
        args: tuple[int, ...] = (around, limit - limit // 2, limit // 2)
    elif after is not None:
        sql, args = SELECT_AFTER_HTML if html else SELECT_AFTER, (after, limit)
    else:
        sql, args = (
            SELECT_BEFORE_HTML if html else SELECT_BEFORE,
            (POSITION_MAX if before is None else before - 1, limit),
        )
    rows = await db.all(_row, sql, user_id, room_id, standings("message.list"), *args)
    require_standing("message.list", rows[0][0] if rows else None)
    shown = [_view(row, html) for row in rows if row[1] is not None]
    return shown, len(shown) == limit or (html and len(shown) < rows[0][_FOUND])


async def seen(
    db: Db, user_id: UserId, message_id: MessageId, operation: RoomOperation = "message.read", *, html: bool = False
) -> MessageView:
    """Return a message as this person may see it. Raises `DomainError` where they may not, or where there is none."""
    row = await db.one(_row, SELECT_ONE, user_id, message_id, MESSAGE.id(message_id))
    require_standing(operation, None if row is None else row[0])
    assert row is not None, "a message that is not there is refused"
    return _view(row, html)


async def is_system(db: Db, message_id: MessageId) -> bool:
    """Return whether a system message has this id."""
    return bool(await db.value(SELECT_IS_SYSTEM, message_id))


async def with_files(db: Db, found: Sequence[MessageView]) -> list[MessageView]:
    """Return these messages, each that shows a file with it; asked only where there is one."""
    wanted = [message.file_id for message in found if message.file_id is not None and not message.deleted]
    views = await files.shown(db, wanted) if wanted else {}
    return [
        message if message.deleted or message.file_id not in views else replace(message, file=views[message.file_id])
        for message in found
    ]


async def deleted_among(db: Db, positions: Collection[int]) -> set[int]:
    """Return which of these postings are tombstones by now."""
    return set(await db.all(int, SELECT_DELETED, list(positions))) if positions else set()


async def showings(db: Db, room_id: RoomId, file_ids: Collection[FileId]) -> dict[FileId, int]:
    """Return the position of the latest message that shows each file in a room, where one does that is not deleted."""
    return dict(await db.all(_row, SELECT_SHOWINGS, room_id, list(file_ids))) if file_ids else {}


def posted_view(recorded: Recorded[MessagePosted]) -> MessageView:
    e = recorded.event
    return MessageView(
        e.message_id, e.room_id, e.sender_id, e.message_type, e.content, e.file_id, e.reply_to, False,
        recorded.at, recorded.at, recorded.position, recorded.version, False, None, _shown(e), None, None, list(e.mentions),
        e.mentions_room,
    )  # fmt: skip


def edited_view(recorded: Recorded[MessageEdited]) -> MessageView:
    e = recorded.event
    return MessageView(
        e.message_id, e.room_id, e.sender_id, e.message_type, e.content, e.file_id, e.reply_to, True,
        e.posted_at, recorded.at, e.posted_position, recorded.version, False,
    )  # fmt: skip


def deleted_view(recorded: Recorded[MessageDeleted]) -> MessageView:
    e = recorded.event
    return MessageView(
        e.message_id, e.room_id, e.sender_id, e.message_type, "", None, e.reply_to, e.is_edited,
        e.posted_at, recorded.at, e.posted_position, recorded.version, True,
    )  # fmt: skip


def view_of(recorded: Recorded[Any]) -> MessageView:
    """Return the message as it is after this event of it."""
    match recorded.event:
        case MessagePosted():
            return posted_view(recorded)
        case MessageEdited():
            return edited_view(recorded)
        case MessageDeleted():
            return deleted_view(recorded)
    raise AssertionError(f"{recorded.event.topic} is no event of a message")


def tombstone(view: MessageView) -> MessageView:
    """Return what may be told of a message since deleted: everything but its text and its file."""
    return replace(view, content="", deleted=True, file_id=None, file=None, mentions=None, mentions_room=None)


def _shown(e: MessagePosted) -> FileView | None:
    """Return the file that a post shows, as it stood then; None where there is none, or where it is erased."""
    return None if e.file is None or e.file_id is None else files.shown_view(e.file_id, e.sender_id, e.file)


def subjects_of(event: Event) -> tuple[UserId, UserId | None] | None:
    """Return whom a system message is about, and who did it where that is somebody else; None: it makes none."""
    match event:
        case MemberJoined() if event.is_direct or (event.role == "owner" and event.by == event.user_id):
            return None  # who opened the room, or for whom it was opened
        case MemberLeft():
            return event.user_id, None
        case MemberJoined() | MemberRemoved() | MemberRoleChanged():
            return event.user_id, event.by if event.by != event.user_id else None
        case RoomChanged() | RoomArchived():
            return event.by, None
    return None


def posted(recorded: Recorded[MessagePosted]) -> Iterable[Change]:
    e = recorded.event
    yield MESSAGES.new(
        recorded.position, room_id=e.room_id, id=e.message_id, sender_id=e.sender_id, message_type=e.message_type,
        content=e.content, file_id=e.file_id, reply_to=e.reply_to, is_edited=False, created_at=recorded.at,
        updated_at=recorded.at, version=recorded.version, deleted=False, mentions=" ".join(map(str, e.mentions)) or None,
        mentions_room=e.mentions_room,
    )  # fmt: skip


def edited(recorded: Recorded[MessageEdited]) -> Iterable[Change]:
    e = recorded.event
    yield MESSAGES.set(
        e.posted_position, content=e.content, is_edited=True, updated_at=recorded.at, version=recorded.version
    )


def deleted(recorded: Recorded[MessageDeleted]) -> Iterable[Change]:
    yield MESSAGES.set(
        recorded.event.posted_position, content="", deleted=True, updated_at=recorded.at, version=recorded.version
    )


def heard(recorded: Recorded[Any]) -> Iterable[Change]:
    subjects = subjects_of(recorded.event)
    if subjects is not None:
        yield MESSAGES.new(
            recorded.position, room_id=recorded.event.room_id, id=system_message_id(recorded.position), sender_id=None,
            message_type="system", content=recorded.event.topic, is_edited=False, created_at=recorded.at, updated_at=recorded.at,
            version=1, deleted=False, subject_id=subjects[0], subject_by=subjects[1],
        )  # fmt: skip


def _row(*columns: Any) -> tuple[Any, ...]:
    return columns


def reacted(recorded: Recorded[ReactionAdded]) -> Iterable[Change]:
    yield MESSAGES.set(recorded.event.posted_position, reacted=True)


def pinned(recorded: Recorded[MessagePinned]) -> Iterable[Change]:
    yield MESSAGES.set(recorded.event.posted_position, pinned=True)


def unpinned(recorded: Recorded[MessageUnpinned]) -> Iterable[Change]:
    yield MESSAGES.set(recorded.event.posted_position, pinned=False)


def _view(row: tuple[Any, ...], html: bool) -> MessageView:
    """Return a row's message; its reactions are None where there is something to look up."""
    subject, by = row[14], row[15]
    reactions: list[ReactionView] | None = None if row[16] and not row[13] else []
    subjects = None if subject is None else [subject] if by is None else [subject, by]
    named = [] if row[18] is None or row[13] else [UserId(UUID(each)) for each in row[18].split()]
    more = (None, reactions, bool(row[17]), named, None if row[13] else row[19])
    if html:
        return RenderedMessageView(*(*row[1:14], subjects, *more, row[20]))
    return MessageView(*(*row[1:14], subjects, *more))


PROJECTION = Projection(
    tables=(MESSAGES,),
    handlers={
        MessagePosted: posted,
        MessageEdited: edited,
        MessageDeleted: deleted,
        MemberJoined: heard,
        MemberLeft: heard,
        MemberRemoved: heard,
        MemberRoleChanged: heard,
        RoomChanged: heard,
        RoomArchived: heard,
        ReactionAdded: reacted,
        MessagePinned: pinned,
        MessageUnpinned: unpinned,
    },
)
