"""Threads: what roots show of their replies, and who follows a thread and has read it how far.

Owns `read.threads` and `read.thread_followers`. Both are keyed by the root's posting, and asked only for messages that say that
there is something (`threaded` in `read.messages`). The replies themselves are messages (`projections/thread_pages.py`); unread
ones are counted in their index alone.
"""

from collections.abc import Collection, Iterable
from datetime import datetime
from uuid import UUID

from msgspec import Struct

from domain.events import Recorded
from domain.ids import MessageId, RoomId, UserId
from domain.ports.database import Db
from domain.thread import ThreadFollowed, ThreadRead, ThreadReplied, ThreadReplyDeleted, ThreadUnfollowed
from projections.tables import Change, Projection, Table

THREAD_UNREAD_COUNTED_MAX = 1_000
SELECT_THREADS = """
    SELECT asked.position AS root_position, t.reply_count, t.last_reply_at, t.participants, t.participant_count,
        f.read_position, unread.count AS unread
    FROM unnest($2::bigint[]) asked (position)
    LEFT JOIN read.threads t ON t.root_position = asked.position
    LEFT JOIN (read.thread_followers f JOIN read.room_members m ON m.room_id = f.room_id AND m.user_id = f.user_id)
        ON f.root_position = asked.position AND f.user_id = $1 AND f.following AND m.role IS NOT NULL
    CROSS JOIN LATERAL (
        SELECT count(*) FROM (
            SELECT FROM read.messages new
            WHERE new.root_position IS NOT NULL AND new.sender_id <> $1 AND NOT new.deleted
                AND (new.root_position, new.position) > (asked.position, f.read_position)
                AND (new.root_position, new.position) <= (asked.position, 9223372036854775807)
            ORDER BY new.root_position, new.position LIMIT $3
        ) counted
    ) unread
    WHERE t.root_position IS NOT NULL OR f.root_position IS NOT NULL
"""

THREADS = Table(
    "read.threads",
    key={"root_position": "bigint"},
    columns={
        "reply_count": "int",
        "last_reply_at": "timestamptz",
        "participants": "text",
        "participant_count": "int",
    },
)
FOLLOWERS = Table(
    "read.thread_followers",
    key={"root_position": "bigint", "user_id": "uuid"},
    columns={"room_id": "uuid", "thread_id": "uuid", "following": "bool", "read_position": "bigint"},
)


class ThreadView(Struct, frozen=True, omit_defaults=True):
    """The replies to a root: how many there are, when somebody last replied (even if that was deleted; null if no reply is
    left), and by whom there are some: the first ten, and how many they are.

    `following`, `unread` and `read_position` are the caller's own, where messages are read; the latter two only of who
    follows. `unread`: others' replies since `read_position`, counted up to 1,000.
    """

    reply_count: int
    last_reply_at: datetime | None
    participants: list[UserId]
    participant_count: int
    following: bool | None = None
    unread: int | None = None
    read_position: int | None = None


class ThreadAfter(Struct, frozen=True):
    """A thread after somebody replied, or after a reply was deleted. `message_id` is the reply, `user_id` who wrote it,
    `posted_position` where the root stands, and `thread` what the root shows from then on."""

    room_id: RoomId
    thread_id: MessageId
    message_id: MessageId
    user_id: UserId
    posted_position: int
    thread: ThreadView


class ThreadRow(Struct, frozen=True):
    """A thread, as one person sees it; null where nobody replied, or where that person does not follow it."""

    root_position: int
    reply_count: int | None
    last_reply_at: datetime | None
    participants: str | None
    participant_count: int | None
    read_position: int | None
    unread: int


async def of_roots(db: Db, user_id: UserId, postings: Collection[int]) -> dict[int, ThreadView]:
    """Return the threads of the messages at these positions, as this person sees them. A message is left out if nobody ever
    replied to it and they do not follow it."""
    rows = await db.all(ThreadRow, SELECT_THREADS, user_id, list(postings), THREAD_UNREAD_COUNTED_MAX)
    return {row.root_position: _view(row) for row in rows}


def thread_after(recorded: Recorded[ThreadReplied | ThreadReplyDeleted]) -> ThreadAfter:
    """Return what a room gets of a thread after this event."""
    e = recorded.event
    at = recorded.at if isinstance(e, ThreadReplied) else e.last_reply_at
    thread = ThreadView(e.reply_count, at, list(e.participants), e.participant_count)
    return ThreadAfter(e.room_id, e.thread_id, e.message_id, e.user_id, e.posted_position, thread)


def counted(recorded: Recorded[ThreadReplied | ThreadReplyDeleted]) -> Iterable[Change]:
    view = thread_after(recorded).thread
    yield THREADS.put(
        recorded.event.posted_position, reply_count=view.reply_count, last_reply_at=view.last_reply_at,
        participants=" ".join(map(str, view.participants)) or None, participant_count=view.participant_count,
    )  # fmt: skip


def followed(recorded: Recorded[ThreadFollowed]) -> Iterable[Change]:
    e = recorded.event
    yield FOLLOWERS.put(
        e.posted_position, e.user_id, room_id=e.room_id, thread_id=e.thread_id, following=True, read_position=e.since
    )


def unfollowed(recorded: Recorded[ThreadUnfollowed]) -> Iterable[Change]:
    e = recorded.event
    yield FOLLOWERS.put(
        e.posted_position, e.user_id, room_id=e.room_id, thread_id=e.thread_id, following=False, read_position=0
    )


def read(recorded: Recorded[ThreadRead]) -> Iterable[Change]:
    yield FOLLOWERS.set(recorded.event.posted_position, recorded.event.user_id, read_position=recorded.event.position)


def _view(row: ThreadRow) -> ThreadView:
    is_following = row.read_position is not None
    participants = [UserId(UUID(each)) for each in (row.participants or "").split()]
    return ThreadView(
        row.reply_count or 0, row.last_reply_at, participants, row.participant_count or 0, is_following,
        row.unread if is_following else None, row.read_position,
    )  # fmt: skip


PROJECTION = Projection(
    tables=(THREADS, FOLLOWERS),
    handlers={
        ThreadReplied: counted,
        ThreadReplyDeleted: counted,
        ThreadFollowed: followed,
        ThreadUnfollowed: unfollowed,
        ThreadRead: read,
    },
)
