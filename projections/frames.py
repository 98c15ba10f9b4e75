"""Frames: what sockets are told of an event. A frame is a function of the record: same event, same bytes.

`TELLS_ROOM` and `TELLS_OWN` say which events are told, and what of each: one type of `data` per event, the whole
after-image. They encode the bytes and make the AsyncAPI document, so a new event that is told is a line here. A room's frame names `prev`, the position of the event that the room heard before. The control lane carries what single
people or all gateways hear: sessions that ended, accounts shut, and everybody's own feed (`room_id` and `prev` null).

Of an event that cannot be told (it cannot be read, this version does not know it, its frame cannot be made) a room hears
`event.skipped` with no data: every event that a room hears has a frame, so `prev` stays a function of the record, and
nobody takes it for a gap that asking again could close. To single people it is not told.
"""

from collections.abc import Callable
from typing import Any, ClassVar, Literal, NamedTuple

import msgspec
import structlog
from msgspec import Struct

from domain.account import AccountActivated, AccountDeactivated, ProfileChanged
from domain.events import Event, Recorded, UnknownEvent
from domain.file import FileCompleted, FileFailed
from domain.ids import RoomId, SessionId, UserId
from domain.membership import MemberJoined, MemberLeft, MemberRemoved, MemberRoleChanged
from domain.message import MessageDeleted, MessageEdited, MessagePosted
from domain.pin import MessagePinned, MessageUnpinned
from domain.reaction import ReactionAdded, ReactionRemoved
from domain.reading import ReadMarked
from domain.room import History, RoomArchived, RoomChanged, RoomOpened
from domain.session import SessionEnded
from projections.files import FileView, blank_view, completed_view, failed_view
from projections.messages import MessageView, Moment, deleted_view, edited_view, posted_view, tombstone, view_of

log = structlog.get_logger()

SKIPPED_MARK = b'"event":"event.skipped"'


class EventSkipped(Event, frozen=True):
    """Stands in a frame for an event that cannot be told. No event of the record."""

    topic: ClassVar = "event.skipped"

    room_id: RoomId

    def frame_room(self) -> RoomId | None:
        return self.room_id


class Nothing(Struct, frozen=True):
    """What is told of an event that cannot be told."""


class RoomEvent(Struct, frozen=True, tag_field="type", tag="event"):
    """What happened in a room. Who holds `prev`, the room's event before it, has missed nothing."""

    event: str
    position: int
    prev: int
    room_id: RoomId
    at: Moment
    actor_id: UserId | None
    data: Any


class OwnEvent(Struct, frozen=True, tag_field="type", tag="event"):
    """What happened to the caller, told to all their sockets; not replayed."""

    event: str
    position: int
    prev: None
    room_id: None
    at: Moment
    actor_id: UserId | None
    data: Any


class RoomAfter(Struct, frozen=True):
    """A room after the event; `by` is who did it."""

    id: RoomId
    name: str
    description: str | None
    is_private: bool
    history: History
    is_archived: bool
    by: UserId
    topic: str | None = None
    kind: Literal["room", "direct"] = "room"


class Telling(NamedTuple):
    """What is told of an event: the type of its frame's `data`, and how that is made of the recorded event."""

    kind: type[Struct]
    of: Callable[[Recorded[Any]], Struct]


class Glance(NamedTuple):
    """What fanning a frame out depends on: `posted`, the posting that it tells of, where that was asked and may be older
    than the frame, and `history`, the room's after it, where that may have changed."""

    topic: bytes
    posted: int | None = None
    history: History | None = None


class _Data(Struct):
    """`posted_position` stands where the frame is no message, but tells of one."""

    position: int = 0
    posted_position: int | None = None
    history: History = "shared"


class _Glanced(Struct):
    data: _Data


class Own(Struct, frozen=True):
    """A frame for all sockets of one person."""

    user_id: UserId
    frame: str


class Control(Struct, frozen=True, omit_defaults=True):
    """An entry of the control lane, read by every gateway."""

    position: int
    session_ended: SessionId | None = None
    deactivated: UserId | None = None
    activated: UserId | None = None
    own: list[Own] = []


DELETION, LEAVING = (kind.topic.encode() for kind in (MessageDeleted, MemberLeft))
_CHANGE = RoomChanged.topic.encode()
_LATER = (
    DELETION,
    *(k.topic.encode() for k in (MessageEdited, ReactionAdded, ReactionRemoved, MessagePinned, MessageUnpinned)),
)
_HEAD = b'{"type":"event","event":"'
_FILE_HEADS = tuple(_HEAD + kind.topic.encode() + b'"' for kind in (FileCompleted, FileFailed))
_glanced = msgspec.json.Decoder(_Glanced).decode
_encode = msgspec.json.Encoder().encode
encode_control = _encode
decode_control = msgspec.json.Decoder(Control).decode


def room_frame(recorded: Recorded[Any], prev: int) -> bytes:
    """Return the frame of an event that its room hears; that of `EventSkipped` where it cannot be told."""
    return _told(recorded, prev, recorded.event, lambda: TELLS_ROOM[type(recorded.event)].of(recorded))


def tombstone_frame(recorded: Recorded[Any], prev: int) -> bytes:
    """Return the frame of what tells of a message deleted since, or of its file: everything but their content."""
    is_of_file = isinstance(recorded.event, (FileCompleted, FileFailed))

    def data() -> Struct:
        return blank_view(TELLS_ROOM[type(recorded.event)].of(recorded)) if is_of_file else tombstone(view_of(recorded))  # type: ignore[arg-type]

    return _told(recorded, prev, recorded.event, data)


def _told(recorded: Recorded[Any], prev: int, event: Event, data: Callable[[], Struct]) -> bytes:
    room_id = event.frame_room()
    assert room_id is not None, "a room's frame is of what the room hears"
    if not isinstance(event, UnknownEvent):
        try:
            return _encode(
                RoomEvent(event.topic, recorded.position, prev, room_id, recorded.at, recorded.meta.actor, data())
            )
        except Exception as error:  # of whatever kind: one event keeps nobody from the others
            log.error(
                "a frame cannot be made", position=recorded.position, topic=event.topic, error=type(error).__name__
            )
    topic = EventSkipped.topic
    return _encode(RoomEvent(topic, recorded.position, prev, room_id, recorded.at, recorded.meta.actor, Nothing()))


def posting_of(recorded: Recorded[Any]) -> int | None:
    """Return the position of the posting that an event tells of; None: it is of none."""
    match recorded.event:
        case MessagePosted():
            return recorded.position
        case MessageEdited() | MessageDeleted():
            return int(recorded.event.posted_position)
        case ReactionAdded() | ReactionRemoved() | MessagePinned() | MessageUnpinned():
            return int(recorded.event.posted_position)
    return None


def tells_text(recorded: Recorded[Any]) -> bool:
    """Return whether an event's frame tells text, which must not be told once its message is deleted."""
    return isinstance(recorded.event, (MessagePosted, MessageEdited))


def is_of_file(frame: bytes) -> bool:
    """Return whether a room's frame tells how a file ended."""
    return frame.startswith(_FILE_HEADS)


def glance(frame: bytes, *, is_since_joining: bool) -> Glance:
    """Look at a room's frame no further than needed: for a post, or where everybody sees all, at its topic alone."""
    topic = frame[len(_HEAD) : frame.index(b'"', len(_HEAD))]
    if topic == _CHANGE:
        return Glance(topic, None, _glanced(frame).data.history)
    if is_since_joining and topic in _LATER:
        data = _glanced(frame).data
        return Glance(topic, data.position if data.posted_position is None else data.posted_position)
    return Glance(topic)


def ends_membership(event: Event) -> UserId | None:
    """Return whose feed of the room ends with this event."""
    return event.user_id if isinstance(event, (MemberLeft, MemberRemoved)) else None


def control(recorded: Recorded[Any]) -> Control | None:
    """Return what the control lane says of an event; None for nothing, and for what cannot be told."""
    try:
        return _control(recorded)
    except Exception as error:
        topic = recorded.event.topic
        log.error("a control frame cannot be made", position=recorded.position, topic=topic, error=type(error).__name__)
        return None


def _control(recorded: Recorded[Any]) -> Control | None:
    event = recorded.event
    match event:
        case SessionEnded():
            return Control(recorded.position, session_ended=event.session_id)
        case AccountDeactivated():
            return Control(recorded.position, deactivated=event.user_id)
        case AccountActivated():
            return Control(recorded.position, activated=event.user_id)
    if (telling := TELLS_OWN.get(type(event))) is None:
        return None
    frame = OwnEvent(event.topic, recorded.position, None, None, recorded.at, recorded.meta.actor, telling.of(recorded))
    said = _encode(frame).decode()
    return Control(recorded.position, own=[Own(user_id, said) for user_id in dict.fromkeys(_own(event))])


def _own(event: Event) -> tuple[UserId, ...]:
    """Return to whom an event is told on their own feed."""
    match event:
        case FileCompleted():
            return (event.uploader_id,)
        case FileFailed():
            return (event.uploader_id, *event.moderator_ids)
        case MemberJoined() | MemberLeft() | MemberRemoved() | MemberRoleChanged() | ReadMarked() | ProfileChanged():
            return (event.user_id,)
    raise AssertionError(f"{event.topic} is told to nobody alone")


def _room(recorded: Recorded[RoomChanged | RoomArchived]) -> RoomAfter:
    e = recorded.event
    is_archived = isinstance(e, RoomArchived)
    return RoomAfter(e.room_id, e.name, e.description or None, e.is_private, e.history, is_archived, e.by, e.room_topic)


def _opened(recorded: Recorded[RoomOpened]) -> RoomAfter:
    e = recorded.event
    return RoomAfter(
        e.room_id,
        e.name,
        e.description or None,
        e.is_private,
        e.history,
        False,
        e.owner_id,
        None,
        "direct" if e.direct else "room",
    )


def _itself(recorded: Recorded[Any]) -> Event:
    event: Event = recorded.event
    return event


_OF_MEMBERS: dict[type[Event], Telling] = {
    MemberJoined: Telling(MemberJoined, _itself),
    MemberLeft: Telling(MemberLeft, _itself),
    MemberRemoved: Telling(MemberRemoved, _itself),
    MemberRoleChanged: Telling(MemberRoleChanged, _itself),
}
_OF_FILES: dict[type[Event], Telling] = {
    FileCompleted: Telling(FileView, completed_view),
    FileFailed: Telling(FileView, failed_view),
}
TELLS_ROOM: dict[type[Event], Telling] = {
    MessagePosted: Telling(MessageView, posted_view),
    MessageEdited: Telling(MessageView, edited_view),
    MessageDeleted: Telling(MessageView, deleted_view),
    MessagePinned: Telling(MessagePinned, _itself),
    MessageUnpinned: Telling(MessageUnpinned, _itself),
    ReactionAdded: Telling(ReactionAdded, _itself),
    ReactionRemoved: Telling(ReactionRemoved, _itself),
    **_OF_MEMBERS,
    RoomOpened: Telling(RoomAfter, _opened),
    RoomChanged: Telling(RoomAfter, _room),
    RoomArchived: Telling(RoomAfter, _room),
    **_OF_FILES,
    EventSkipped: Telling(Nothing, lambda recorded: Nothing()),
}
TELLS_OWN: dict[type[Event], Telling] = {
    **_OF_MEMBERS,
    ReadMarked: Telling(ReadMarked, _itself),
    ProfileChanged: Telling(ProfileChanged, _itself),
    **_OF_FILES,
}
