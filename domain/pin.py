"""Pins: which messages of a room are pinned. One stream for each room, so that there are never too many."""

from typing import ClassVar, assert_never

from msgspec import Struct
from msgspec.structs import replace

from domain.bounds import PINS_MAX
from domain.errors import TooManyPinsError
from domain.events import Event, Recorded, Stream
from domain.ids import MessageId, RoomId, UserId
from domain.integers import Int8


class _OfPin(Event, frozen=True):
    """`posted_position` is where the message stands."""

    room_id: RoomId
    message_id: MessageId
    by: UserId
    posted_position: Int8

    def frame_room(self) -> RoomId | None:
        return self.room_id


class MessagePinned(_OfPin, frozen=True):
    topic: ClassVar = "message.pinned"


class MessageUnpinned(_OfPin, frozen=True):
    topic: ClassVar = "message.unpinned"


PinEvent = MessagePinned | MessageUnpinned


class Pins(Struct, frozen=True):
    pinned: frozenset[MessageId]


NONE = Pins(frozenset())


def pin(
    pins: Pins | None, *, room_id: RoomId, message_id: MessageId, posted_position: int, by: UserId
) -> tuple[PinEvent, ...]:
    """Pin a message; one that is pinned stays so."""
    pinned = (pins or NONE).pinned
    if message_id in pinned:
        return ()
    if len(pinned) >= PINS_MAX:
        raise TooManyPinsError
    return (MessagePinned(room_id, message_id, by, posted_position),)


def unpin(
    pins: Pins | None, *, room_id: RoomId, message_id: MessageId, posted_position: int, by: UserId
) -> tuple[PinEvent, ...]:
    """Take a message from the pinned ones; one that is not among them changes nothing."""
    if message_id not in (pins or NONE).pinned:
        return ()
    return (MessageUnpinned(room_id, message_id, by, posted_position),)


def evolve(pins: Pins | None, recorded: Recorded[PinEvent]) -> Pins:
    event, now = recorded.event, pins or NONE
    match event:
        case MessagePinned():
            return replace(now, pinned=now.pinned | {event.message_id})
        case MessageUnpinned():
            return replace(now, pinned=now.pinned - {event.message_id})
        case _:
            assert_never(event)


PINS: Stream[Pins] = Stream("pins", evolve, Pins)
EVENTS: tuple[type[Event], ...] = (MessagePinned, MessageUnpinned)
