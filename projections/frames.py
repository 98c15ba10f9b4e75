"""Frames: what sockets get of an event. A frame is a function of the record: same event, same bytes.

`ROOM_FRAMES` and `OWN_FRAMES` list the events that have frames, and the `data` of each: one type per event, the whole
after-image. The bytes and the AsyncAPI document are made from them, so an event with a new frame is a line here. A room's
frame has `prev`, the position of the room's event before it. The control lane carries what concerns single people or all
gateways: sessions that ended, accounts that were deactivated, and everybody's own feed (`room_id` and `prev` null).

If an event cannot be shown (it cannot be read, this version does not know it, its frame cannot be made), the room gets
`event.skipped` without data: each event of a room has a frame, so `prev` stays a function of the record, and no client takes
it for a gap that a new request could close. Single people get nothing.
"""

from collections.abc import Callable
from datetime import datetime
from typing import Any, ClassVar, NamedTuple

import msgspec
import structlog
from msgspec import Struct

from domain.account import AccountActivated, AccountDeactivated, ProfileChanged
from domain.events import Event, Recorded, UnknownEvent
from domain.file import FileCompleted, FileFailed
from domain.ids import RoomId, SessionId, UserId
from domain.membership import MemberJoined, MemberLeft, MemberRemoved, MemberRoleChanged
from domain.message import MessageDeleted, MessageEdited, MessagePosted
from domain.notification import NotificationsRead
from domain.pin import MessagePinned, MessageUnpinned
from domain.reaction import ReactionAdded, ReactionRemoved
from domain.reading import ReadMarked
from domain.room import History, RoomArchived, RoomChanged, RoomOpened
from domain.session import SessionEnded
from domain.thread import ThreadFollowed, ThreadRead, ThreadReplied, ThreadReplyDeleted, ThreadUnfollowed
from projections.files import FileView, blank_view, completed_view, failed_view
from projections.messages import MessageView, Moment, deleted_view, edited_view, posted_view, tombstone, view_of
from projections.notifications import NotificationView, Notified, notified_view
from projections.room_after import RoomAfter, room_after, room_opened
from projections.threads import ThreadAfter, thread_after

log = structlog.get_logger()

SKIPPED_MARK = b'"event":"event.skipped"'


class EventSkipped(Event, frozen=True):
    """Takes the place of an event that cannot be shown. It is never recorded."""

    topic: ClassVar = "event.skipped"

    room_id: RoomId

    def frame_room(self) -> RoomId | None:
        return self.room_id


class Nothing(Struct, frozen=True):
    """The data of `event.skipped`: none."""


class RoomEvent(Struct, frozen=True, tag_field="type", tag="event"):
    """What happened in a room. Whoever has `prev`, the room's event before it, has missed nothing."""

    event: str
    position: int
    prev: int
    room_id: RoomId
    at: Moment
    actor_id: UserId | None
    data: Any


class OwnEvent(Struct, frozen=True, tag_field="type", tag="event"):
    """What happened to the caller, sent to all their sockets; not replayed."""

    event: str
    position: int
    prev: None
    room_id: None
    at: Moment
    actor_id: UserId | None
    data: Any


class FrameData(NamedTuple):
    """The `data` of an event's frame: its type, and how it is made from the recorded event."""

    kind: type[Struct]
    of: Callable[[Recorded[Any]], Struct]


class FrameSummary(NamedTuple):
    """What the fan-out of a frame depends on. `posted` is the position of the posting that an edit or deletion is about, read
    only if history begins with joining; `history` is the room's from then on, read only if it may have changed."""

    topic: bytes
    posted: int | None = None
    history: History | None = None


class _Data(Struct):
    """`posted_position` stands where the frame is no message, but tells of one."""

    position: int = 0
    posted_position: int | None = None
    history: History = "shared"


class _Summarised(Struct):
    data: _Data


class Own(Struct, frozen=True, omit_defaults=True):
    """A frame for all sockets of one person; with its position, if the entry holds frames of several."""

    user_id: UserId
    frame: str
    position: int = 0


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
    *(k.topic.encode() for k in (ThreadReplied, ThreadReplyDeleted)),
)
_HEAD = b'{"type":"event","event":"'
_FILE_HEADS = tuple(_HEAD + kind.topic.encode() + b'"' for kind in (FileCompleted, FileFailed))
_summarised = msgspec.json.Decoder(_Summarised).decode
_encode = msgspec.json.Encoder().encode
encode_control = _encode
decode_control = msgspec.json.Decoder(Control).decode


def room_frame(recorded: Recorded[Any], prev: int) -> bytes:
    """Return the frame that a room gets of its event; that of `EventSkipped` if the event cannot be shown."""
    return _frame(recorded, prev, recorded.event, lambda: ROOM_FRAMES[type(recorded.event)].of(recorded))


def tombstone_frame(recorded: Recorded[Any], prev: int) -> bytes:
    """Return the frame of an event of a message that was deleted later, or of its file: everything but their content."""

    def data() -> Struct:
        if isinstance(recorded.event, FileCompleted):
            return blank_view(completed_view(recorded))
        if isinstance(recorded.event, FileFailed):
            return blank_view(failed_view(recorded))
        return tombstone(view_of(recorded))

    return _frame(recorded, prev, recorded.event, data)


def _frame(recorded: Recorded[Any], prev: int, event: Event, data: Callable[[], Struct]) -> bytes:
    room_id = event.frame_room()
    assert room_id is not None, "a room's frame is of an event of the room"
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
    """Return the position of the posting that an event is about; None if it is about none."""
    match recorded.event:
        case MessagePosted():
            return recorded.position
        case MessageEdited() | MessageDeleted():
            return int(recorded.event.posted_position)
        case ReactionAdded() | ReactionRemoved() | MessagePinned() | MessageUnpinned():
            return int(recorded.event.posted_position)
        case ThreadReplied() | ThreadReplyDeleted():
            return int(recorded.event.posted_position)  # the root's
    return None


def has_text(recorded: Recorded[Any]) -> bool:
    """Return whether an event's frame has text, which must not be sent once its message is deleted."""
    return isinstance(recorded.event, (MessagePosted, MessageEdited))


def is_of_file(frame: bytes) -> bool:
    """Return whether a room's frame is that of a file which was completed or failed."""
    return frame.startswith(_FILE_HEADS)


def summary_of(frame: bytes, *, is_since_joining: bool) -> FrameSummary:
    """Decode as little of a room's frame as is needed: of a posting, or if everybody sees all of the room, its topic alone."""
    topic = frame[len(_HEAD) : frame.index(b'"', len(_HEAD))]
    if topic == _CHANGE:
        return FrameSummary(topic, None, _summarised(frame).data.history)
    if is_since_joining and topic in _LATER:
        data = _summarised(frame).data
        return FrameSummary(topic, data.position if data.posted_position is None else data.posted_position)
    return FrameSummary(topic)


def ends_membership(event: Event) -> UserId | None:
    """Return whose feed of the room ends with this event."""
    return event.user_id if isinstance(event, (MemberLeft, MemberRemoved)) else None


def control(recorded: Recorded[Any]) -> Control | None:
    """Return the control lane's entry for an event; None if it has none, or cannot be shown."""
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
    if (data := OWN_FRAMES.get(type(event))) is None:
        return None
    text = own_frame(event.topic, recorded.position, recorded.at, recorded.meta.actor, data.of(recorded))
    return Control(recorded.position, own=[Own(user_id, text) for user_id in dict.fromkeys(_recipients(event))])


def own_frame(topic: str, position: int, at: datetime, actor: UserId | None, data: Struct) -> str:
    """Return a frame of one's own, as text."""
    return _encode(OwnEvent(topic, position, None, None, at, actor, data)).decode()


def _recipients(event: Event) -> tuple[UserId, ...]:
    """Return whose own feed gets an event."""
    match event:
        case FileCompleted():
            return (event.uploader_id,)
        case FileFailed():
            return (event.uploader_id, *event.moderator_ids)
        case MemberJoined() | MemberLeft() | MemberRemoved() | MemberRoleChanged() | ReadMarked() | ProfileChanged():
            return (event.user_id,)
        case ThreadFollowed() | ThreadUnfollowed() | ThreadRead() | NotificationsRead() | Notified():
            return (event.user_id,)
    raise AssertionError(f"{event.topic} has no frame of anybody's own")


def _itself(recorded: Recorded[Any]) -> Event:
    event: Event = recorded.event
    return event


_OF_MEMBERS: dict[type[Event], FrameData] = {
    MemberJoined: FrameData(MemberJoined, _itself),
    MemberLeft: FrameData(MemberLeft, _itself),
    MemberRemoved: FrameData(MemberRemoved, _itself),
    MemberRoleChanged: FrameData(MemberRoleChanged, _itself),
}
_OF_FILES: dict[type[Event], FrameData] = {
    FileCompleted: FrameData(FileView, completed_view),
    FileFailed: FrameData(FileView, failed_view),
}
ROOM_FRAMES: dict[type[Event], FrameData] = {
    MessagePosted: FrameData(MessageView, posted_view),
    MessageEdited: FrameData(MessageView, edited_view),
    MessageDeleted: FrameData(MessageView, deleted_view),
    MessagePinned: FrameData(MessagePinned, _itself),
    MessageUnpinned: FrameData(MessageUnpinned, _itself),
    ReactionAdded: FrameData(ReactionAdded, _itself),
    ReactionRemoved: FrameData(ReactionRemoved, _itself),
    ThreadReplied: FrameData(ThreadAfter, thread_after),
    ThreadReplyDeleted: FrameData(ThreadAfter, thread_after),
    **_OF_MEMBERS,
    RoomOpened: FrameData(RoomAfter, room_opened),
    RoomChanged: FrameData(RoomAfter, room_after),
    RoomArchived: FrameData(RoomAfter, room_after),
    **_OF_FILES,
    EventSkipped: FrameData(Nothing, lambda recorded: Nothing()),
}
OWN_FRAMES: dict[type[Event], FrameData] = {
    **_OF_MEMBERS,
    ReadMarked: FrameData(ReadMarked, _itself),
    NotificationsRead: FrameData(NotificationsRead, _itself),
    Notified: FrameData(NotificationView, notified_view),
    ThreadFollowed: FrameData(ThreadFollowed, _itself),
    ThreadUnfollowed: FrameData(ThreadUnfollowed, _itself),
    ThreadRead: FrameData(ThreadRead, _itself),
    ProfileChanged: FrameData(ProfileChanged, _itself),
    **_OF_FILES,
}
