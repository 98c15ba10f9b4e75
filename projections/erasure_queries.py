"""What there is of a person in the read tables, for their erasure. Looked for once, so no index is kept for it: messages are looked
through in windows of positions, each a statement that is soon done.
"""

from collections.abc import AsyncIterator, Sequence
from datetime import datetime

from msgspec import Struct

from domain.ids import FileId, MessageId, RoomId, UserId
from domain.ports.database import Db

WINDOW_POSITIONS = 100_000

SELECT_MESSAGES = """
    SELECT id, room_id, created_at FROM read.messages
    WHERE position > $2 AND position <= $3 AND sender_id = $1 AND NOT deleted ORDER BY position
"""
COUNT_MESSAGES = "SELECT count(*) FROM read.messages WHERE position > $2 AND position <= $3 AND sender_id = $1"
SELECT_FILES = "SELECT id, created_at, original_name = '' AS is_erased FROM read.files WHERE uploader_id = $1"
SELECT_REACTIONS = """
    SELECT r.posted_position, r.emoji, r.at, m.id AS message_id, m.room_id
    FROM read.message_reactions r JOIN read.messages m ON m.position = r.posted_position
    WHERE r.user_id = $1 AND r.given ORDER BY r.posted_position, r.emoji
"""
COUNT_REACTIONS = "SELECT count(*) FROM read.message_reactions WHERE user_id = $1"


class OwnMessage(Struct, frozen=True):
    id: MessageId
    room_id: RoomId
    created_at: datetime


class OwnFile(Struct, frozen=True):
    id: FileId
    created_at: datetime
    is_erased: bool


class OwnReaction(Struct, frozen=True):
    posted_position: int
    emoji: str
    at: datetime
    message_id: MessageId
    room_id: RoomId


async def messages(db: Db, user_id: UserId, until: int) -> AsyncIterator[Sequence[OwnMessage]]:
    """Yield a person's messages up to a position that are not deleted, a window at a time."""
    for after in range(0, until, WINDOW_POSITIONS):
        if found := await db.all(OwnMessage, SELECT_MESSAGES, user_id, after, min(until, after + WINDOW_POSITIONS)):
            yield found


async def message_count(db: Db, user_id: UserId, until: int) -> int:
    """Return how many messages a person sent up to a position, tombstones included."""
    counts = [
        int(await db.value(COUNT_MESSAGES, user_id, after, min(until, after + WINDOW_POSITIONS)))
        for after in range(0, until, WINDOW_POSITIONS)
    ]
    return sum(counts)


async def files(db: Db, user_id: UserId) -> list[OwnFile]:
    return await db.all(OwnFile, SELECT_FILES, user_id)


async def reactions(db: Db, user_id: UserId) -> list[OwnReaction]:
    """Return the reactions that a person gave and did not take back."""
    return await db.all(OwnReaction, SELECT_REACTIONS, user_id)


async def reaction_count(db: Db, user_id: UserId) -> int:
    """Return to how many messages a person ever gave an emoji, each emoji counted."""
    return int(await db.value(COUNT_REACTIONS, user_id))
