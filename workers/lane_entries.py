"""Events as entries of lanes: each with the position that its room heard before it.

What each room heard last is remembered for rooms that were published to lately, and looked up in the record for others.
"""

from collections.abc import MutableMapping, Sequence
from typing import Any

from adapters.redis.lanes import CONTROL, Entry, Lanes
from domain.account import ACCOUNT, AccountErased, ProfileChanged
from domain.events import Event, Recorded
from domain.file import FILE, FileCompleted, FileErased, FileFailed
from domain.ids import RoomId, StreamId
from domain.message import MESSAGE, MessageDeleted
from domain.ports.record import Record
from projections import frames

ROOMS_REMEMBERED_MAX = 100_000
OWN = (FileCompleted, FileFailed, ProfileChanged)  # what the control lane says that is personal


class LaneEntries:
    """Makes entries for these lanes, with the help of this record."""

    def __init__(self, record: Record, lanes: Lanes) -> None:
        self._record = record
        self._lanes = lanes

    async def of(self, events: Sequence[Recorded[Event]], heard: MutableMapping[RoomId, int]) -> list[Entry]:
        """Return the entries of events in order. `heard`: what each room heard last, as far as it is known."""
        await self._learn_previous(events, heard)
        return [entry for recorded in events for entry in self._entries(recorded, heard)]

    def _entries(self, recorded: Recorded[Any], heard: MutableMapping[RoomId, int]) -> list[Entry]:
        entries = []
        room_id = recorded.event.frame_room()
        if room_id is not None:
            prev = heard.pop(room_id, 0)
            heard[room_id] = recorded.position  # now the last one remembered
            frame = frames.room_frame(recorded, prev)
            entries.append(Entry(recorded.position, room_id, prev, frame, frames.ends_membership(recorded.event)))
        if (control := frames.control(recorded)) is not None:
            entries.append(Entry(recorded.position, None, 0, frames.encode_control(control), None))
        return entries

    async def forgotten(self, events: Sequence[Recorded[Event]]) -> list[tuple[RoomId | None, int]]:
        """Return the entries of messages that are deleted, or of their files: these entries are to be removed. So are those of
        files and profiles that are erased; no room: they are on the control lane, too.

        Hubs that have not read them find the events in the record, in the form that may be shown now.
        """
        streams, erased = set[StreamId](), set[StreamId]()
        for event in (recorded.event for recorded in events):
            if isinstance(event, MessageDeleted):
                streams.add(MESSAGE.id(event.message_id))
                if event.file_id is not None:
                    streams.add(FILE.id(event.file_id))
            elif isinstance(event, FileErased):
                erased.add(FILE.id(event.file_id))
            elif isinstance(event, AccountErased):
                erased.add(ACCOUNT.id(event.user_id))
        if not streams and not erased:
            return []
        until, found = events[-1].position, await self._record.streams(sorted(streams | erased))
        before = [
            recorded
            for stream_events in found.values()
            for recorded in stream_events
            if recorded.position <= until and not isinstance(recorded.event, MessageDeleted)
        ]
        rooms = [(each.event.frame_room(), each.position) for each in before if each.event.frame_room() is not None]
        return rooms + [
            (None, each.position) for each in before if each.stream in erased and isinstance(each.event, OWN)
        ]

    def lane(self, entry: Entry) -> int:
        return self.lane_of(entry.room_id)

    def lane_of(self, room_id: RoomId | None) -> int:
        """Return the lane of a room, or that of what is in no room."""
        return CONTROL if room_id is None else self._lanes.lane_of(room_id)

    async def _learn_previous(self, events: Sequence[Recorded[Event]], heard: MutableMapping[RoomId, int]) -> None:
        """Look up, for rooms not remembered, what they heard before these events."""
        first: dict[RoomId, int] = {}
        for recorded in events:
            room_id = recorded.event.frame_room()
            if room_id is not None and room_id not in heard:
                first.setdefault(room_id, recorded.position)
        previous = await self._record.previous_in_rooms(list(first.items()))
        heard.update(zip(first, previous, strict=True))
        while len(heard) > ROOMS_REMEMBERED_MAX + len(first):
            del heard[next(iter(heard))]
