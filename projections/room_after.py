"""A room as its frames tell it: the whole of it after the event."""

from typing import Literal

from msgspec import Struct

from domain.events import Recorded
from domain.ids import RoomId, UserId
from domain.room import History, RoomArchived, RoomChanged, RoomOpened


class RoomAfter(Struct, frozen=True):
    """A room after the event; `by` is who did it."""

    id: RoomId
    name: str
    description: str | None
    is_private: bool
    history: History
    is_archived: bool
    by: UserId
    topic: str | None = None
    kind: Literal["room", "direct"] = "room"


def room_after(recorded: Recorded[RoomChanged | RoomArchived]) -> RoomAfter:
    """Return a room as it is after a change, or as it stays."""
    e = recorded.event
    is_archived = isinstance(e, RoomArchived)
    return RoomAfter(e.room_id, e.name, e.description or None, e.is_private, e.history, is_archived, e.by, e.room_topic)


def room_opened(recorded: Recorded[RoomOpened]) -> RoomAfter:
    """Return a room as it was opened."""
    e = recorded.event
    kind: Literal["room", "direct"] = "direct" if e.direct else "room"
    return RoomAfter(
        e.room_id, e.name, e.description or None, e.is_private, e.history, False, e.owner_id, None, kind
    )  # fmt: skip
