"""Room: a place to talk. Its stream also holds the set of its owners, so that it always keeps one.

`domain/rights.py` says who may do what in it, and what nobody may do in an archived one, before anything is decided here.
"""

from typing import ClassVar, Literal, assert_never
from uuid import UUID

from msgspec import UNSET, Struct, UnsetType
from msgspec.structs import replace

from domain.bounds import ROOM_OWNERS_MAX
from domain.errors import LastOwnerError, TooManyOwnersError
from domain.events import Event, Recorded, Stream
from domain.ids import RoomId, UserId
from domain.rights import RoomKind

History = Literal["shared", "joined"]
STAYS = "an archived room stays as it is"


class _OfRoom(Event, frozen=True):
    room_id: RoomId

    def frame_room(self) -> RoomId | None:
        return self.room_id

    def encryption_subject(self) -> tuple[UUID, RoomId | None]:
        """Return the room itself: its name is nobody's personal data."""
        return self.room_id, self.room_id


class RoomOpened(_OfRoom, frozen=True):
    """`direct`: whose room it is, where it is of a few people; it has no owner then, and `owner_id` is who opened it."""

    topic: ClassVar = "room.opened"
    sealed: ClassVar = ("name", "description")

    name: str
    description: str | None
    is_private: bool
    owner_id: UserId
    history: History = "shared"
    direct: tuple[UserId, ...] = ()


class RoomChanged(_OfRoom, frozen=True):
    """The whole room after the change. `room_topic` is what the room is about: `topic` is the event's own name."""

    topic: ClassVar = "room.changed"
    sealed: ClassVar = ("name", "description", "room_topic")

    name: str
    description: str | None
    is_private: bool
    history: History
    by: UserId
    room_topic: str | None = None


class RoomArchived(_OfRoom, frozen=True):
    """The whole room as it stays. The oldest events of this kind only say who archived it."""

    topic: ClassVar = "room.archived"
    changes: ClassVar = ("is_archived",)
    sealed: ClassVar = ("name", "description", "room_topic")

    by: UserId
    name: str = ""
    description: str | None = None
    is_private: bool = False
    history: History = "shared"
    room_topic: str | None = None


class OwnersChanged(_OfRoom, frozen=True):
    """The owners after the change, the earliest first. Not published: `member.role_changed` is."""

    topic: ClassVar = "room.owners_changed"

    owner_ids: tuple[UserId, ...]

    def frame_room(self) -> RoomId | None:
        return None


RoomEvent = RoomOpened | RoomChanged | RoomArchived | OwnersChanged


class Room(Struct, frozen=True):
    room_id: RoomId
    name: str
    description: str | None
    is_private: bool
    history: History
    owner_ids: tuple[UserId, ...]
    is_archived: bool
    room_topic: str | None = None
    direct: tuple[UserId, ...] = ()

    @property
    def kind(self) -> RoomKind:
        if self.is_archived:
            return "private archived" if self.is_private else "archived"
        return "private" if self.is_private else "public"


def open_room(
    *, room_id: RoomId, name: str, description: str | None, is_private: bool, owner_id: UserId
) -> tuple[RoomEvent, ...]:
    return (RoomOpened(room_id, name, description, is_private, owner_id),)


def change(
    room: Room,
    *,
    name: str | UnsetType = UNSET,
    description: str | None | UnsetType = UNSET,
    is_private: bool | UnsetType = UNSET,
    history: History | UnsetType = UNSET,
    room_topic: str | None | UnsetType = UNSET,
    by: UserId,
) -> tuple[RoomEvent, ...]:
    """Change the fields that are not UNSET. The same values again change nothing."""
    assert not room.is_archived, STAYS
    after = RoomChanged(
        room_id=room.room_id,
        name=room.name if name is UNSET else name,
        description=room.description if description is UNSET else description,
        is_private=room.is_private if is_private is UNSET else is_private,
        history=room.history if history is UNSET else history,
        by=by,
        room_topic=room.room_topic if room_topic is UNSET else room_topic,
    )
    return () if _content_of(room) == _content_of(after) else (after,)


def _content_of(room: Room | RoomChanged) -> tuple[object, ...]:
    return (room.name, room.description, room.is_private, room.history, room.room_topic)


def archive(room: Room, *, by: UserId) -> tuple[RoomEvent, ...]:
    if room.is_archived:
        return ()
    return (
        RoomArchived(room.room_id, by, room.name, room.description, room.is_private, room.history, room.room_topic),
    )


def add_owner(room: Room, *, user_id: UserId) -> tuple[RoomEvent, ...]:
    assert not room.is_archived, STAYS
    if user_id in room.owner_ids:
        return ()
    if len(room.owner_ids) >= ROOM_OWNERS_MAX:
        raise TooManyOwnersError
    return (OwnersChanged(room.room_id, (*room.owner_ids, user_id)),)


def remove_owner(room: Room, *, user_id: UserId) -> tuple[RoomEvent, ...]:
    """Remove somebody from the owners, if they are one. Raise `LastOwnerError` for the last one.

    Archived rooms can be left, so this works in them too.
    """
    if user_id not in room.owner_ids:
        return ()
    if len(room.owner_ids) == 1:
        raise LastOwnerError
    return (OwnersChanged(room.room_id, tuple(owner for owner in room.owner_ids if owner != user_id)),)


def evolve(room: Room | None, recorded: Recorded[RoomEvent]) -> Room:
    event = recorded.event
    if isinstance(event, RoomOpened):
        return Room(
            event.room_id, event.name, event.description, event.is_private, event.history,
            () if event.direct else (event.owner_id,), False, None, event.direct,
        )  # fmt: skip
    assert room is not None, "a room is opened before anything else happens to it"
    match event:
        case RoomChanged():
            return replace(
                room,
                name=event.name,
                description=event.description,
                is_private=event.is_private,
                history=event.history,
                room_topic=event.room_topic,
            )
        case RoomArchived():
            return replace(room, is_archived=True)
        case OwnersChanged():
            return replace(room, owner_ids=event.owner_ids)
        case _:
            assert_never(event)


ROOM: Stream[Room] = Stream("room", evolve, Room, subject=lambda room: (room.room_id, room.room_id), fold=3)
EVENTS: tuple[type[Event], ...] = (RoomOpened, RoomChanged, RoomArchived, OwnersChanged)
