"""What the server says, as values. Ids are strings, times are aware datetimes; fields not known here are passed over."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import datetime
from typing import Any, Literal, Self, TypedDict

MESSAGE_KINDS = ("message.posted", "message.edited", "message.deleted")
Role = Literal["owner", "admin", "member"]
Json = Mapping[str, Any]


def _read_by(read: Callable[[Any], Any]) -> Any:
    return field(metadata={"read": read})


def _time() -> Any:
    return _read_by(datetime.fromisoformat)


@dataclass(frozen=True)
class _Said:
    @classmethod
    def of(cls, said: Json) -> Self:
        """Return what a JSON object says. A field that it lacks is None: servers may be older or newer."""
        found = {}
        for each in fields(cls):
            value, read = said.get(each.name), each.metadata.get("read")
            found[each.name] = value if value is None or read is None else read(value)
        return cls(**found)


@dataclass(frozen=True)
class User(_Said):
    """What everybody may see of somebody."""

    id: str
    username: str
    avatar_url: str | None
    created_at: datetime = _time()


@dataclass(frozen=True)
class Profile(_Said):
    """What a person sees of themselves."""

    id: str
    email: str
    username: str
    avatar_url: str | None
    is_active: bool
    is_verified: bool
    version: int
    created_at: datetime = _time()
    updated_at: datetime = _time()


@dataclass(frozen=True)
class Session(_Said):
    """What logging in answers. The refresh token is good for one use: whoever keeps it keeps the newest."""

    access_token: str = field(repr=False)
    refresh_token: str = field(repr=False)
    expires_in: int
    user: Profile = _read_by(Profile.of)


@dataclass(frozen=True)
class Variant(_Said):
    """A form that was made of a file. `url` is a path of the server; `Client.download` fetches it by its name."""

    width: int
    height: int
    mime_type: str
    size_bytes: int
    url: str


@dataclass(frozen=True)
class FileError(_Said):
    """Why a file failed: a stable code, and a sentence for people."""

    code: str
    detail: str


def _variants(said: Json) -> dict[str, Variant]:
    return {name: Variant.of(each) for name, each in said.items()}


@dataclass(frozen=True)
class File(_Said):
    """A file as it stands. `progress` goes from 0 to 1; `variants` are there once it is `completed`."""

    id: str
    filename: str
    original_name: str
    mime_type: str
    size_bytes: int
    uploader_id: str
    status: Literal["pending", "processing", "completed", "failed"]
    progress: float
    scan: str | None
    pages: int | None
    variants: Mapping[str, Variant] = _read_by(_variants)
    error: FileError | None = _read_by(FileError.of)
    created_at: datetime = _time()
    processed_at: datetime | None = _time()

    @property
    def has_ended(self) -> bool:
        return self.status in ("completed", "failed")


@dataclass(frozen=True)
class Reaction(_Said):
    """How many gave a message an emoji, and whether one did oneself."""

    emoji: str
    count: int
    me: bool


@dataclass(frozen=True)
class Reactor(_Said):
    """Who gave an emoji."""

    emoji: str
    user_id: str
    position: int
    at: datetime = _time()


@dataclass(frozen=True)
class Thread(_Said):
    """The replies to a message. `last_reply_at` is None if none is left; `participants` are the first ten of those by whom
    there are some. `following`, `unread` and `read_position` are one's own: None in events, and the latter two where one does
    not follow the thread."""

    reply_count: int
    participants: tuple[str, ...] = _read_by(tuple)
    participant_count: int = 0
    following: bool | None = None
    unread: int | None = None
    read_position: int | None = None
    last_reply_at: datetime | None = field(default=None, metadata={"read": datetime.fromisoformat})


@dataclass(frozen=True)
class PushSubscription(_Said):
    """A device that is told of things; `service` is the origin of its push service, `is_current`: it is this session's."""

    id: str
    device: str | None
    service: str
    is_current: bool
    subscribed_at: datetime = _time()


@dataclass(frozen=True)
class Export(_Said):
    """A package of what was said. `status`: awaiting_approval, queued, running, interrupted, completed, cancelled, failed or
    expired; `progress` from 0 to 1. `content_sha256` is that of the package before it was encrypted."""

    id: str
    status: str
    progress: float
    messages: int
    size: int | None
    sha256: str | None
    content_sha256: str | None
    requested_by: str
    formats: tuple[str, ...] = _read_by(tuple)
    encrypted: bool = False
    error: str | None = None
    requested_at: datetime | None = field(default=None, metadata={"read": datetime.fromisoformat})

    @property
    def has_ended(self) -> bool:
        return self.status in ("completed", "cancelled", "failed", "expired")


@dataclass(frozen=True)
class AuditEntry(_Said):
    """An event of the record as auditors see it. `before` has what `data` replaced."""

    position: int
    type: str
    stream: str
    version: int
    room_id: str | None
    command: str
    actor: str | None
    session: str | None
    address: str | None
    agent: str | None
    reason: str | None
    data: Json
    before: Json | None
    erased: bool
    leaf_hash: str
    recorded_at: datetime = _time()


@dataclass(frozen=True)
class Approval(_Said):
    """What waits for somebody else's approval, or what became of it; `state` is pending, granted, refused or expired."""

    id: str
    subject: str
    about_id: str
    state: str
    requester_id: str | None
    user_id: str | None
    summary: str
    reason: str
    decider_id: str | None
    decision_reason: str | None
    requested_at: datetime = _time()
    expires_at: datetime = _time()
    decided_at: datetime | None = _time()


def _reactions(said: Sequence[Json]) -> tuple[Reaction, ...]:
    return tuple(map(Reaction.of, said))


@dataclass(frozen=True)
class Message(_Said):
    """A message as it is now. `position` is that of its posting; `content` of a deleted one is empty, its `file` None.

    `reactions`, `pinned` and `thread` are None where the server does not say them: in events, and in what a write answers.
    Of a reply in a thread, `thread_id` is the message that it is the thread of, and `in_room` says whether the room shows it.
    """

    id: str
    room_id: str
    sender_id: str | None
    message_type: str
    content: str
    file_id: str | None
    reply_to: str | None
    is_edited: bool
    deleted: bool
    position: int
    version: int
    file: File | None = _read_by(File.of)
    created_at: datetime = _time()
    updated_at: datetime = _time()
    reactions: tuple[Reaction, ...] | None = field(default=None, metadata={"read": _reactions})
    pinned: bool | None = None
    mentions: tuple[str, ...] | None = field(default=None, metadata={"read": tuple})
    mentions_room: Literal["here", "room"] | None = None
    thread_id: str | None = None
    in_room: bool | None = None
    thread: Thread | None = field(default=None, metadata={"read": Thread.of})


@dataclass(frozen=True)
class Version(_Said):
    """One version of a message."""

    version: int
    position: int
    actor_id: str | None
    content: str
    deleted: bool
    at: datetime = _time()


@dataclass(frozen=True)
class Room(_Said):
    """A room as the caller sees it. Who is no member has no role, and neither `unread` nor `read_position`."""

    id: str
    name: str
    description: str | None
    is_private: bool
    is_archived: bool
    history: str
    owner_id: str
    my_role: Role | None
    member_count: int
    unread: int | None
    read_position: int | None
    version: int
    last_message: Message | None = _read_by(Message.of)
    created_at: datetime = _time()
    updated_at: datetime = _time()
    topic: str | None = None
    kind: Literal["room", "direct"] = "room"
    mention_count: int | None = None


@dataclass(frozen=True)
class Member(_Said):
    user_id: str
    role: Role
    joined_at: datetime = _time()


@dataclass(frozen=True)
class RoomChange(_Said):
    """One change of a room; `before` and `after` have the fields that differ, of a member the `role`."""

    position: int
    type: str
    actor_id: str | None
    user_id: str | None
    message_id: str | None
    before: Json
    after: Json
    at: datetime = _time()


@dataclass(frozen=True)
class Meta(_Said):
    """What a deployment is, and how long its record is."""

    record: str
    position: int
    feature_level: int
    version: str
    limits: Json


@dataclass(frozen=True)
class Notification(_Said):
    """What one was told of: as what (`mention`, `direct`, `thread`, `keyword`, …), where, by whom, and whether it was read."""

    position: int
    kind: str
    room_id: str | None
    message_id: str | None
    actor_id: str | None
    read: bool
    at: datetime = _time()
    thread_id: str | None = None
    file_id: str | None = None


Level = Literal["all", "mentions", "none"]


@dataclass(frozen=True)
class NotificationSettings(_Said):
    """What one wants to be told of. `rooms` by id, in place of the `default`."""

    default: Level
    rooms: Mapping[str, Level]
    keywords: Sequence[str]
    quiet: Json | None
    email: Literal["off", "soon", "daily"]
    content: Literal["hidden", "shown"]
    dnd_until: datetime | None = _time()


class NotificationChanges(TypedDict, total=False):
    """What may be changed of them. Absent means unchanged; None clears. `quiet` is `{from, to, time_zone, days?}`."""

    default: Level
    rooms: Mapping[str, Level]
    keywords: Sequence[str]
    quiet: Json | None
    dnd_until: str | None
    email: Literal["off", "soon", "daily"]
    content: Literal["hidden", "shown"]


class RoomChanges(TypedDict, total=False):
    """What may be changed of a room. Absent means unchanged; None clears the description, or the topic."""

    name: str
    description: str | None
    topic: str | None
    is_private: bool
    history: Literal["shared", "joined"]


class ProfileChanges(TypedDict, total=False):
    """What may be changed of one's profile. Absent means unchanged; None clears the avatar."""

    username: str
    avatar_url: str | None


@dataclass(frozen=True)
class Event:
    """Something that happened. `kind` says what (`message.posted`), `data` is the whole of it as it was then.

    `room_id` and `prev` are None for what one hears of oneself. Kinds not known to a program are to be passed over.
    """

    kind: str
    position: int
    prev: int | None
    room_id: str | None
    at: datetime
    actor_id: str | None
    data: Json

    @property
    def message(self) -> Message | None:
        """The message that this event is about, if it is about one."""
        return Message.of(self.data) if self.kind in MESSAGE_KINDS else None


@dataclass(frozen=True)
class Notice:
    """A frame that is no room's event: `hello`, `typing`, `presence`, or one not known here. Not told again if missed."""

    type: str
    frame: Json


@dataclass(frozen=True)
class Sent:
    """A message is on the server's disk, at this position for ever. `duplicate`: it was already, before this send."""

    message_id: str
    position: int
    duplicate: bool


def _time_or_none(said: str | None) -> datetime | None:
    return None if said is None else datetime.fromisoformat(said)


@dataclass(frozen=True)
class LegalHold(_Said):
    """What must not be destroyed. No persons: whoever it was; no rooms: wherever it was. `released_at` None: it is active."""

    id: str
    name: str
    persons: list[str]
    rooms: list[str]
    placed_by: str
    placed_at: datetime = _time()
    released_by: str | None = None
    released_at: datetime | None = field(default=None, metadata={"read": _time_or_none})


@dataclass(frozen=True)
class Retention(_Said):
    """How long things are kept; None: no bound. `source` is whose policy it is (`room`, `default`, `none`). `dry_run` is what
    was counted, if that was asked for."""

    room_id: str | None
    source: str
    days_min: int | None
    days_max: int | None
    destroys_from: datetime | None = field(default=None, metadata={"read": _time_or_none})
    dry_run: Json | None = None


TaskState = Literal["queued", "running", "failed", "dead"]
TaskKind = Literal["scan", "image", "document", "rebuild", "export", "push", "mail", "webhook", "erasure"]


@dataclass(frozen=True)
class Task(_Said):
    """A step of background work. `failed`: it is tried again at `due_at`; `dead`: it was given up. `at`: since when it stands so.
    `about_id` is the file, rebuild, export, device or address, or who is erased; `attempts` None: nobody counts."""

    id: str
    kind: TaskKind
    state: TaskState
    attempts: int | None
    error: str | None
    user_id: str | None
    about_id: str
    can_retry: bool
    at: datetime = _time()
    due_at: datetime | None = field(default=None, metadata={"read": _time_or_none})
