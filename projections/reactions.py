"""Reactions: who gave which emoji to a message, and how many of each there are.

Owns `read.message_reactions` and `read.reaction_counts`. Both are keyed by the posting's position, and asked only for
messages that say that there is something (`reacted` in `read.messages`): pages without reactions cost nothing.
"""

from collections.abc import Collection, Iterable
from datetime import datetime

from msgspec import Struct

from domain.events import Recorded
from domain.ids import UserId
from domain.ports.database import Db
from domain.reaction import ReactionAdded, ReactionRemoved
from projections.tables import Change, Projection, Table

SELECT_COUNTS = """
    SELECT c.posted_position, c.emoji, c.count, EXISTS (
        SELECT FROM read.message_reactions r
        WHERE r.posted_position = c.posted_position AND r.emoji = c.emoji AND r.user_id = $1 AND r.given
    ) AS me
    FROM read.reaction_counts c WHERE c.posted_position = ANY ($2::bigint[]) AND c.count > 0
    ORDER BY c.posted_position, c.first_position
"""
SELECT_PAGE = """
    SELECT r.emoji, r.user_id, r.at, r.position FROM read.message_reactions r
    WHERE r.posted_position = $1 AND r.position > $2 AND r.given ORDER BY r.position LIMIT $3
"""

REACTIONS = Table(
    "read.message_reactions",
    key={"posted_position": "bigint", "emoji": "text", "user_id": "uuid"},
    columns={"position": "bigint", "at": "timestamptz", "given": "bool"},
)
COUNTS = Table(
    "read.reaction_counts",
    key={"posted_position": "bigint", "emoji": "text"},
    columns={"count": "int", "first_position": "bigint"},
    kept=("first_position",),
)


class ReactionView(Struct, frozen=True):
    """How many gave an emoji, and whether the caller did."""

    emoji: str
    count: int
    me: bool


class ReactorView(Struct, frozen=True):
    """Who gave an emoji, and when; `position` is that of the event."""

    emoji: str
    user_id: UserId
    at: datetime
    position: int


class MessageReaction(Struct, frozen=True):
    """One emoji of one message."""

    posted_position: int
    emoji: str
    count: int
    me: bool


async def counted(db: Db, user_id: UserId, postings: Collection[int]) -> dict[int, list[ReactionView]]:
    """Return the reactions to the messages at these positions, as this person sees them, in the order of their first."""
    found: dict[int, list[ReactionView]] = {position: [] for position in postings}
    for row in await db.all(MessageReaction, SELECT_COUNTS, user_id, list(postings)):
        found[row.posted_position].append(ReactionView(row.emoji, row.count, row.me))
    return found


async def page(db: Db, posting: int, *, after: int, limit: int) -> list[ReactorView]:
    """Return who gave what to the message at a position, the first first."""
    return await db.all(ReactorView, SELECT_PAGE, posting, after, limit)


def added(recorded: Recorded[ReactionAdded]) -> Iterable[Change]:
    e = recorded.event
    yield REACTIONS.put(e.posted_position, e.emoji, e.user_id, position=recorded.position, at=recorded.at, given=True)
    yield COUNTS.put(e.posted_position, e.emoji, count=e.count, first_position=recorded.position)
    if e.count == 1:  # the first of its kind, perhaps again
        yield COUNTS.set(e.posted_position, e.emoji, first_position=recorded.position)


def removed(recorded: Recorded[ReactionRemoved]) -> Iterable[Change]:
    e = recorded.event
    yield REACTIONS.set(e.posted_position, e.emoji, e.user_id, given=False)
    yield COUNTS.set(e.posted_position, e.emoji, count=e.count)


PROJECTION = Projection(tables=(REACTIONS, COUNTS), handlers={ReactionAdded: added, ReactionRemoved: removed})
