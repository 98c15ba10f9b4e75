"""What hung on messages at any position: reactions and pins, and when messages were deleted.

Owns `read.past_reactions`, `read.past_pins` and `read.past_deletions`. A row says what became so at a position. The text of a
message is not here: its row says it if nothing happened to it since, and its stream says it otherwise
(`projections/past_message_queries.py`).
"""

from collections.abc import Iterable

from domain.events import Recorded
from domain.message import MessageDeleted
from domain.pin import MessagePinned, MessageUnpinned
from domain.reaction import ReactionAdded, ReactionRemoved
from projections.tables import Change, Projection, Table

REACTIONS = Table(
    "read.past_reactions",
    key={"posted_position": "bigint", "emoji": "text", "position": "bigint"},
    columns={"user_id": "uuid", "given": "bool", "count": "int"},
)
PINS = Table("read.past_pins", key={"posted_position": "bigint", "position": "bigint"}, columns={"pinned": "bool"})
DELETIONS = Table("read.past_deletions", key={"posted_position": "bigint"}, columns={"position": "bigint"})


def added(recorded: Recorded[ReactionAdded]) -> Iterable[Change]:
    e = recorded.event
    yield REACTIONS.new(e.posted_position, e.emoji, recorded.position, user_id=e.user_id, given=True, count=e.count)


def removed(recorded: Recorded[ReactionRemoved]) -> Iterable[Change]:
    e = recorded.event
    yield REACTIONS.new(e.posted_position, e.emoji, recorded.position, user_id=e.user_id, given=False, count=e.count)


def pinned(recorded: Recorded[MessagePinned]) -> Iterable[Change]:
    yield PINS.new(recorded.event.posted_position, recorded.position, pinned=True)


def unpinned(recorded: Recorded[MessageUnpinned]) -> Iterable[Change]:
    yield PINS.new(recorded.event.posted_position, recorded.position, pinned=False)


def deleted(recorded: Recorded[MessageDeleted]) -> Iterable[Change]:
    yield DELETIONS.new(recorded.event.posted_position, position=recorded.position)


PROJECTION = Projection(
    tables=(REACTIONS, PINS, DELETIONS),
    handlers={
        ReactionAdded: added,
        ReactionRemoved: removed,
        MessagePinned: pinned,
        MessageUnpinned: unpinned,
        MessageDeleted: deleted,
    },
)
