"""Messages of rooms, in the order in which they were posted. Owns the table `read.messages`.

`position` is that of the posting: a row's key, and the cursor of pages. System messages are rows too, one for each
event of a room about its members and itself; their id comes from the position, their text is a code.
The queries are in `projections/message_pages.py` and `projections/message_queries.py`.
"""

from collections.abc import Iterable
from datetime import datetime
from typing import Annotated, Any, Self
from uuid import UUID

from msgspec import UNSET, Meta, Struct, UnsetType
from msgspec.structs import replace

from domain.events import Event, Recorded
from domain.ids import FileId, MessageId, RoomId, UserId, system_message_id
from domain.kinds import MessageType
from domain.membership import MemberJoined, MemberLeft, MemberRemoved, MemberRoleChanged
from domain.mention import MentionsRoom
from domain.message import MessageDeleted, MessageEdited, MessagePosted
from domain.pin import MessagePinned, MessageUnpinned
from domain.reaction import ReactionAdded
from domain.room import RoomArchived, RoomChanged
from domain.thread import ThreadFollowed
from projections import files
from projections.files import FileView
from projections.reactions import ReactionView
from projections.tables import Change, Projection, Table
from projections.threads import ThreadView

# Stands for a thread that is to be looked up (`projections/message_additions.py`).
THREAD_ASKED = ThreadView(0, None, [], 0)

MESSAGES = Table(
    "read.messages",
    key={"position": "bigint"},
    columns={
        "room_id": "uuid",
        "id": "uuid",
        "sender_id": "uuid",
        "message_type": "text",
        "content": "text",
        "file_id": "uuid",
        "reply_to": "uuid",
        "is_edited": "bool",
        "created_at": "timestamptz",
        "updated_at": "timestamptz",
        "version": "int",
        "deleted": "bool",
        "subject_id": "uuid",
        "subject_by": "uuid",
        "reacted": "bool",
        "pinned": "bool",
        "mentions": "text",
        "mentions_room": "text",
        "thread_id": "uuid",
        "root_position": "bigint",
        "in_room": "bool",
        "threaded": "bool",
    },
)


Moment = Annotated[datetime, Meta(tz=True)]  # RFC 3339


class MessageView(Struct, frozen=True, omit_defaults=True):
    """A message as clients get it. System messages alone have `subjects`. `file` is the attached file: as it is now where
    messages are read; as it was then in the frame `message.posted`, after which the room gets `file.completed` or
    `file.failed` if it had not ended; other frames leave it out. `reactions`, in the order of their first, and `pinned`
    are there where messages are read. `mentions` are there and in `message.posted`: those whom the text named when it was
    posted; of a deleted message nobody. A reply in a thread has its root in `thread_id`, and `in_room`: whether it is shown in
    the room, too. `thread` is there where roots are read: of a message to which nobody ever replied there is none."""

    id: MessageId
    room_id: RoomId
    sender_id: UserId | None
    message_type: MessageType
    content: str
    file_id: FileId | None
    reply_to: MessageId | None
    is_edited: bool
    created_at: Moment
    updated_at: Moment
    position: int
    version: int
    deleted: bool
    subjects: list[UserId] | None = None
    file: FileView | None = None
    reactions: list[ReactionView] | None = None
    pinned: bool | None = None
    mentions: list[UserId] | None = None
    mentions_room: MentionsRoom | None = None
    thread_id: MessageId | None = None
    in_room: bool | None = None
    thread: ThreadView | None = None


class RenderedMessageView(MessageView, frozen=True):
    """A message with its text as HTML too; null until the rendering has caught up."""

    html: str | None | UnsetType = UNSET

    @classmethod
    def of(cls, message: MessageView, html: str | None) -> Self:
        return cls(
            message.id, message.room_id, message.sender_id, message.message_type, message.content, message.file_id,
            message.reply_to, message.is_edited, message.created_at, message.updated_at, message.position, message.version,
            message.deleted, message.subjects, message.file, message.reactions, message.pinned, message.mentions,
            message.mentions_room, message.thread_id, message.in_room, message.thread, html,
        )  # fmt: skip


class MessageRow(Struct, frozen=True):
    """What statements that read messages say before the message: what its reader is to the room, and what its view is made
    of."""

    standing: str
    subject_id: UserId | None
    subject_by: UserId | None
    reacted: bool | None
    pinned: bool | None
    mentions: str | None
    mentions_room: MentionsRoom | None
    thread_id: MessageId | None
    in_room: bool | None
    threaded: bool | None


def of_message_row(row: MessageRow, message: MessageView) -> MessageView:
    """Return the message of a row with everything that the row says of it. Its reactions are None, and its thread is
    `THREAD_ASKED`, if they are to be looked up."""
    thread = THREAD_ASKED if row.threaded else None
    subjects = None
    if row.subject_id is not None:
        subjects = [row.subject_id] if row.subject_by is None else [row.subject_id, row.subject_by]
    if message.deleted:
        return replace(
            message, subjects=subjects, reactions=[], pinned=bool(row.pinned), mentions=[], thread_id=row.thread_id,
            in_room=row.in_room, thread=thread,
        )  # fmt: skip
    return replace(
        message, subjects=subjects, reactions=None if row.reacted else [], pinned=bool(row.pinned),
        mentions=mentioned(row.mentions), mentions_room=row.mentions_room, thread_id=row.thread_id, in_room=row.in_room,
        thread=thread,
    )  # fmt: skip


def mentioned(ids: str | None) -> list[UserId]:
    """Return those whom a row names as mentioned."""
    return [] if ids is None else [UserId(UUID(each)) for each in ids.split()]


def posted_view(recorded: Recorded[MessagePosted]) -> MessageView:
    e = recorded.event
    return MessageView(
        e.message_id, e.room_id, e.sender_id, e.message_type, e.content, e.file_id, e.reply_to, False,
        recorded.at, recorded.at, recorded.position, recorded.version, False, None, _file_view(e), None, None,
        list(e.mentions), e.mentions_room, e.thread_id, e.in_room,
    )  # fmt: skip


def edited_view(recorded: Recorded[MessageEdited]) -> MessageView:
    e = recorded.event
    return MessageView(
        e.message_id, e.room_id, e.sender_id, e.message_type, e.content, e.file_id, e.reply_to, True,
        e.posted_at, recorded.at, e.posted_position, recorded.version, False, thread_id=e.thread_id, in_room=e.in_room,
    )  # fmt: skip


def deleted_view(recorded: Recorded[MessageDeleted]) -> MessageView:
    e = recorded.event
    return MessageView(
        e.message_id, e.room_id, e.sender_id, e.message_type, "", None, e.reply_to, e.is_edited,
        e.posted_at, recorded.at, e.posted_position, recorded.version, True, thread_id=e.thread_id, in_room=e.in_room,
    )  # fmt: skip


def view_of(recorded: Recorded[Any]) -> MessageView:
    """Return the message as it is after this event of it."""
    match recorded.event:
        case MessagePosted():
            return posted_view(recorded)
        case MessageEdited():
            return edited_view(recorded)
        case MessageDeleted():
            return deleted_view(recorded)
    raise AssertionError(f"{recorded.event.topic} is not an event of a message")


def tombstone(view: MessageView) -> MessageView:
    """Return what clients may get of a message that was deleted later: everything but its text, its file and its mentions."""
    return replace(view, content="", deleted=True, file_id=None, file=None, mentions=None, mentions_room=None)


def _file_view(e: MessagePosted) -> FileView | None:
    """Return the attached file as it was when it was posted; None if there is none, or if it is erased."""
    return None if e.file is None or e.file_id is None else files.snapshot_view(e.file_id, e.sender_id, e.file)


def subjects_of(event: Event) -> tuple[UserId, UserId | None] | None:
    """Return whom the system message of an event is about, and who did it if that is somebody else; None if the event makes
    no system message."""
    match event:
        case MemberJoined() if event.is_direct or (event.role == "owner" and event.by == event.user_id):
            return None  # whoever opened the room, or for whom it was opened
        case MemberLeft():
            return event.user_id, None
        case MemberJoined() | MemberRemoved() | MemberRoleChanged():
            return event.user_id, event.by if event.by != event.user_id else None
        case RoomChanged() | RoomArchived():
            return event.by, None
    return None


def posted(recorded: Recorded[MessagePosted]) -> Iterable[Change]:
    e = recorded.event
    yield MESSAGES.new(
        recorded.position, room_id=e.room_id, id=e.message_id, sender_id=e.sender_id, message_type=e.message_type,
        content=e.content, file_id=e.file_id, reply_to=e.reply_to, is_edited=False, created_at=recorded.at,
        updated_at=recorded.at, version=recorded.version, deleted=False,
        mentions=" ".join(map(str, e.mentions)) if e.mentions else None,
        mentions_room=e.mentions_room, thread_id=e.thread_id, root_position=e.root_position, in_room=e.in_room,
    )  # fmt: skip


def edited(recorded: Recorded[MessageEdited]) -> Iterable[Change]:
    e = recorded.event
    yield MESSAGES.set(
        e.posted_position, content=e.content, is_edited=True, updated_at=recorded.at, version=recorded.version
    )


def deleted(recorded: Recorded[MessageDeleted]) -> Iterable[Change]:
    yield MESSAGES.set(
        recorded.event.posted_position, content="", deleted=True, updated_at=recorded.at, version=recorded.version
    )


def system_message(recorded: Recorded[Any]) -> Iterable[Change]:
    subjects = subjects_of(recorded.event)
    if subjects is not None:
        yield MESSAGES.new(
            recorded.position, room_id=recorded.event.room_id, id=system_message_id(recorded.position), sender_id=None,
            message_type="system", content=recorded.event.topic, is_edited=False, created_at=recorded.at, updated_at=recorded.at,
            version=1, deleted=False, subject_id=subjects[0], subject_by=subjects[1],
        )  # fmt: skip


def reacted(recorded: Recorded[ReactionAdded]) -> Iterable[Change]:
    yield MESSAGES.set(recorded.event.posted_position, reacted=True)


def pinned(recorded: Recorded[MessagePinned]) -> Iterable[Change]:
    yield MESSAGES.set(recorded.event.posted_position, pinned=True)


def unpinned(recorded: Recorded[MessageUnpinned]) -> Iterable[Change]:
    yield MESSAGES.set(recorded.event.posted_position, pinned=False)


def threaded(recorded: Recorded[ThreadFollowed]) -> Iterable[Change]:
    """Whoever replies first follows the thread, in the same append, if they did not follow it before."""
    yield MESSAGES.set(recorded.event.posted_position, threaded=True)


PROJECTION = Projection(
    tables=(MESSAGES,),
    handlers={
        MessagePosted: posted,
        MessageEdited: edited,
        MessageDeleted: deleted,
        MemberJoined: system_message,
        MemberLeft: system_message,
        MemberRemoved: system_message,
        MemberRoleChanged: system_message,
        RoomChanged: system_message,
        RoomArchived: system_message,
        ReactionAdded: reacted,
        MessagePinned: pinned,
        MessageUnpinned: unpinned,
        ThreadFollowed: threaded,
    },
)
