"""Reactions: who gave which emoji to a message. One stream for each message, so that a count is part of its event.

An emoji is not sealed: it is a sign of a public list, given by an id to an id (docs/decisions/0120).
"""

from typing import ClassVar, assert_never

from msgspec import Struct
from msgspec.structs import replace

from domain.bounds import REACTION_EMOJIS_MAX, REACTIONS_OF_PERSON_MAX
from domain.emojis import emoji_of
from domain.errors import TooManyReactionsError
from domain.events import Event, Recorded, Stream
from domain.ids import MessageId, RoomId, UserId
from domain.integers import Int4, Int8


class _OfReaction(Event, frozen=True):
    """`count` is how many give this emoji after the event, `posted_position` where the message stands."""

    room_id: RoomId
    message_id: MessageId
    user_id: UserId
    emoji: str
    count: Int4
    posted_position: Int8

    def frame_room(self) -> RoomId | None:
        return self.room_id


class ReactionAdded(_OfReaction, frozen=True):
    topic: ClassVar = "reaction.added"


class ReactionRemoved(_OfReaction, frozen=True):
    topic: ClassVar = "reaction.removed"


ReactionEvent = ReactionAdded | ReactionRemoved


class Reactions(Struct, frozen=True):
    """All reactions to one message: pairs of an emoji and who gave it."""

    given: frozenset[tuple[str, UserId]]

    def count(self, emoji: str) -> int:
        return sum(each == emoji for each, _ in self.given)


NONE = Reactions(frozenset())


def add(
    reactions: Reactions | None, *, room_id: RoomId, message_id: MessageId, posted_position: int, by: UserId, emoji: str
) -> tuple[ReactionEvent, ...]:
    """Give an emoji; the same one of the same person again changes nothing."""
    emoji, now = emoji_of(emoji), reactions or NONE
    if (emoji, by) in now.given:
        return ()
    emojis = {each for each, _ in now.given}
    if sum(who == by for _, who in now.given) >= REACTIONS_OF_PERSON_MAX or (
        emoji not in emojis and len(emojis) >= REACTION_EMOJIS_MAX
    ):
        raise TooManyReactionsError
    return (ReactionAdded(room_id, message_id, by, emoji, now.count(emoji) + 1, posted_position),)


def remove(
    reactions: Reactions | None, *, room_id: RoomId, message_id: MessageId, posted_position: int, by: UserId, emoji: str
) -> tuple[ReactionEvent, ...]:
    """Take one's emoji back; one that was not given changes nothing."""
    emoji, now = emoji_of(emoji), reactions or NONE
    if (emoji, by) not in now.given:
        return ()
    return (ReactionRemoved(room_id, message_id, by, emoji, now.count(emoji) - 1, posted_position),)


def evolve(reactions: Reactions | None, recorded: Recorded[ReactionEvent]) -> Reactions:
    event, now = recorded.event, reactions or NONE
    one = frozenset({(event.emoji, event.user_id)})
    match event:
        case ReactionAdded():
            return replace(now, given=now.given | one)
        case ReactionRemoved():
            return replace(now, given=now.given - one)
        case _:
            assert_never(event)


REACTIONS: Stream[Reactions] = Stream("reactions", evolve, Reactions)
EVENTS: tuple[type[Event], ...] = (ReactionAdded, ReactionRemoved)
