"""What read tables say of threads, page by page, for the comparison with what the record says (`workers/count_comparison.py`)."""

from collections.abc import AsyncIterator
from datetime import datetime
from uuid import UUID

from msgspec import Struct

from domain.ports.database import Db
from workers.counting_threads import UNREAD_MAX, FollowerCounts, ThreadCounts

PAGE_ROWS = 5_000
NOBODY = UUID(int=0)
SELECT_THREADS = """
    SELECT t.root_position, t.reply_count, t.last_reply_at, t.participants, t.participant_count, (
        SELECT count(*) FROM read.messages reply
        WHERE reply.root_position IS NOT NULL AND reply.root_position = t.root_position AND NOT reply.deleted
    ) AS replies
    FROM read.threads t WHERE t.root_position > $1 ORDER BY t.root_position LIMIT $2
"""
SELECT_FOLLOWERS = """
    SELECT f.root_position, f.user_id, f.following, f.read_position, (
        SELECT count(*) FROM (
            SELECT FROM read.messages new
            WHERE f.following AND m.role IS NOT NULL AND new.root_position IS NOT NULL AND new.sender_id <> f.user_id
                AND NOT new.deleted AND (new.root_position, new.position) > (f.root_position, f.read_position)
                AND (new.root_position, new.position) <= (f.root_position, 9223372036854775807)
            ORDER BY new.root_position, new.position LIMIT $4
        ) counted
    ) AS unread, coalesce(root.threaded, false) AS threaded
    FROM read.thread_followers f
    LEFT JOIN read.room_members m ON m.room_id = f.room_id AND m.user_id = f.user_id
    LEFT JOIN read.messages root ON root.position = f.root_position
    WHERE (f.root_position, f.user_id) > ($1, $2) ORDER BY f.root_position, f.user_id LIMIT $3
"""


class ThreadServed(Struct, frozen=True):
    root_position: int
    reply_count: int
    last_reply_at: datetime | None
    participants: str | None
    participant_count: int
    replies: int


class FollowerServed(Struct, frozen=True):
    root_position: int
    user_id: UUID
    following: bool
    read_position: int
    unread: int
    threaded: bool


async def threads(db: Db) -> AsyncIterator[tuple[tuple[int], ThreadCounts]]:
    """Yield the rows of threads in the order of their key."""
    after = 0
    while page := await db.all(ThreadServed, SELECT_THREADS, after, PAGE_ROWS):
        for row in page:
            counts = (row.reply_count, row.last_reply_at, row.participants, row.participant_count, row.replies)
            yield (row.root_position,), ThreadCounts(*counts)
        after = page[-1].root_position


async def followers(db: Db) -> AsyncIterator[tuple[tuple[int, UUID], FollowerCounts]]:
    """Yield the rows of those who follow a thread or took that back, in the order of their key."""
    after = (0, NOBODY)
    while page := await db.all(FollowerServed, SELECT_FOLLOWERS, *after, PAGE_ROWS, UNREAD_MAX):
        for row in page:
            counts = FollowerCounts(row.following, row.read_position, row.unread, row.threaded)
            yield (row.root_position, row.user_id), counts
        after = (page[-1].root_position, page[-1].user_id)
