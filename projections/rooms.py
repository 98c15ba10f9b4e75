"""Rooms: what a room is, how many are in it, when it last heard of anything, and when something was last posted in it.

Owns the table `read.rooms`. `activity` moves with every event of the room, and hubs compare it with what they heard;
`last_posted` with messages alone, system messages among them, and rooms are listed by it.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from msgspec import Struct

from domain.events import Recorded
from domain.ids import RoomId, UserId
from domain.membership import MemberJoined, MemberLeft, MemberRemoved, MemberRole, MemberRoleChanged
from domain.message import MessageDeleted, MessageEdited, MessagePosted
from domain.pin import MessagePinned, MessageUnpinned
from domain.ports.database import Db
from domain.reaction import ReactionAdded, ReactionRemoved
from domain.rights import require_standing, standings
from domain.room import History, OwnersChanged, RoomArchived, RoomChanged, RoomOpened
from domain.text import fold
from projections.messages import POSITION_MAX, MessageView, subjects_of
from projections.relationship import SINCE, STANDING
from projections.tables import Change, Projection, Table

UNREAD_COUNTED_MAX = 1_000

# Of messages as in `projections/messages.py`: bounds and order name the room. $3 and $4: rooms, and how far this person has
# read them where the record may not say so yet. What is counted stands in the index `messages_of_room`
# (migrations/0070_unread.sql), so that no message is read for it.
_COLUMNS = (
    """
    SELECT r.id, r.name, r.description, r.is_private, r.history, r.owner_id, r.is_archived, r.created_at, r.updated_at,
        r.version, m.role, r.member_count, mark.position, unread.count, r.last_posted, """
    + STANDING
    + """,
        msg.id, msg.room_id, msg.sender_id, msg.message_type, msg.content,
        CASE WHEN NOT msg.deleted THEN msg.file_id END, msg.reply_to, msg.is_edited,
        msg.created_at, msg.updated_at, msg.position, msg.version, msg.deleted, msg.subject_id, msg.subject_by, r.topic,
        r.is_direct
    FROM read.rooms r
    LEFT JOIN read.room_members m ON m.room_id = r.id AND m.user_id = $1
    CROSS JOIN LATERAL (
        SELECT greatest(m.read_position, ($4::bigint[])[array_position($3::uuid[], r.id)]) AS position
    ) mark
    LEFT JOIN LATERAL (
        SELECT * FROM read.messages last WHERE (last.room_id, last.position) >= (r.id, """
    + SINCE
    + f""") AND (last.room_id, last.position) <= (r.id, {POSITION_MAX})
        ORDER BY last.room_id DESC, last.position DESC LIMIT 1
    ) msg ON true
    LEFT JOIN LATERAL (
        SELECT count(*) FROM (
            SELECT FROM read.messages new
            WHERE m.role IS NOT NULL AND new.sender_id <> $1 AND NOT new.deleted
                AND (new.room_id, new.position) > (r.id, greatest(mark.position, m.joined_position))
                AND (new.room_id, new.position) <= (r.id, {POSITION_MAX})
            ORDER BY new.room_id, new.position LIMIT $2
        ) counted
    ) unread ON true
"""
)
# Rooms are chosen first: a plan that sorts looks at all that somebody may see, and would count in each of them.
SELECT_PAGE = (
    _COLUMNS
    + """ WHERE r.id = ANY (ARRAY (
        SELECT r.id FROM read.rooms r LEFT JOIN read.room_members m ON m.room_id = r.id AND m.user_id = $1 WHERE """
    + STANDING
    + """ = ANY ($11::text[])
        AND ($5 OR NOT r.is_archived) AND (NOT $6 OR m.role IS NOT NULL)
        AND ($7::text IS NULL OR position($7 IN r.name_folded) > 0)
        AND (r.last_posted, r.id) < ($8, $9)
        ORDER BY r.last_posted DESC, r.id DESC LIMIT $10
    )) ORDER BY r.last_posted DESC, r.id DESC
"""
)
SELECT_ONE = _COLUMNS + " WHERE r.id = $5"
SELECT_ACTIVITY = "SELECT id, activity FROM read.rooms WHERE id = ANY ($1::uuid[])"
NO_MARKS: Mapping[RoomId, int] = {}
FIRST = (2**63 - 1, UUID(int=2**128 - 1))

ROOMS = Table(
    "read.rooms",
    key={"id": "uuid"},
    columns={
        "name": "text",
        "name_folded": "text",
        "description": "text",
        "is_private": "bool",
        "history": "text",
        "owner_id": "uuid",
        "is_archived": "bool",
        "member_count": "int",
        "activity": "bigint",
        "last_posted": "bigint",
        "created_at": "timestamptz",
        "updated_at": "timestamptz",
        "version": "int",
        "topic": "text",
        "is_direct": "bool",
    },
)


class RoomView(Struct, frozen=True):
    """A room as one person sees it; a direct one has no name, and `owner_id` is who opened it. Who is no member has no role, and neither unread messages nor a place.

    `unread`: others' messages since `read_position` or the joining, counted up to 1,000; `mention_count`: those of
    them that mention one, by name or with everybody.
    """

    id: RoomId
    name: str
    description: str | None
    is_private: bool
    history: History
    owner_id: UserId
    is_archived: bool
    created_at: datetime
    updated_at: datetime
    version: int
    my_role: MemberRole | None
    member_count: int
    last_message: MessageView | None
    unread: int | None
    read_position: int | None
    topic: str | None = None
    kind: Literal["room", "direct"] = "room"
    mention_count: int | None = None


async def page(
    db: Db,
    user_id: UserId,
    *,
    q: str | None = None,
    joined: bool = False,
    archived: bool = False,
    before: tuple[int, UUID] | None = None,
    limit: int,
    marks: Mapping[RoomId, int] = NO_MARKS,
) -> list[tuple[RoomView, tuple[int, UUID]]]:
    """Return rooms that this person may see, each with its cursor; that of the last message posted first, as
    `last_message` shows it, or of the last opening where a room has none.

    `archived` has archived ones come too, `q` only those whose name contains it, compared as usernames are, and without
    blanks around it; `joined` only one's own. `marks`: how far the person has read rooms where the table may not say so yet.
    """
    place, room_id = before or FIRST
    sought = None if q is None else fold(q).strip()
    args = (archived, joined, sought, place, room_id, limit, standings("room.list"))
    rows = await db.all(_row, SELECT_PAGE, user_id, UNREAD_COUNTED_MAX, *_columns(marks), *args)
    return [(_view(row), (row[14], row[0])) for row in rows]


async def seen(db: Db, user_id: UserId, room_id: RoomId, *, marks: Mapping[RoomId, int] = NO_MARKS) -> RoomView:
    """Return a room as this person sees it. Raises `DomainError` where they may not, or where there is none."""
    row = await db.one(_row, SELECT_ONE, user_id, UNREAD_COUNTED_MAX, *_columns(marks), room_id)
    require_standing("room.read", None if row is None else row[15])
    assert row is not None, "a room that is not there is refused"
    return _view(row)


async def activities(db: Db, room_ids: Sequence[RoomId]) -> list[tuple[RoomId, int]]:
    """Return the position of the last event that each room heard."""
    return await db.all(_row, SELECT_ACTIVITY, list(room_ids)) if room_ids else []


def opened_view(recorded: Recorded[RoomOpened]) -> RoomView:
    """Return the room as its opener sees it at that moment."""
    e = recorded.event
    return RoomView(
        e.room_id, e.name, e.description, e.is_private, e.history, e.owner_id, False, recorded.at, recorded.at, recorded.version,
        "member" if e.direct else "owner", len(e.direct) or 1, None, 0, 0, None, "direct" if e.direct else "room",
        0,
    )  # fmt: skip


def opened(recorded: Recorded[RoomOpened]) -> Iterable[Change]:
    e = recorded.event
    yield ROOMS.new(
        e.room_id, name=e.name, name_folded=fold(e.name), description=e.description, is_private=e.is_private,
        history=e.history, owner_id=e.owner_id, is_archived=False, member_count=0, activity=recorded.position,
        last_posted=recorded.position, topic=None, is_direct=True if e.direct else None, created_at=recorded.at, updated_at=recorded.at, version=recorded.version,
    )  # fmt: skip


def changed(recorded: Recorded[RoomChanged]) -> Iterable[Change]:
    e = recorded.event
    yield ROOMS.set(
        e.room_id, name=e.name, name_folded=fold(e.name), description=e.description or None, is_private=e.is_private,
        history=e.history, topic=e.room_topic, updated_at=recorded.at, version=recorded.version, **_places(recorded),
    )  # fmt: skip


def archived(recorded: Recorded[RoomArchived]) -> Iterable[Change]:
    yield ROOMS.set(
        recorded.event.room_id, is_archived=True, updated_at=recorded.at, version=recorded.version, **_places(recorded)
    )


def owners_changed(recorded: Recorded[OwnersChanged]) -> Iterable[Change]:
    yield ROOMS.set(recorded.event.room_id, owner_id=recorded.event.owner_ids[0], version=recorded.version)


def joined(recorded: Recorded[MemberJoined]) -> Iterable[Change]:
    yield ROOMS.add(recorded.event.room_id, member_count=1)
    yield ROOMS.set(recorded.event.room_id, **_places(recorded))


def gone(recorded: Recorded[MemberLeft | MemberRemoved]) -> Iterable[Change]:
    yield ROOMS.add(recorded.event.room_id, member_count=-1)
    yield ROOMS.set(recorded.event.room_id, **_places(recorded))


def active(recorded: Recorded[Any]) -> Iterable[Change]:
    yield ROOMS.set(recorded.event.room_id, **_places(recorded))


def _places(recorded: Recorded[Any]) -> dict[str, int]:
    """Return what an event says of when its room was active, and of when something was posted in it."""
    is_message = isinstance(recorded.event, MessagePosted) or subjects_of(recorded.event) is not None
    return {"activity": recorded.position} | ({"last_posted": recorded.position} if is_message else {})


def _row(*columns: Any) -> tuple[Any, ...]:
    return columns


def _columns(marks: Mapping[RoomId, int]) -> tuple[list[RoomId], list[int]]:
    return list(marks), list(marks.values())


def _view(row: tuple[Any, ...]) -> RoomView:
    is_member = row[10] is not None
    counts = (row[13], row[12]) if is_member else (None, None)
    return RoomView(*(*row[:12], _last_message(row[16:31]), *counts, row[31], "direct" if row[32] else "room"))


def _last_message(row: tuple[Any, ...]) -> MessageView | None:
    if row[0] is None:
        return None
    subject, by = row[13], row[14]
    subjects = None if subject is None else [subject] if by is None else [subject, by]
    return MessageView(*(*row[:13], subjects))


PROJECTION = Projection(
    tables=(ROOMS,),
    handlers={
        RoomOpened: opened,
        RoomChanged: changed,
        RoomArchived: archived,
        OwnersChanged: owners_changed,
        MemberJoined: joined,
        MemberLeft: gone,
        MemberRemoved: gone,
        MemberRoleChanged: active,
        MessagePosted: active,
        MessageEdited: active,
        MessageDeleted: active,
        MessagePinned: active,
        MessageUnpinned: active,
        ReactionAdded: active,
        ReactionRemoved: active,
    },
)
