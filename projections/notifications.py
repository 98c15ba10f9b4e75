"""Notifications: the inbox of each person, made of the record alone. Owns `read.notifications` and what decides it.

A group of its own, so that no frame waits for it. Who is told of an event follows from the facts at its position
(`projections/notification_audience.py`); whether it was read, and whether it may still be shown, follows from the tables of the
moment: a room that was read on any device has read its notifications, and those of a deleted message, or of a room that one is
not in any more, are not shown. In the statements `$3` and `$4` are rooms, and how far the person has read them if the tables do
not say so yet.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import ClassVar

import msgspec
from msgspec import Struct

from domain.account import AccountErased
from domain.block import UserBlocked, UserUnblocked
from domain.events import Event, Recorded
from domain.ids import FileId, MessageId, RoomId, UserId
from domain.membership import MemberLeft, MemberRemoved
from domain.message import MessageDeleted
from domain.notification import NotificationSettings, NotificationSettingsChanged, NotificationsRead, settings_of
from domain.ports.database import Db
from domain.telling import Kind
from domain.thread import ThreadFollowed, ThreadUnfollowed
from projections.tables import Change, Projection, Table

GROUP, LIVE = "notifications", "live"
UNREAD_COUNTED_MAX = 1_000
HIDDEN: Kind = "room"  # told to those who follow a room, and not in their inbox

SELECT_PAGE = """
    SELECT n.position, n.kind, n.room_id, n.message_id, n.file_id, n.actor_id, n.at,
        n.thread_id, n.position <= greatest(
            coalesce(i.read_position, 0), coalesce(f.read_position, 0),
            CASE WHEN n.in_room THEN
                greatest(m.read_position, ($4::bigint[])[array_position($3::uuid[], n.room_id)], 0)
            ELSE 0 END
        ) AS read
    FROM read.notifications n
    LEFT JOIN read.notification_inboxes i ON i.user_id = n.account_id
    LEFT JOIN read.thread_followers f ON f.root_position = n.root_position AND f.user_id = n.account_id
    LEFT JOIN read.room_members m ON m.room_id = n.room_id AND m.user_id = n.account_id
    LEFT JOIN read.messages msg ON msg.position = n.position
    WHERE n.account_id = $1 AND n.position < $2 AND n.kind <> 'room'
        AND (n.room_id IS NULL OR m.role IS NOT NULL) AND msg.deleted IS NOT TRUE
    ORDER BY n.position DESC LIMIT $5
"""
SELECT_FILLED = """
    SELECT least(
        coalesce((SELECT position FROM read.checkpoints WHERE name = $1 ORDER BY position DESC LIMIT 1), 0),
        coalesce((SELECT position FROM read.checkpoints WHERE name = $2 ORDER BY position DESC LIMIT 1), 0)
    ) AS position
"""
# All of a position or nothing of it: what is told together is published together. Both look at what is shown in inboxes alone, so
# that nothing stands for "no more": there may be very much between that is not.
SELECT_TOLD = """
    SELECT n.position, n.account_id AS user_id, n.kind, n.room_id, n.message_id, n.file_id, n.actor_id, n.at,
        n.thread_id
    FROM read.notifications n
    WHERE n.position > $1 AND n.kind <> 'room' AND n.position <= coalesce((
        SELECT last.position FROM read.notifications last
        WHERE last.position > $1 AND last.position <= $2 AND last.kind <> 'room'
        ORDER BY last.position OFFSET $3 LIMIT 1
    ), $2)
    ORDER BY n.position, n.account_id
"""
SELECT_UNREAD = """
    SELECT count(*) FROM (
        SELECT FROM read.notifications n
        LEFT JOIN read.thread_followers f ON f.root_position = n.root_position AND f.user_id = n.account_id
        LEFT JOIN read.room_members m ON m.room_id = n.room_id AND m.user_id = n.account_id
        LEFT JOIN read.messages msg ON msg.position = n.position
        WHERE n.account_id = $1 AND n.kind <> 'room'
            AND n.position > coalesce((SELECT own.read_position FROM read.notification_inboxes own WHERE own.user_id = $1), 0)
            AND n.position > greatest(
                coalesce(f.read_position, 0),
                CASE WHEN n.in_room THEN
                    greatest(m.read_position, ($3::bigint[])[array_position($2::uuid[], n.room_id)], 0)
                ELSE 0 END
            )
            AND (n.room_id IS NULL OR m.role IS NOT NULL) AND msg.deleted IS NOT TRUE
        LIMIT $4
    ) counted
"""

NOTIFICATIONS = Table(
    "read.notifications",
    key={"account_id": "uuid", "position": "bigint"},
    columns={
        "kind": "text",
        "room_id": "uuid",
        "message_id": "uuid",
        "file_id": "uuid",
        "actor_id": "uuid",
        "at": "timestamptz",
        "is_here": "bool",
        "thread_id": "uuid",
        "root_position": "bigint",
        "in_room": "bool",
    },
)
SETTINGS = Table("read.notification_settings", key={"user_id": "uuid"}, columns={"settings": "text", "watches": "bool"})
MEMBERS = Table(
    "read.notification_members",
    key={"room_id": "uuid", "user_id": "uuid"},
    columns={"is_member": "bool", "is_direct": "bool"},
)
THREADS = Table("read.notification_threads", key={"thread_id": "uuid", "user_id": "uuid"}, columns={"follows": "bool"})
BLOCKS = Table("read.notification_blocks", key={"blocked_id": "uuid", "user_id": "uuid"}, columns={"blocked": "bool"})
INBOXES = Table("read.notification_inboxes", key={"user_id": "uuid"}, columns={"read_position": "bigint"})

encode_settings = msgspec.json.Encoder().encode
decode_settings = msgspec.json.Decoder(NotificationSettings).decode


class NotificationView(Struct, frozen=True):
    """`position` is that of what happened: of the message, of the joining. `file_id` is that of a file that could not be taken
    in; `thread_id` the root, if it is a reply. `read`: the inbox was read up to there, or the room or the thread was."""

    position: int
    kind: Kind
    room_id: RoomId | None
    message_id: MessageId | None
    file_id: FileId | None
    actor_id: UserId | None
    at: datetime
    thread_id: MessageId | None
    read: bool


class Told(Struct, frozen=True):
    """A row of somebody's inbox."""

    position: int
    user_id: UserId
    kind: Kind
    room_id: RoomId | None
    message_id: MessageId | None
    file_id: FileId | None
    actor_id: UserId | None
    at: datetime
    thread_id: MessageId | None


class Notified(Event, frozen=True):
    """Somebody was told of something: what a frame of the inbox is made of. It is never recorded."""

    topic: ClassVar = "notification"

    user_id: UserId
    kind: Kind
    room_id: RoomId | None
    message_id: MessageId | None
    file_id: FileId | None = None
    thread_id: MessageId | None = None


async def filled_to(db: Db) -> int:
    """Return up to where inboxes are filled and what they speak of can be read: nobody is told of anything before."""
    return int(await db.value(SELECT_FILLED, GROUP, LIVE))


async def told_since(db: Db, position: int, until: int, *, limit: int) -> list[Told]:
    """Return what inboxes show of the events after a position and up to another: about `limit` rows, and all of each event's."""
    return await db.all(Told, SELECT_TOLD, position, until, limit)


def notified_view(recorded: Recorded[Notified]) -> NotificationView:
    """Return a notification as its frame shows it: nobody has read it yet."""
    e = recorded.event
    return NotificationView(
        recorded.position,
        e.kind,
        e.room_id,
        e.message_id,
        e.file_id,
        recorded.meta.actor,
        recorded.at,
        e.thread_id,
        False,
    )


async def page(
    db: Db, user_id: UserId, *, before: int, marks: Mapping[RoomId, int], limit: int
) -> list[NotificationView]:
    """Return what a person was told before a position, the latest first."""
    return await db.all(NotificationView, SELECT_PAGE, user_id, before, list(marks), list(marks.values()), limit)


async def unread(db: Db, user_id: UserId, marks: Mapping[RoomId, int]) -> int:
    """Return how much of an inbox is unread, counted up to 1,000."""
    counted = await db.value(SELECT_UNREAD, user_id, list(marks), list(marks.values()), UNREAD_COUNTED_MAX)
    return int(counted)


def watches(settings: NotificationSettings) -> bool:
    """Return whether posts that do not name a person may be told to them."""
    levels: Sequence[str] = (settings.default, *(each.level for each in settings.rooms))
    return bool(settings.keywords) or "all" in levels


def settings_changed(recorded: Recorded[NotificationSettingsChanged]) -> Iterable[Change]:
    settings = settings_of(recorded.event)
    yield SETTINGS.put(settings.user_id, settings=encode_settings(settings).decode(), watches=watches(settings))


def read(recorded: Recorded[NotificationsRead]) -> Iterable[Change]:
    yield INBOXES.put(recorded.event.user_id, read_position=recorded.event.position)


def gone(recorded: Recorded[MemberLeft | MemberRemoved]) -> Iterable[Change]:
    yield MEMBERS.set(recorded.event.room_id, recorded.event.user_id, is_member=False)


def followed(recorded: Recorded[ThreadFollowed]) -> Iterable[Change]:
    yield THREADS.put(recorded.event.thread_id, recorded.event.user_id, follows=True)


def unfollowed(recorded: Recorded[ThreadUnfollowed]) -> Iterable[Change]:
    yield THREADS.put(recorded.event.thread_id, recorded.event.user_id, follows=False)


def blocked(recorded: Recorded[UserBlocked]) -> Iterable[Change]:
    yield BLOCKS.put(recorded.event.blocked_id, recorded.event.user_id, blocked=True)


def unblocked(recorded: Recorded[UserUnblocked]) -> Iterable[Change]:
    yield BLOCKS.put(recorded.event.blocked_id, recorded.event.user_id, blocked=False)


def erased(recorded: Recorded[AccountErased]) -> Iterable[Change]:
    """Take away what the person was told and what others were told of them: which words of theirs it was for, nobody knows any
    more who makes this table anew."""
    yield NOTIFICATIONS.drop("account_id", recorded.event.user_id)
    yield NOTIFICATIONS.drop("actor_id", recorded.event.user_id)
    for table in (SETTINGS, INBOXES, BLOCKS, THREADS):
        yield table.drop("user_id", recorded.event.user_id)


def deleted(recorded: Recorded[MessageDeleted]) -> Iterable[Change]:
    """Take away what people were told of the message, which nobody is shown any more: which of its words it was for, nobody knows
    who makes this table anew once they are destroyed."""
    yield NOTIFICATIONS.drop("position", recorded.event.posted_position)


# What needs no other facts than the event; `projections/notification_audience.py` has the others.
PROJECTION = Projection(
    tables=(NOTIFICATIONS, SETTINGS, MEMBERS, THREADS, BLOCKS, INBOXES),
    handlers={
        NotificationSettingsChanged: settings_changed,
        NotificationsRead: read,
        MemberLeft: gone,
        MemberRemoved: gone,
        ThreadFollowed: followed,
        ThreadUnfollowed: unfollowed,
        UserBlocked: blocked,
        UserUnblocked: unblocked,
        AccountErased: erased,
        MessageDeleted: deleted,
    },
)
