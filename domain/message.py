"""Message: one post in a room, and what may still happen to it.

Each message is a stream of its own, so two people posting never collide. A decision takes the state and plain values,
and answers with events (it happened), with nothing (no change to record), or with a raised `DomainError`. Edits and
deletions carry the posting's position and time, so that a row and a frame are functions of one event.
"""

from datetime import datetime
from hashlib import sha256
from typing import ClassVar, Literal, assert_never
from uuid import UUID

from msgspec import Struct
from msgspec.structs import replace

from domain.authorization import of_message
from domain.bounds import MESSAGE_EDITS_MAX
from domain.errors import MessageDeletedError, MessageIdTakenError, StaleVersionError, TooManyEditsError
from domain.events import Event, Recorded, Stream
from domain.file_snapshot import FileSnapshot
from domain.ids import FileId, MessageId, RoomId, UserId
from domain.integers import Int8
from domain.kinds import KINDS, MessageType
from domain.mention import Mentions, MentionsRoom
from domain.rights import Relationship

# To which versions a change may be made: one, one of several, or None for any.
Versions = int | frozenset[int] | None


NOBODY = Mentions()
NO_ONE = UserId(UUID(int=0))


class _OfMessage(Event, frozen=True):
    message_id: MessageId
    room_id: RoomId
    sender_id: UserId

    def frame_room(self) -> RoomId | None:
        return self.room_id

    def encryption_subject(self) -> tuple[UUID, RoomId | None]:
        return self.sender_id, self.room_id


class MessagePosted(_OfMessage, frozen=True):
    """`file` is the file that it shows, as it was then. `mentions` are those whom its text named then, whatever is edited
    later. Of a reply in a thread, `thread_id` is the root, `root_position` where it stands, and `in_room` says whether it is
    shown in the room, too; null of other messages."""

    topic: ClassVar = "message.posted"
    sealed: ClassVar = ("content", "file")

    content: str
    message_type: MessageType = "text"
    file_id: FileId | None = None
    reply_to: MessageId | None = None
    file: FileSnapshot | None = None
    mentions: tuple[UserId, ...] = ()
    mentions_room: MentionsRoom | None = None
    thread_id: MessageId | None = None
    root_position: Int8 | None = None
    in_room: bool | None = None


class MessageEdited(_OfMessage, frozen=True):
    topic: ClassVar = "message.edited"
    sealed: ClassVar = ("content",)
    changes: ClassVar = ("content",)

    content: str
    message_type: MessageType
    file_id: FileId | None
    reply_to: MessageId | None
    posted_position: Int8
    posted_at: datetime
    thread_id: MessageId | None = None
    in_room: bool | None = None


class MessageDeleted(_OfMessage, frozen=True):
    """`cause` is null if a person deleted it, who is `by`; nobody is behind a retention policy."""

    topic: ClassVar = "message.deleted"
    changes: ClassVar = ("content",)

    message_type: MessageType
    file_id: FileId | None
    reply_to: MessageId | None
    posted_position: Int8
    posted_at: datetime
    is_edited: bool
    by: UserId
    thread_id: MessageId | None = None
    in_room: bool | None = None
    cause: Literal["retention"] | None = None


MessageEvent = MessagePosted | MessageEdited | MessageDeleted


class Message(Struct, frozen=True):
    """As much of a message as decisions need. Whether a text is the same can be seen by a digest of 32 bytes.

    `posted_digest` is that of the text as it was posted, whatever was edited since; `mentions` are those whom it named.
    """

    message_id: MessageId
    room_id: RoomId
    sender_id: UserId
    message_type: MessageType
    digest: bytes
    posted_digest: bytes
    file_id: FileId | None
    reply_to: MessageId | None
    position: int
    posted_at: datetime
    is_edited: bool
    is_deleted: bool
    edits: int = 0
    thread_id: MessageId | None = None
    in_room: bool | None = None
    mentions: tuple[UserId, ...] = ()


def post(
    message: Message | None,
    *,
    message_id: MessageId,
    room_id: RoomId,
    sender_id: UserId,
    content: str,
    message_type: MessageType = "text",
    file_id: FileId | None = None,
    reply_to: MessageId | None = None,
    file: FileSnapshot | None = None,
    mentions: Mentions = NOBODY,
    thread_id: MessageId | None = None,
    root_position: int | None = None,
    in_room: bool = False,
) -> tuple[MessageEvent, ...]:
    """Post once. The very same post again changes nothing; anything else under its id is refused.

    A message that is not in a thread is in the room, whatever `in_room` says.
    """
    shown = None if thread_id is None else in_room
    if message is None:
        KINDS[message_type].check(content, file_id)
        return (
            MessagePosted(
                message_id, room_id, sender_id, content, message_type, file_id, reply_to, file, *mentions,
                thread_id, root_position, shown,
            ),
        )  # fmt: skip
    requested = (room_id, sender_id, digest_of(content), message_type, file_id, reply_to, thread_id, shown)
    posted = (
        message.room_id,
        message.sender_id,
        message.posted_digest,
        message.message_type,
        message.file_id,
        message.reply_to,
        message.thread_id,
        message.in_room,
    )
    if requested != posted:
        raise MessageIdTakenError
    return ()


def edit(message: Message, *, by: UserId, relationship: Relationship, content: str) -> tuple[MessageEvent, ...]:
    """Replace the text; the same text again changes nothing. `relationship` is what `by` is to the room.

    The number of edits has a bound, because a message's stream is read from its start when it is not cached.
    """
    require_editable(message, by=by, relationship=relationship)
    KINDS[message.message_type].check(content, message.file_id)
    if message.digest == digest_of(content):
        return ()
    if message.edits >= MESSAGE_EDITS_MAX:
        raise TooManyEditsError
    return (
        MessageEdited(
            message.message_id, message.room_id, message.sender_id, content, message.message_type,
            message.file_id, message.reply_to, message.position, message.posted_at, message.thread_id, message.in_room,
        ),
    )  # fmt: skip


def delete(message: Message, *, by: UserId, relationship: Relationship) -> tuple[MessageEvent, ...]:
    """Leave a tombstone; deleting again changes nothing. `relationship` is what `by` is to the room."""
    if (refusal := of_message("message.delete", relationship, is_sender=message.sender_id == by)) is not None:
        raise refusal
    return () if message.is_deleted else (_deleted(message, by),)


def expire(message: Message) -> tuple[MessageEvent, ...]:
    """Leave a tombstone because the message is older than it may get; one that is deleted already stays as it is."""
    return () if message.is_deleted else (replace(_deleted(message, NO_ONE), cause="retention"),)


def _deleted(message: Message, by: UserId) -> MessageDeleted:
    return MessageDeleted(
        message.message_id, message.room_id, message.sender_id, message.message_type, message.file_id,
        message.reply_to, message.position, message.posted_at, message.is_edited, by,
        message.thread_id, message.in_room,
    )  # fmt: skip


def erase(message: Message | None) -> tuple[MessageEvent, ...]:
    """Leave a tombstone because whose message it is is erased, whatever the room is now; deleting again changes nothing."""
    if message is None:
        return ()
    return delete(message, by=message.sender_id, relationship="owner")


def require_editable(message: Message, *, by: UserId, relationship: Relationship) -> None:
    """Raise `DomainError` if this person may not edit the message, or nobody may."""
    if (refusal := of_message("message.edit", relationship, is_sender=message.sender_id == by)) is not None:
        raise refusal
    if message.is_deleted:
        raise MessageDeletedError


def digest_of(content: str) -> bytes:
    """Return the SHA-256 of a text."""
    return sha256(content.encode("utf-8", "surrogatepass")).digest()


def require_version(actual: int, wanted: Versions) -> None:
    """Raise `StaleVersionError` unless the present version is the one, or one of those, that the caller has read."""
    if wanted is not None and actual not in (frozenset({wanted}) if isinstance(wanted, int) else wanted):
        raise StaleVersionError


def evolve(message: Message | None, recorded: Recorded[MessageEvent]) -> Message:
    event = recorded.event
    if isinstance(event, MessagePosted):
        digest = digest_of(event.content)
        return Message(
            event.message_id, event.room_id, event.sender_id, event.message_type, digest, digest,
            event.file_id, event.reply_to, recorded.position, recorded.at, False, False, 0,
            event.thread_id, event.in_room, event.mentions,
        )  # fmt: skip
    assert message is not None, "a message is posted before it is edited"
    match event:
        case MessageEdited():
            return replace(message, digest=digest_of(event.content), is_edited=True, edits=message.edits + 1)
        case MessageDeleted():
            return replace(message, digest=b"", is_deleted=True)
        case _:
            assert_never(event)


MESSAGE: Stream[Message] = Stream(
    "message", evolve, Message, subject=lambda message: (message.sender_id, message.room_id), fold=3
)
EVENTS: tuple[type[Event], ...] = (MessagePosted, MessageEdited, MessageDeleted)
