"""Rooms and people of an export: as the record had them at the end of the stretch."""

from collections import OrderedDict
from collections.abc import Collection
from typing import Literal

from adapters.postgres.export_source import ExportSource
from domain.account import ACCOUNT, AccountRegistered, ProfileChanged
from domain.ids import RoomId, UserId
from domain.membership import MemberJoined, MemberLeft, MemberRemoved
from domain.room import ROOM, RoomArchived, RoomChanged, RoomOpened
from workers.exports.conversation import Person, Room, Stay

PEOPLE_KEPT_MAX = 10_000


class People:
    """Finds people, and remembers the last ones."""

    def __init__(self, source: ExportSource) -> None:
        self._source = source
        self._kept: OrderedDict[UserId, Person] = OrderedDict()

    async def of(self, ids: Collection[UserId], *, until: int) -> dict[UserId, Person]:
        """Return all of these people; somebody of whom there is no event has no name."""
        found = {user_id: self._kept[user_id] for user_id in ids if user_id in self._kept}
        missing = sorted(set(ids) - set(found))
        streams = await self._source.streams([ACCOUNT.id(user_id) for user_id in missing], until=until)
        for user_id in missing:
            username, email, erased = "", "", False
            for kept in streams[ACCOUNT.id(user_id)]:
                event = kept.recorded.event
                if isinstance(event, AccountRegistered):
                    username, email, erased = event.username, event.email, kept.recorded.erased
                elif isinstance(event, ProfileChanged):
                    username, erased = event.username, kept.recorded.erased
            found[user_id] = self._kept[user_id] = Person(user_id, username, email, erased)
        while len(self._kept) > PEOPLE_KEPT_MAX:
            self._kept.popitem(last=False)
        return found


async def room_of(source: ExportSource, room_id: RoomId, *, until: int) -> Room | None:
    """Return a room with everybody who was ever in it; None if it did not exist yet."""
    events = (await source.streams([ROOM.id(room_id)], until=until))[ROOM.id(room_id)]
    opened = next((kept for kept in events if isinstance(kept.recorded.event, RoomOpened)), None)
    if opened is None:
        return None
    first = opened.recorded.event
    assert isinstance(first, RoomOpened)
    name, description, topic, is_private, archived = first.name, first.description, None, first.is_private, False
    for kept in events:
        event = kept.recorded.event
        if isinstance(event, RoomChanged) or (isinstance(event, RoomArchived) and event.name):
            name, description, is_private = event.name, event.description, event.is_private
            topic = event.room_topic
        archived |= isinstance(event, RoomArchived)
    stays = await _stays(source, room_id, until)
    return Room(
        room_id, name, description, topic, is_private, first.direct, opened.recorded.at, first.owner_id, archived, stays
    )


async def _stays(source: ExportSource, room_id: RoomId, until: int) -> tuple[Stay, ...]:
    inside: dict[UserId, Stay] = {}
    over: list[Stay] = []
    for kept in await source.members(room_id, until=until):
        recorded, event = kept.recorded, kept.recorded.event
        match event:
            case MemberJoined():
                inside[event.user_id] = Stay(event.user_id, recorded.position, recorded.at)
            case MemberLeft() | MemberRemoved() if event.user_id in inside:
                how: Literal["left", "removed", "banned"] = (
                    "left" if isinstance(event, MemberLeft) else "banned" if event.banned else "removed"
                )
                stay = inside.pop(event.user_id)
                over.append(
                    Stay(stay.user_id, stay.joined_position, stay.joined_at, recorded.position, recorded.at, how)
                )
    return tuple(sorted([*over, *inside.values()], key=lambda stay: stay.joined_position))
