"""Records as they could be: people who join rooms, post and leave, as rows; and what honest operators do to one meanwhile."""

import json
from collections.abc import Iterator
from random import Random
from uuid import UUID

from tests.record.offices import Office

INSERT_ROWS = """
    INSERT INTO record.events (position, stream, version, topic, data, meta, room_id, recorded_at)
    SELECT h.position + n, stream, version, topic, convert_to(data, 'UTF8'), '{"command":"x"}', room, clock_timestamp()
    FROM record.head h, unnest($1::uuid[], $2::int[], $3::text[], $4::text[], $5::uuid[])
        WITH ORDINALITY e (stream, version, topic, data, room, n)
"""
Row = tuple[UUID, int, str, str, UUID | None]


class Town:
    """Makes events that an honest server could have recorded, by a seed."""

    def __init__(self, chance: Random, *, people: int = 6, rooms: int = 3) -> None:
        self._chance = chance
        self.people = [self._id() for _ in range(people)]
        self.rooms = [self._id() for _ in range(rooms)]
        self.members: set[tuple[UUID, UUID]] = set()
        self._streams: dict[tuple[UUID, UUID], tuple[UUID, int]] = {}

    def _id(self) -> UUID:
        return UUID(int=self._chance.getrandbits(128))

    def events(self, count: int) -> Iterator[Row]:
        for _ in range(count):
            room, who = self._chance.choice(self.rooms), self._chance.choice(self.people)
            act = self._chance.random()
            if (room, who) not in self.members:
                yield self._membership("member.joined", room, who, role="member", by=str(who))
                self.members.add((room, who))
            elif act < 0.15:
                yield self._membership("member.left" if act < 0.1 else "member.removed", room, who, by=str(who))
                self.members.discard((room, who))
            elif act < 0.3:
                yield self._id(), 1, "room.changed", "{}", room
            else:
                yield self.post(room, who)

    def post(self, room: UUID, who: UUID) -> Row:
        message = self._id()
        said = {
            "message_id": str(message),
            "room_id": str(room),
            "sender_id": str(who),
            "sealed": {"key": "x", "box": "x"},
        }
        topic = "message.posted" if self._chance.random() < 0.9 else "message.posted@2"
        return message, 1, topic, json.dumps(said), room

    def _membership(self, topic: str, room: UUID, who: UUID, **fields: str) -> Row:
        stream, version = self._streams.get((room, who), (self._id(), 0))
        self._streams[room, who] = stream, version + 1
        data = json.dumps({"room_id": str(room), "user_id": str(who), **fields})
        return stream, version + 1, topic, data, room


async def record(office: Office, rows: list[Row]) -> None:
    """Append rows to a record."""
    await office.owner.execute(INSERT_ROWS, *(list(column) for column in zip(*rows, strict=True)))
