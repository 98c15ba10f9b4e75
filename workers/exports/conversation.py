"""What an export says: messages with all their versions, what happened to rooms and members, and who was there when.

Formats are functions of these structs alone, and these of the record up to a position. A text that cannot be read any more,
because its key was destroyed, is None, and `is_erased` is true; `destroyed` says what for, where the record does.
"""

from collections.abc import Mapping
from datetime import date, datetime
from typing import Any, Literal

from msgspec import Struct

from domain.ids import FileId, MessageId, RoomId, UserId

ERASED = "[erased: the key of this text was destroyed]"
ERASED_FOR = {
    "erasure": "[erased when somebody was erased]",
    "retention": "[erased by the retention of its room]",
}
DELETED = "[deleted]"
What = Literal["posted", "edited", "deleted", "unreadable"]


class Destroyed(Struct, frozen=True):
    """What a text was destroyed for, and the event that says so: the erasure of whoever wrote it, or the retention of its room."""

    why: Literal["erasure", "retention"]
    position: int
    at: datetime


class Version(Struct, frozen=True):
    """One step in the life of a message. `content` is None of a deletion, and of what is erased."""

    position: int
    at: datetime
    what: What
    by: UserId
    content: str | None
    reason: str | None
    is_erased: bool = False
    destroyed: Destroyed | None = None

    @property
    def shown(self) -> str | None:
        """What stands in the place of the text: why there is none, where it is erased."""
        if not self.is_erased:
            return self.content
        return ERASED if self.destroyed is None else ERASED_FOR[self.destroyed.why]


class Reaction(Struct, frozen=True):
    emoji: str
    by: UserId
    position: int
    at: datetime
    removed_position: int | None = None
    removed_at: datetime | None = None


class Attachment(Struct, frozen=True):
    """A file that a message shows. `sha256` and `path` are null where there are no bytes: it is not completed, it failed, it was
    erased."""

    file_id: FileId
    status: str
    name: str
    mime_type: str
    size_bytes: int
    sha256: str | None
    path: str | None
    is_erased: bool = False


class Reply(Struct, frozen=True):
    """A reply in the thread of a message."""

    message_id: MessageId
    by: UserId
    position: int
    at: datetime


class Message(Struct, frozen=True, tag="message"):
    """`replies` are the first of its thread. `position` and `at` are those of the event for which it is in the export: its posting, or, if that was before the
    stretch, the first later event in it."""

    position: int
    at: datetime
    message_id: MessageId
    room_id: RoomId
    sender_id: UserId
    message_type: str
    posted_position: int
    posted_at: datetime
    reply_to: MessageId | None
    thread_id: MessageId | None
    thread_position: int | None
    thread_at: datetime | None
    replies: tuple[Reply, ...]
    in_room: bool | None
    mentions: tuple[UserId, ...]
    mentions_room: str | None
    versions: tuple[Version, ...]
    reactions: tuple[Reaction, ...]
    attachment: Attachment | None

    @property
    def is_deleted(self) -> bool:
        return self.versions[-1].what == "deleted"

    @property
    def texts(self) -> list[Version]:
        """The versions that had a text, the original first."""
        return [version for version in self.versions if version.what in ("posted", "edited")]

    @property
    def edits(self) -> list[Version]:
        return [version for version in self.versions if version.what == "edited"]

    @property
    def deletion(self) -> Version | None:
        return self.versions[-1] if self.is_deleted else None

    @property
    def erased(self) -> int:
        return sum(version.is_erased for version in self.versions)

    @property
    def people(self) -> set[UserId]:
        return {
            self.sender_id,
            *self.mentions,
            *(each.by for each in self.versions),
            *(each.by for each in self.reactions),
        }


class Happening(Struct, frozen=True, tag="happening"):
    """Something else of a room: `what` is the topic, `user_id` whom it is about, `details` its other fields."""

    position: int
    at: datetime
    room_id: RoomId
    what: str
    by: UserId | None
    user_id: UserId | None
    reason: str | None
    details: dict[str, Any]
    is_erased: bool = False

    @property
    def people(self) -> set[UserId]:
        return {each for each in (self.by, self.user_id) if each is not None}


Item = Message | Happening


class Stay(Struct, frozen=True):
    """An interval in which somebody was in a room; without an end they still were."""

    user_id: UserId
    joined_position: int
    joined_at: datetime
    left_position: int | None = None
    left_at: datetime | None = None
    ended_by: Literal["left", "removed", "banned"] | None = None


class Person(Struct, frozen=True):
    user_id: UserId
    username: str
    email: str
    is_erased: bool = False

    @property
    def shown(self) -> str:
        return "erased" if self.is_erased else self.username or str(self.user_id)


class Room(Struct, frozen=True):
    """A room as it was at the end of the stretch, and who was ever in it."""

    room_id: RoomId
    name: str
    description: str | None
    topic: str | None
    is_private: bool
    direct: tuple[UserId, ...]
    created_at: datetime
    created_by: UserId
    is_archived: bool
    stays: tuple[Stay, ...]

    @property
    def members(self) -> list[UserId]:
        """Whoever was ever in it, the earliest first."""
        return list(dict.fromkeys([*self.direct, *(stay.user_id for stay in self.stays)]))


class Chunk(Struct, frozen=True):
    """What happened in a room on a day (UTC), or a part of that if it is much: `part` counts from 1."""

    room: Room
    day: date
    part: int
    items: tuple[Item, ...]
    people: Mapping[UserId, Person]

    @property
    def stem(self) -> str:
        """The name of its members, without folder and ending."""
        return f"{self.room.room_id}/{self.day:%Y-%m-%d}" + ("" if self.part == 1 else f".{self.part}")

    @property
    def first(self) -> datetime:
        return self.items[0].at

    @property
    def last(self) -> datetime:
        return self.items[-1].at

    @property
    def messages(self) -> list[Message]:
        return [item for item in self.items if isinstance(item, Message)]

    @property
    def showing(self) -> list[Message]:
        """The messages that show a file whose bytes are in the package."""
        return [each for each in self.messages if each.attachment is not None and each.attachment.path is not None]

    @property
    def present(self) -> list[Stay]:
        """The stays that overlap with it, in order of joining."""
        return [
            stay
            for stay in self.room.stays
            if stay.joined_at <= self.last and (stay.left_at is None or stay.left_at >= self.first)
        ]

    def shown(self, user_id: UserId | None) -> str:
        """Return a name for somebody."""
        return "" if user_id is None else self.people[user_id].shown
