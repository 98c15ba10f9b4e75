"""Frames: what sockets are told of an event. A frame is a function of the record: same event, same bytes.

A room's frame names `prev`, the position of the event that the room heard before. The control lane carries what single
people or all gateways hear: sessions that ended, accounts shut, and everybody's own feed (`room_id` and `prev` null).
"""

from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from msgspec import Struct

from domain.account import AccountActivated, AccountDeactivatedEvent, ProfileChanged
from domain.facts import Event, Recorded
from domain.file import FileCompleted, FileFailed
from domain.ids import RoomId, SessionId, UserId
from domain.membership import MemberJoined, MemberLeft, MemberRemoved, MemberRoleChanged
from domain.message import MessageDeleted, MessageEdited, MessagePosted
from domain.reading import ReadMarked
from domain.room import RoomArchivedEvent, RoomChanged, RoomOpened
from domain.session import SessionEnded
from projections.files import completed_view, failed_view
from projections.messages import tombstone, view_of


class EventFrame(Struct, frozen=True, tag_field="type", tag="event"):
    event: str
    position: int
    prev: int | None
    room_id: RoomId | None
    at: datetime
    actor_id: UserId | None
    data: Any


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


_encode = msgspec.json.Encoder().encode
encode_control = _encode
decode_control = msgspec.json.Decoder(Control).decode


def room_frame(fact: Recorded[Any], prev: int) -> bytes:
    """Return the frame of an event that its room hears."""
    event = fact.event
    frame = EventFrame(event.topic, fact.position, prev, event.audience(), fact.at, fact.meta.actor, _data(fact))
    return _encode(frame)


def tombstone_frame(fact: Recorded[Any], prev: int) -> bytes:
    """Return the frame of a post or edit of a message deleted since: everything but the text."""
    event = fact.event
    data = tombstone(view_of(fact))
    return _encode(EventFrame(event.topic, fact.position, prev, event.room_id, fact.at, fact.meta.actor, data))


def posting_of(fact: Recorded[Any]) -> int | None:
    """Return the position of the posting whose text a frame would tell; None: it tells none."""
    match fact.event:
        case MessagePosted():
            return fact.position
        case MessageEdited():
            return fact.event.posted_position
    return None


def ends_membership(event: Event) -> UserId | None:
    """Return whose feed of the room ends with this event."""
    return event.user_id if isinstance(event, (MemberLeft, MemberRemoved)) else None


def control(fact: Recorded[Any]) -> Control | None:
    """Return what the control lane says of an event; None for nothing."""
    event = fact.event
    match event:
        case SessionEnded():
            return Control(fact.position, session_ended=event.session_id)
        case AccountDeactivatedEvent():
            return Control(fact.position, deactivated=event.user_id)
        case AccountActivated():
            return Control(fact.position, activated=event.user_id)
        case MemberJoined() | MemberLeft() | MemberRemoved() | MemberRoleChanged() | ReadMarked() | ProfileChanged():
            frame = EventFrame(event.topic, fact.position, None, None, fact.at, fact.meta.actor, _data(fact))
            return Control(fact.position, own=[Own(event.user_id, _encode(frame).decode())])
        case FileCompleted() | FileFailed():
            frame = EventFrame(event.topic, fact.position, None, None, fact.at, fact.meta.actor, _data(fact))
            told = [event.uploader_id, *(event.moderator_ids if isinstance(event, FileFailed) else ())]
            return Control(fact.position, own=[Own(user, _encode(frame).decode()) for user in dict.fromkeys(told)])
    return None


def _data(fact: Recorded[Any]) -> Any:
    event = fact.event
    match event:
        case MessagePosted() | MessageEdited() | MessageDeleted():
            return view_of(fact)
        case RoomOpened():
            return _room(event.room_id, event.name, event.description, event.is_private, event.history, event.owner_id)
        case RoomChanged():
            return _room(event.room_id, event.name, event.description, event.is_private, event.history, event.by)
        case RoomArchivedEvent():
            return {"id": event.room_id, "is_archived": True, "by": event.by}
        case FileCompleted():
            return completed_view(fact)
        case FileFailed():
            return failed_view(fact)
    return event


def _room(
    room_id: UUID, name: str, description: str | None, is_private: bool, history: str, by: UUID
) -> dict[str, Any]:
    return {
        "id": room_id,
        "name": name,
        "description": description or None,
        "is_private": is_private,
        "history": history,
        "is_archived": False,
        "by": by,
    }
