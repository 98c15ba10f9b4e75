"""The history of a room: which of its events changed it, and what it was before each. `read.room_changes` says where they stand
(`projections/past_rooms.py`); what they say is read from the record, and so is the event before each in its stream."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from msgspec import Struct

from domain.authorization import require_standing, standings
from domain.events import Recorded, UnknownEvent
from domain.ids import MessageId, RoomId, UserId
from domain.membership import MemberJoined, MemberLeft, MemberRemoved, MemberRoleChanged
from domain.pin import MessagePinned, MessageUnpinned
from domain.ports.database import Db
from domain.ports.past import Past
from domain.room import RoomArchived, RoomChanged, RoomOpened

SELECT_PAGE = """
    SELECT room.standing, change.position, change.named_position, change.is_hidden
    FROM (
        SELECT r.id, read.standing(r.is_private, r.is_archived, m.role, m.is_banned) AS standing,
            read.readable_from(r.history, m.role, m.joined_position) AS readable_from
        FROM read.rooms r LEFT JOIN read.room_members m ON m.room_id = r.id AND m.user_id = $1 WHERE r.id = $2
    ) room
    LEFT JOIN LATERAL (
        SELECT c.position, (
            SELECT p.position FROM read.past_rooms p
            WHERE p.room_id = c.room_id AND p.name IS NOT NULL AND p.position < c.position ORDER BY p.position DESC LIMIT 1
        ) AS named_position, coalesce(c.posted_position < room.readable_from, false) AS is_hidden
        FROM read.room_changes c
        WHERE room.standing = ANY ($3::text[]) AND c.room_id = room.id AND c.position >= room.readable_from AND c.position < $4
        ORDER BY c.position DESC LIMIT $5
    ) change ON true
    ORDER BY change.position DESC
"""
FIELDS = ("name", "description", "is_private", "history", "room_topic")
END = 2**63 - 1


class RoomChangeView(Struct, frozen=True):
    """One change of a room. `before` and `after` have the fields that differ: those of the room; a member's `role`, null for
    somebody who was, or is, no member; or whether a message is `pinned`."""

    position: int
    type: str
    at: datetime
    actor_id: UserId | None
    user_id: UserId | None
    message_id: MessageId | None
    before: dict[str, str | bool | None]
    after: dict[str, str | bool | None]


class ChangePlace(Struct, frozen=True):
    """Where a change stands, the room's last naming before it, and whether it is of a message that the viewer may not read.
    Positions None: there is no change."""

    standing: str
    position: int | None
    named_position: int | None
    is_hidden: bool | None


async def page(
    db: Db, past: Past, user_id: UserId, room_id: RoomId, *, before: int | None, limit: int
) -> tuple[list[RoomChangeView], int | None]:
    """Return at most `limit` changes of a room, the latest first, and the position before which to go on; None: there are no more.
    There may be fewer, or none, although it goes on: pins of messages from before somebody joined are passed over. Raise
    `DomainError` if this person may not read them."""
    rows = await db.all(
        ChangePlace, SELECT_PAGE, user_id, room_id, standings("room.history"), END if before is None else before, limit
    )
    require_standing("room.history", rows[0].standing if rows else None)
    named = {row.position: row.named_position for row in rows if row.position is not None and not row.is_hidden}
    events = await past.at([*named, *(each for each in named.values() if each is not None)])
    members = [events[position] for position in named if _is_of_member(events[position])]
    earlier = await past.before([(recorded.stream, recorded.version) for recorded in members])
    found = [_view(events[position], events.get(named[position] or 0), earlier) for position in named]
    return found, rows[-1].position if len(rows) == limit else None


def _is_of_member(recorded: Recorded[Any]) -> bool:
    return isinstance(recorded.event, MemberJoined | MemberLeft | MemberRemoved | MemberRoleChanged)


def _view(
    recorded: Recorded[Any], named: Recorded[Any] | None, earlier: Mapping[tuple[Any, int], Recorded[Any]]
) -> RoomChangeView:
    e = recorded.event
    user_id, message_id = None, None
    before: Mapping[str, Any] = {}
    match e:
        case RoomOpened():
            after = _fields(e, FIELDS[:4])
        case RoomChanged():
            before, after = _fields(named.event if named else None, FIELDS), _fields(e, FIELDS)
        case RoomArchived():
            before, after = {"is_archived": False}, {"is_archived": True}
        case MemberJoined() | MemberLeft() | MemberRemoved() | MemberRoleChanged():
            user_id = e.user_id
            before = {"role": _role(earlier.get((recorded.stream, recorded.version)))}
            after = {"role": getattr(e, "role", None)}
        case MessagePinned() | MessageUnpinned():
            message_id, is_pinned = e.message_id, isinstance(e, MessagePinned)
            before, after = {"pinned": not is_pinned}, {"pinned": is_pinned}
        case _:
            after = {}
    topic = e.recorded_topic if isinstance(e, UnknownEvent) else e.topic
    return RoomChangeView(
        recorded.position, topic, recorded.at, recorded.meta.actor, user_id, message_id, *_different(before, after)
    )


def _role(recorded: Recorded[Any] | None) -> Any:
    return None if recorded is None else getattr(recorded.event, "role", None)


def _fields(event: Any, names: Sequence[str]) -> dict[str, Any]:
    """Return fields of an event of a room, as clients know them: its topic has another name there."""
    return {name.removeprefix("room_"): getattr(event, name, None) for name in names}


def _different(before: Mapping[str, Any], after: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the fields of both that differ."""
    names = [name for name in after if name not in before or before[name] != after[name]]
    return {name: before[name] for name in names if name in before}, {name: after[name] for name in names}
