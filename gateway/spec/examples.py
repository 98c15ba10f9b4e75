"""Examples of every frame, for the AsyncAPI document. They are values of the types, and frames that are made of events: none
can show what the code does not send.
"""

import json
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import msgspec
from msgspec import Struct

from domain.account import ProfileChanged
from domain.events import Event, Meta, Recorded
from domain.file import FileCompleted, FileFailed, Variant
from domain.file_snapshot import FileSnapshot, FileVariant
from domain.ids import EventId, FileId, MessageId, RoomId, StreamId, UserId
from domain.membership import MemberJoined, MemberLeft, MemberRemoved, MemberRoleChanged
from domain.message import MessageDeleted, MessageEdited, MessagePosted
from domain.notification import NotificationsRead
from domain.pin import MessagePinned, MessageUnpinned
from domain.reaction import ReactionAdded, ReactionRemoved
from domain.reading import ReadMarked
from domain.room import RoomArchived, RoomChanged, RoomOpened
from domain.thread import ThreadFollowed, ThreadRead, ThreadReplied, ThreadReplyDeleted, ThreadUnfollowed
from gateway.protocol.client_frames import (
    Authenticate,
    Delete,
    Edit,
    Pin,
    Ping,
    React,
    Read,
    Send,
    Subscribe,
    Typing,
    Unpin,
    Unreact,
    Unsubscribe,
)
from gateway.protocol.server_frames import (
    Error,
    Expiring,
    Hello,
    IsTyping,
    Live,
    Pong,
    Presence,
    Reconnect,
    Refusal,
    Reply,
    Reset,
    Unsubscribed,
)
from projections import frames
from projections.notifications import Notified

RECORD = UUID("6f1c2a52-7c0b-4a51-9f0e-3d1f6f6f8a10")
ROOM = RoomId(UUID("01931f3e-8c00-7a10-8000-0000000000a1"))
OTHER_ROOM = RoomId(UUID("01931f3e-8c00-7a10-8000-0000000000a2"))
MESSAGE = MessageId(UUID("01931f40-1d2e-7b33-9000-0000000000b1"))
REPLY = MessageId(UUID("01931f40-1d2e-7b33-9000-0000000000b2"))
FILE = FileId(UUID("01931f40-1d2e-7b33-9000-0000000000d1"))
GRACE = UserId(UUID("01931f3d-0a00-7c44-8000-0000000000c1"))
ALAN = UserId(UUID("01931f3d-0a00-7c44-8000-0000000000c2"))
NOON = datetime(2026, 11, 24, 12, 0, 0, 123456, tzinfo=UTC)

CLIENT_FRAMES: tuple[Struct, ...] = (
    Authenticate(id=1, token="eyJhbGciOiJFZERTQSJ9.e30.c2lnbmF0dXJl"),  # noqa: S106, an example
    Subscribe(id=2, room_id=ROOM, after=1042, record=RECORD),
    Subscribe(id=2, rooms={ROOM: 1042, OTHER_ROOM: None}),
    Unsubscribe(id=3, room_id=ROOM),
    Send(id=4, room_id=ROOM, message_id=MESSAGE, content="Hello, Alan"),
    Send(id=4, room_id=ROOM, message_id=REPLY, content="Hello, Grace", thread_id=MESSAGE, in_room=True),
    Edit(id=5, message_id=MESSAGE, content="Hello, Alan!", version=1, reason="spelling"),
    Delete(id=6, message_id=MESSAGE),
    Read(id=7, room_id=ROOM, position=1050),
    React(id=8, message_id=MESSAGE, emoji="👍"),
    Unreact(id=9, message_id=MESSAGE, emoji="👍"),
    Pin(id=10, message_id=MESSAGE),
    Unpin(id=11, message_id=MESSAGE),
    Typing(room_id=ROOM),
    Ping(),
)
SERVER_FRAMES: tuple[Struct, ...] = (
    Hello(UUID("9f2d4c1e-5b7a-4a5e-8d3c-2f6e7a8b9c0d"), RECORD, 1049, 25, 900),
    Reply(2, True),
    Reply(4, True, 1050, MESSAGE, False),
    Reply(5, True, 1051),
    Reply(1, True, session_expires_in=900),
    Refusal(4, False, Error("room.not_a_member", "Only members of the room may do this; join it first.", 403, False)),
    Refusal(
        2, False, Error("room.not_found", "There is no such room.", 404, False, rooms={OTHER_ROOM: "room.not_found"})
    ),
    Refusal(4, False, Error("rate.limited", "Too many messages; wait a second.", 429, True, retry_after_seconds=1)),
    Live(ROOM, 1050),
    IsTyping(ROOM, GRACE),
    Presence(ROOM, GRACE, "online"),
    Expiring(60),
    Reconnect(1200),
    Pong(),
    Reset(ROOM, "record_changed"),
    Unsubscribed(ROOM, "removed"),
)
EVENTS: tuple[Event, ...] = (
    MessagePosted(MESSAGE, ROOM, GRACE, "Hello, Alan"),
    MessagePosted(
        MESSAGE, ROOM, GRACE, "The bombe", "image", FILE,
        file=FileSnapshot("bombe.jpg", "image/jpeg", 514_872, "processing", "clamav", NOON),
    ),
    MessagePosted(
        MESSAGE, ROOM, GRACE, "The bombe, again", "image", FILE,
        file=FileSnapshot(
            "bombe.jpg", "image/jpeg", 482_113, "completed", "clamav", NOON, NOON,
            (FileVariant("thumbnail", 256, 192, "image/webp", 7_204), FileVariant("original", 4_000, 3_000, "image/jpeg", 482_113)),
        ),
    ),
    MessagePosted(REPLY, ROOM, ALAN, "Hello, Grace", thread_id=MESSAGE, root_position=1042, in_room=False),
    MessageEdited(MESSAGE, ROOM, GRACE, "Hello, Alan!", "text", None, None, 1050, NOON),
    MessageDeleted(MESSAGE, ROOM, GRACE, "text", None, None, 1050, NOON, True, GRACE),
    MessagePinned(ROOM, MESSAGE, GRACE, 1049),
    MessageUnpinned(ROOM, MESSAGE, GRACE, 1049),
    ReactionAdded(ROOM, MESSAGE, ALAN, "👍", 2, 1049),
    ReactionRemoved(ROOM, MESSAGE, ALAN, "👍", 1, 1049),
    ThreadReplied(ROOM, MESSAGE, REPLY, ALAN, 1, (ALAN,), 1, 1042),
    ThreadReplyDeleted(ROOM, MESSAGE, REPLY, ALAN, 0, (), 0, 1042),
    ThreadFollowed(ROOM, MESSAGE, GRACE, 1042, 0, "author"),
    ThreadUnfollowed(ROOM, MESSAGE, GRACE, 1042),
    ThreadRead(ROOM, MESSAGE, GRACE, 1042, 1050),
    MemberJoined(ROOM, ALAN, "member", GRACE),
    MemberLeft(ROOM, ALAN),
    MemberRemoved(ROOM, ALAN, GRACE),
    MemberRoleChanged(ROOM, ALAN, "admin", GRACE),
    RoomOpened(ROOM, "Bletchley", None, True, GRACE),
    RoomChanged(ROOM, "Bletchley", "Where we meet", True, "shared", GRACE),
    RoomArchived(ROOM, GRACE, "Bletchley", "Where we meet", True, "shared"),
    frames.EventSkipped(ROOM),
    ReadMarked(ROOM, ALAN, 1050),
    NotificationsRead(ALAN, 1050),
    Notified(ALAN, "mention", ROOM, MESSAGE),
    ProfileChanged(ALAN, "alan", None),
    FileCompleted(
        FILE, GRACE, ROOM, "bombe.jpg", "image/jpeg", 482_113, "clamav", NOON, "ab" * 32,
        (Variant("thumbnail", 256, 192, "image/webp", 7_204, "cd" * 32),
         Variant("original", 4_000, 3_000, "image/jpeg", 482_113, "ab" * 32)),
    ),
    FileFailed(FILE, GRACE, ROOM, "bombe.jpg", "image/jpeg", 482_113, "clamav", NOON, "unreadable"),
)  # fmt: skip


def of_client_frame(kind: type[Struct]) -> list[dict[str, Any]]:
    """Return frames of a client without their nulls: absent means the same."""
    found = [msgspec.to_builtins(frame) for frame in CLIENT_FRAMES if type(frame) is kind]
    return [{name: value for name, value in frame.items() if value is not None} for frame in found]


def of_server_frame(kind: type[Struct]) -> list[dict[str, Any]]:
    """Return frames of the server that are not events."""
    return [msgspec.to_builtins(frame) for frame in SERVER_FRAMES if type(frame) is kind]


def of_event(kind: type[Event], *, is_own: bool) -> list[dict[str, Any]]:
    """Return the frames of an event: those of a room, or of one's own feed."""
    meta = Meta(EventId(UUID(int=1)), "Example", actor=GRACE)
    found: list[dict[str, Any]] = []
    for event in EVENTS:
        if type(event) is kind:
            recorded = Recorded(1050, StreamId(UUID(int=1)), 1, NOON, event, meta)
            control = frames.control(recorded)
            frame = control.own[0].frame if is_own and control else frames.room_frame(recorded, 1042)
            found.append(json.loads(frame))
    return found
