"""Notifications: what a person wants to be told of and when, and how far they have read their inbox.

A person has one stream of settings and one of read marks. Keywords, quiet hours and do-not-disturb say something about the
person's life, so they are sealed. Who is told of what is decided by `domain/telling.py`, until when by `domain/quiet_hours.py`.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import ClassVar, Literal
from uuid import UUID

from msgspec import Struct
from msgspec.structs import replace

from domain.bounds import KEYWORD_CHARS_MAX, KEYWORDS_MAX, NOTIFICATION_ROOMS_MAX
from domain.errors import InvalidError
from domain.events import Event, Recorded, Stream
from domain.ids import RoomId, UserId
from domain.integers import Int8
from domain.moments import require_in_range
from domain.quiet_hours import Quiet, check_quiet
from domain.text import LINE_BREAKING, fold

Level = Literal["all", "mentions", "none"]
MailPace = Literal["off", "soon", "daily"]
Shown = Literal["hidden", "shown"]


class RoomLevel(Struct, frozen=True):
    """What a person wants to be told of in one room."""

    room_id: RoomId
    level: Level


class _Personal(Event, frozen=True):
    user_id: UserId

    def encryption_subject(self) -> tuple[UUID, RoomId | None]:
        return self.user_id, None


class NotificationSettingsChanged(_Personal, frozen=True):
    """All settings after the change."""

    topic: ClassVar = "notification.settings_changed"
    sealed: ClassVar = ("keywords", "quiet", "dnd_until")

    default: Level = "mentions"
    rooms: tuple[RoomLevel, ...] = ()
    keywords: tuple[str, ...] = ()
    quiet: Quiet | None = None
    dnd_until: datetime | None = None
    email: MailPace = "off"
    content: Shown = "hidden"


class NotificationsRead(_Personal, frozen=True):
    """Everything in the inbox up to this position is read."""

    topic: ClassVar = "notification.read"

    position: Int8


class NotificationSettings(Struct, frozen=True):
    """`default` goes for rooms that are not in `rooms`. `content` says whether a notice may show what was written, and by whom."""

    user_id: UserId
    default: Level = "mentions"
    rooms: tuple[RoomLevel, ...] = ()
    keywords: tuple[str, ...] = ()
    quiet: Quiet | None = None
    dnd_until: datetime | None = None
    email: MailPace = "off"
    content: Shown = "hidden"

    def level_in(self, room_id: RoomId) -> Level:
        return next((each.level for each in self.rooms if each.room_id == room_id), self.default)


class Inbox(Struct, frozen=True):
    """How far one person has read their inbox."""

    read_position: int


def change(
    settings: NotificationSettings | None, wanted: NotificationSettings
) -> tuple[NotificationSettingsChanged, ...]:
    """Replace the settings; the same again change nothing. Keywords that are compared as equal are kept once."""
    _check(wanted)
    wanted = replace(wanted, keywords=_each_once(wanted.keywords))
    if wanted == (settings or NotificationSettings(wanted.user_id)):
        return ()
    return (
        NotificationSettingsChanged(
            wanted.user_id, wanted.default, wanted.rooms, wanted.keywords, wanted.quiet, wanted.dnd_until,
            wanted.email, wanted.content,
        ),
    )  # fmt: skip


def mark(inbox: Inbox | None, *, user_id: UserId, position: int, head: int) -> tuple[NotificationsRead, ...]:
    """Move the mark forward, at most to the head. A mark that is not further changes nothing."""
    position = min(position, head)
    if position <= (0 if inbox is None else inbox.read_position):
        return ()
    return (NotificationsRead(user_id, position),)


def settings_of(event: NotificationSettingsChanged) -> NotificationSettings:
    """Return the settings that an event made."""
    return NotificationSettings(
        event.user_id, event.default, event.rooms, event.keywords, event.quiet, event.dnd_until, event.email,
        event.content,
    )  # fmt: skip


def _check(wanted: NotificationSettings) -> None:
    if len(wanted.rooms) > NOTIFICATION_ROOMS_MAX:
        raise InvalidError(f"At most {NOTIFICATION_ROOMS_MAX} rooms have a setting of their own.", pointer="/rooms")
    if len(wanted.keywords) > KEYWORDS_MAX:
        raise InvalidError(f"There are at most {KEYWORDS_MAX} keywords.", pointer="/keywords")
    for i, keyword in enumerate(wanted.keywords):
        if not 1 <= len(keyword.strip()) <= len(keyword) <= KEYWORD_CHARS_MAX or LINE_BREAKING.search(keyword):
            detail = f"A keyword is one line of 1 to {KEYWORD_CHARS_MAX} characters."
            raise InvalidError(detail, pointer=f"/keywords/{i}")
    if wanted.quiet is not None:
        check_quiet(wanted.quiet)
    if wanted.dnd_until is not None and wanted.dnd_until.tzinfo is None:
        raise InvalidError("A time has an offset, like Z.", pointer="/dnd_until")
    require_in_range(wanted.dnd_until, pointer="/dnd_until")


def _each_once(keywords: Sequence[str]) -> tuple[str, ...]:
    """Return the keywords without blanks around them; of those that are compared as equal the first."""
    return tuple({fold(keyword): keyword for keyword in reversed([each.strip() for each in keywords])}.values())[::-1]


def evolve(_: NotificationSettings | None, recorded: Recorded[NotificationSettingsChanged]) -> NotificationSettings:
    return settings_of(recorded.event)


def evolve_inbox(_: Inbox | None, recorded: Recorded[NotificationsRead]) -> Inbox:
    return Inbox(recorded.event.position)


SETTINGS: Stream[NotificationSettings] = Stream(
    "notification_settings", evolve, NotificationSettings, subject=lambda settings: (settings.user_id, None)
)
INBOX: Stream[Inbox] = Stream("inbox", evolve_inbox, Inbox)
EVENTS: tuple[type[Event], ...] = (NotificationSettingsChanged,)
INBOX_EVENTS: tuple[type[Event], ...] = (NotificationsRead,)
