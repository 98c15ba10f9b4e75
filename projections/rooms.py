"""Rooms: what a room is, how many are in it, when it was last active, and when something was last posted in it.

Owns the table `read.rooms`. `activity` moves with every event of the room, and hubs compare it with what they got;
`last_posted` moves with messages alone, system messages among them, and rooms are listed by it.

In the statements, `$3` and `$4` are rooms, and how far the person has read them if the table does not say so yet. Bounds and
order of what is read of `read.messages` name the room, as in `projections/message_pages.py`. Unread messages are counted in the
index `timeline_of_room` alone (`migrations/0175_threads.sql`), which is without replies that a thread alone shows: they are neither
unread in their room nor its last message. A page chooses its rooms first: a plan that sorts looks at all
rooms that somebody may see, and would count in each of them.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Literal, NamedTuple
from uuid import UUID

from msgspec import Struct

from domain.authorization import require_standing, standings
from domain.events import Recorded
from domain.ids import RoomId, UserId
from domain.membership import MemberJoined, MemberLeft, MemberRemoved, MemberRole, MemberRoleChanged
from domain.message import MessageDeleted, MessageEdited, MessagePosted
from domain.pin import MessagePinned, MessageUnpinned
from domain.ports.database import Db
from domain.reaction import ReactionAdded, ReactionRemoved
from domain.room import History, OwnersChanged, RoomArchived, RoomChanged, RoomOpened
from domain.text import fold
from domain.thread import ThreadReplied, ThreadReplyDeleted
from projections.messages import MessageRow, MessageView, of_message_row, subjects_of
from projections.tables import Change, Projection, Table

UNREAD_COUNTED_MAX = 1_000
NO_MARKS: Mapping[RoomId, int] = {}
FIRST = (2**63 - 1, UUID(int=2**128 - 1))

SELECT_PAGE = """
    SELECT read.standing(r.is_private, r.is_archived, m.role, m.is_banned) AS standing, msg.subject_id, msg.subject_by, msg.reacted, msg.pinned,
        msg.mentions, msg.mentions_room, msg.thread_id, msg.in_room, msg.threaded, r.last_posted,
        r.id, r.name, r.description, r.is_private, r.history, r.owner_id, r.is_archived, r.created_at, r.updated_at, r.version,
        m.role, r.member_count, unread.count AS unread, mark.position AS read_position, r.topic, r.is_direct,
        msg.id, msg.room_id, msg.sender_id, msg.message_type, msg.content,
        CASE WHEN NOT msg.deleted THEN msg.file_id END AS file_id, msg.reply_to, msg.is_edited, msg.created_at,
        msg.updated_at, msg.position, msg.version, msg.deleted
    FROM read.rooms r
    LEFT JOIN read.room_members m ON m.room_id = r.id AND m.user_id = $1
    CROSS JOIN LATERAL (
        SELECT greatest(m.read_position, ($4::bigint[])[array_position($3::uuid[], r.id)]) AS position
    ) mark
    LEFT JOIN LATERAL (
        SELECT * FROM read.messages last
        WHERE (last.room_id, last.position) >= (r.id, read.readable_from(r.history, m.role, m.joined_position))
            AND (last.room_id, last.position) <= (r.id, 9223372036854775807) AND last.in_room IS NOT FALSE
        ORDER BY last.room_id DESC, last.position DESC LIMIT 1
    ) msg ON true
    LEFT JOIN LATERAL (
        SELECT count(*) FROM (
            SELECT FROM read.messages new
            WHERE m.role IS NOT NULL AND new.sender_id <> $1 AND NOT new.deleted AND new.in_room IS NOT FALSE
                AND (new.room_id, new.position) > (r.id, greatest(mark.position, m.joined_position))
                AND (new.room_id, new.position) <= (r.id, 9223372036854775807)
            ORDER BY new.room_id, new.position LIMIT $2
        ) counted
    ) unread ON true
    WHERE r.id = ANY (ARRAY (
        SELECT r.id FROM read.rooms r LEFT JOIN read.room_members m ON m.room_id = r.id AND m.user_id = $1
        WHERE read.standing(r.is_private, r.is_archived, m.role, m.is_banned) = ANY ($11::text[])
            AND ($5 OR NOT r.is_archived) AND (NOT $6 OR m.role IS NOT NULL)
            AND ($7::text IS NULL OR position($7 IN r.name_folded) > 0)
            AND (r.last_posted, r.id) < ($8, $9)
        ORDER BY r.last_posted DESC, r.id DESC LIMIT $10
    ))
    ORDER BY r.last_posted DESC, r.id DESC
"""
SELECT_ONE = """
    SELECT read.standing(r.is_private, r.is_archived, m.role, m.is_banned) AS standing, msg.subject_id, msg.subject_by, msg.reacted, msg.pinned,
        msg.mentions, msg.mentions_room, msg.thread_id, msg.in_room, msg.threaded, r.last_posted,
        r.id, r.name, r.description, r.is_private, r.history, r.owner_id, r.is_archived, r.created_at, r.updated_at, r.version,
        m.role, r.member_count, unread.count AS unread, mark.position AS read_position, r.topic, r.is_direct,
        msg.id, msg.room_id, msg.sender_id, msg.message_type, msg.content,
        CASE WHEN NOT msg.deleted THEN msg.file_id END AS file_id, msg.reply_to, msg.is_edited, msg.created_at,
        msg.updated_at, msg.position, msg.version, msg.deleted
    FROM read.rooms r
    LEFT JOIN read.room_members m ON m.room_id = r.id AND m.user_id = $1
    CROSS JOIN LATERAL (
        SELECT greatest(m.read_position, ($4::bigint[])[array_position($3::uuid[], r.id)]) AS position
    ) mark
    LEFT JOIN LATERAL (
        SELECT * FROM read.messages last
        WHERE (last.room_id, last.position) >= (r.id, read.readable_from(r.history, m.role, m.joined_position))
            AND (last.room_id, last.position) <= (r.id, 9223372036854775807) AND last.in_room IS NOT FALSE
        ORDER BY last.room_id DESC, last.position DESC LIMIT 1
    ) msg ON true
    LEFT JOIN LATERAL (
        SELECT count(*) FROM (
            SELECT FROM read.messages new
            WHERE m.role IS NOT NULL AND new.sender_id <> $1 AND NOT new.deleted AND new.in_room IS NOT FALSE
                AND (new.room_id, new.position) > (r.id, greatest(mark.position, m.joined_position))
                AND (new.room_id, new.position) <= (r.id, 9223372036854775807)
            ORDER BY new.room_id, new.position LIMIT $2
        ) counted
    ) unread ON true
    WHERE r.id = $5
"""
SELECT_ACTIVITY = "SELECT id AS room_id, activity AS position FROM read.rooms WHERE id = ANY ($1::uuid[])"

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
    """A room as one person sees it. Only members have a role, unread messages and a read mark. A direct room has no name,
    and `owner_id` is who opened it.

    `unread`: others' messages since `read_position` or the joining, counted up to 1,000; `mention_count`: those of
    them that mention one, by name or with everybody. Replies that are shown in their thread alone are not among them.
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


class RoomFound(MessageRow, frozen=True):
    """A room, what the person is to it, and the last message that they may read."""

    last_posted: int
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
    role: MemberRole | None
    member_count: int
    unread: int
    read_position: int | None
    topic: str | None
    is_direct: bool | None
    last_message: MessageView | None


class RoomActivity(NamedTuple):
    room_id: RoomId
    position: int


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
    """Return rooms that this person may see, each with its cursor. They are ordered by their last message (`last_message` has
    it), or by their opening if they have none; the newest first.

    With `archived`, archived rooms come too. `joined` returns only the person's own rooms, `q` only those whose name contains
    it, compared as usernames are, without surrounding blanks. `marks`: how far the person has read rooms if the table does
    not say so yet.
    """
    last_posted, room_id = before or FIRST
    in_name = None if q is None else fold(q).strip()
    rows = await db.all(
        RoomFound, SELECT_PAGE, user_id, UNREAD_COUNTED_MAX, list(marks), list(marks.values()), archived, joined, in_name,
        last_posted, room_id, limit, standings("room.list"),
    )  # fmt: skip
    return [(_view(row), (row.last_posted, row.id)) for row in rows]


async def one(db: Db, user_id: UserId, room_id: RoomId, *, marks: Mapping[RoomId, int] = NO_MARKS) -> RoomView:
    """Return a room as this person sees it. Raise `DomainError` if they may not, or if there is none."""
    row = await db.one(RoomFound, SELECT_ONE, user_id, UNREAD_COUNTED_MAX, list(marks), list(marks.values()), room_id)
    require_standing("room.read", None if row is None else row.standing)
    assert row is not None, "a room that is not there is refused"
    return _view(row)


async def activities(db: Db, room_ids: Sequence[RoomId]) -> list[RoomActivity]:
    """Return the position of each room's last event."""
    return await db.all(RoomActivity, SELECT_ACTIVITY, list(room_ids)) if room_ids else []


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
        last_posted=recorded.position, topic=None, is_direct=True if e.direct else None, created_at=recorded.at,
        updated_at=recorded.at, version=recorded.version,
    )  # fmt: skip


def changed(recorded: Recorded[RoomChanged]) -> Iterable[Change]:
    e = recorded.event
    yield ROOMS.set(
        e.room_id, name=e.name, name_folded=fold(e.name), description=e.description or None, is_private=e.is_private,
        history=e.history, topic=e.room_topic, updated_at=recorded.at, version=recorded.version, **_positions(recorded),
    )  # fmt: skip


def archived(recorded: Recorded[RoomArchived]) -> Iterable[Change]:
    e = recorded.event
    yield ROOMS.set(
        e.room_id, is_archived=True, updated_at=recorded.at, version=recorded.version, **_positions(recorded)
    )


def owners_changed(recorded: Recorded[OwnersChanged]) -> Iterable[Change]:
    yield ROOMS.set(recorded.event.room_id, owner_id=recorded.event.owner_ids[0], version=recorded.version)


def joined(recorded: Recorded[MemberJoined]) -> Iterable[Change]:
    yield ROOMS.add(recorded.event.room_id, member_count=1)
    yield ROOMS.set(recorded.event.room_id, **_positions(recorded))


def gone(recorded: Recorded[MemberLeft | MemberRemoved]) -> Iterable[Change]:
    yield ROOMS.add(recorded.event.room_id, member_count=-1)
    yield ROOMS.set(recorded.event.room_id, **_positions(recorded))


def active(recorded: Recorded[Any]) -> Iterable[Change]:
    """Move a room's activity with an event that is no message in it, not even a system message."""
    yield ROOMS.set(recorded.event.room_id, activity=recorded.position)


def posted(recorded: Recorded[MessagePosted]) -> Iterable[Change]:
    """Move a room's activity, and its place in the list with a message that is not in a thread alone."""
    position = recorded.position
    if recorded.event.in_room is False:
        yield ROOMS.set(recorded.event.room_id, activity=position)
    else:
        yield ROOMS.set(recorded.event.room_id, activity=position, last_posted=position)


def role_changed(recorded: Recorded[MemberRoleChanged]) -> Iterable[Change]:
    yield ROOMS.set(recorded.event.room_id, **_positions(recorded))


def _positions(recorded: Recorded[Any]) -> dict[str, int]:
    """Return the columns of a room that an event moves to its position."""
    is_message = subjects_of(recorded.event) is not None
    return {"activity": recorded.position} | ({"last_posted": recorded.position} if is_message else {})


def _view(row: RoomFound) -> RoomView:
    is_member = row.role is not None
    last = None if row.last_message is None else of_message_row(row, row.last_message)
    return RoomView(
        row.id, row.name, row.description, row.is_private, row.history, row.owner_id, row.is_archived, row.created_at,
        row.updated_at, row.version, row.role, row.member_count, last, row.unread if is_member else None,
        row.read_position if is_member else None, row.topic, "direct" if row.is_direct else "room",
    )  # fmt: skip


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
        MemberRoleChanged: role_changed,
        MessagePosted: posted,
        MessageEdited: active,
        MessageDeleted: active,
        MessagePinned: active,
        MessageUnpinned: active,
        ReactionAdded: active,
        ReactionRemoved: active,
        ThreadReplied: active,
        ThreadReplyDeleted: active,
    },
)
