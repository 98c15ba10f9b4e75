"""Frames: what is told of each event, to a room and to oneself. A new event that a room hears without a line fails."""

import json
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest

from domain.events import Event, Meta, Recorded
from domain.ids import EventId, StreamId, UserId
from projections import frames
from projections.frames import OWN_FRAMES, ROOM_FRAMES
from tests.domain.test_topics import LINES, event_of

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)
MESSAGE = {
    "id", "room_id", "sender_id", "message_type", "content", "file_id", "reply_to", "is_edited", "created_at",
    "updated_at", "position", "version", "deleted",
}  # fmt: skip
ROOM = {"id", "name", "description", "is_private", "history", "is_archived", "by", "topic", "kind"}
FILE = {
    "id", "filename", "original_name", "mime_type", "size_bytes", "uploader_id", "status", "progress", "scan", "variants",
    "pages", "error", "created_at", "processed_at",
}  # fmt: skip
# The names that clients know. What is added to an event of the record is told only when it is added here too.
DATA = {
    "message.posted": MESSAGE,
    "message.edited": MESSAGE,
    "message.deleted": MESSAGE,
    "message.pinned": {"room_id", "message_id", "by", "posted_position"},
    "message.unpinned": {"room_id", "message_id", "by", "posted_position"},
    "reaction.added": {"room_id", "message_id", "user_id", "emoji", "count", "posted_position"},
    "reaction.removed": {"room_id", "message_id", "user_id", "emoji", "count", "posted_position"},
    "thread.replied": {"room_id", "thread_id", "message_id", "user_id", "posted_position", "thread"},
    "thread.reply_deleted": {"room_id", "thread_id", "message_id", "user_id", "posted_position", "thread"},
    "thread.followed": {"room_id", "thread_id", "user_id", "posted_position", "since", "cause"},
    "thread.unfollowed": {"room_id", "thread_id", "user_id", "posted_position"},
    "thread.read": {"room_id", "thread_id", "user_id", "posted_position", "position"},
    "member.joined": {"room_id", "user_id", "role", "by", "is_direct"},
    "member.left": {"room_id", "user_id"},
    "member.removed": {"room_id", "user_id", "by", "banned"},
    "member.role_changed": {"room_id", "user_id", "role", "by"},
    "room.opened": ROOM,
    "room.changed": ROOM,
    "room.archived": ROOM,
    "reading.marked": {"room_id", "user_id", "position"},
    "notification.read": {"user_id", "position"},
    "account.profile_changed": {"user_id", "username", "avatar_url"},
    "file.completed": FILE,
    "file.failed": FILE,
}


def recorded_of_every_topic() -> list[Recorded[Any]]:
    """Return a recorded event of every line of the golden file."""
    meta = Meta(EventId(UUID(int=30)), "Test", actor=UserId(UUID(int=7)))
    found = []
    for line in LINES:
        event = event_of(line)
        found.append(Recorded(1050, StreamId(UUID(int=40)), 3, NOON, event, meta))
    return found


FACTS = recorded_of_every_topic()


@pytest.mark.parametrize("recorded", FACTS, ids=lambda recorded: recorded.event.topic)
def test_what_a_room_hears_is_told_whole(recorded: Recorded[Event]) -> None:
    if recorded.event.frame_room() is None:
        assert type(recorded.event) not in ROOM_FRAMES
        return
    told = json.loads(frames.room_frame(recorded, 1042))
    assert type(ROOM_FRAMES[type(recorded.event)].of(recorded)) is ROOM_FRAMES[type(recorded.event)].kind
    data = told.pop("data")
    assert data.pop("file", {}).keys() in (set(), FILE), "what a message shows is told as the file itself is"
    more = {"thread_id", "in_room"} if recorded.event.topic.startswith("message.") else set()
    more |= {"mentions", "mentions_room"} if recorded.event.topic == "message.posted" else set()
    assert DATA[recorded.event.topic] <= data.keys() <= DATA[recorded.event.topic] | more
    assert told == {
        "type": "event",
        "event": recorded.event.topic,
        "position": 1050,
        "prev": 1042,
        "room_id": str(recorded.event.frame_room()),
        "at": "2026-11-24T12:00:00Z",
        "actor_id": "00000000-0000-0000-0000-000000000007",
    }


@pytest.mark.parametrize("recorded", FACTS, ids=lambda recorded: recorded.event.topic)
def test_ones_own_feed_has_neither_room_nor_prev(recorded: Recorded[Any]) -> None:
    told = frames.control(recorded)
    if type(recorded.event) not in OWN_FRAMES:
        assert told is None or told.own == []
        return
    assert told is not None
    own, *others = told.own
    assert own.user_id == getattr(recorded.event, "user_id", None) or own.user_id == recorded.event.uploader_id
    assert tuple(other.user_id for other in others) == getattr(recorded.event, "moderator_ids", ())
    frame = json.loads(own.frame)
    assert (frame["room_id"], frame["prev"], frame["event"]) == (None, None, recorded.event.topic)
    assert frame["data"].keys() == DATA[recorded.event.topic]


def test_the_file_of_a_message_deleted_since_is_told_to_nobody() -> None:
    recorded = next(f for f in FACTS if f.event.topic == "message.posted" and f.event.file is not None)
    assert "cat.jpg" in frames.room_frame(recorded, 1042).decode()
    data = json.loads(frames.tombstone_frame(recorded, 1042))["data"]
    assert (data["deleted"], data["file_id"], "file" in data) == (True, None, False)


def test_an_archived_room_is_told_as_it_stays() -> None:
    at_first, since = (json.loads(frames.room_frame(f, 0))["data"] for f in FACTS if f.event.topic == "room.archived")
    assert (since["name"], since["is_private"], since["history"], since["is_archived"]) == (
        "Lobby",
        True,
        "joined",
        True,
    )
    assert (at_first["name"], at_first["is_archived"]) == ("", True)  # the earliest ones said only by whom
