"""Counting anew: how many there are, how far somebody has read and what came last, from what is written in the record.

It is a second, simple implementation, on purpose: it knows neither the projections' handlers nor the fields of events, and
reads the public members of an event's JSON, so it needs no key. Of an earlier version of a topic they are brought to today's. What it holds of a message is 13 bytes, of a reaction or
a mention somewhat more. Threads are counted in `workers/counting_threads.py`.
"""

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

import msgspec
from msgspec import Struct, field

from domain.topics import kind_of, read_written, upcast, written_as
from workers.counting_threads import Threads

COUNTED_MAX = 1_000  # of what is unread: nobody is told more
EVERYBODY = UUID(int=0)
TOPICS = frozenset(
    {
        "room.opened", "room.changed", "room.archived", "member.joined", "member.left", "member.removed",
        "member.role_changed", "message.posted", "message.deleted", "reading.marked", "reaction.added", "reaction.removed",
        "thread.followed", "thread.unfollowed", "thread.read",
    }
)  # fmt: skip
NOBODY = -1  # sends system messages


class Written(Struct):
    """What counts of an event; each topic has some of it."""

    room_id: UUID | None = None
    user_id: UUID | None = None
    sender_id: UUID | None = None
    by: UUID | None = None
    role: str | None = None
    is_direct: bool = False
    position: int = 0
    posted_position: int = 0
    emoji: str = ""
    mentions: tuple[UUID, ...] = ()
    mentions_room: str | None = None
    thread_id: UUID | None = None
    root_position: int | None = None
    in_room: bool | None = None
    since: int = 0


class Membership(Struct):
    is_member: bool = True
    joined: int = 0
    read: int = 0


class Reactions(Struct):
    """Who gives one emoji to one message, and the position at which the first of those did."""

    given: set[UUID] = field(default_factory=set)
    first: int = 0


class RoomCounts(Struct):
    """A room: who is and was in it, and its messages in order. `senders` are numbers of people."""

    opened: int
    members: dict[UUID, Membership] = field(default_factory=dict)
    positions: "array[int]" = field(default_factory=lambda: array("q"))
    senders: "array[int]" = field(default_factory=lambda: array("i"))
    deleted: bytearray = field(default_factory=bytearray)
    mentions: dict[UUID, "array[int]"] = field(default_factory=dict)

    @property
    def member_count(self) -> int:
        return sum(member.is_member for member in self.members.values())

    @property
    def last_message(self) -> int | None:
        """The position of the last message, system messages among them; None if there is none."""
        return self.positions[-1] if self.positions else None

    def add(self, position: int, sender: int) -> None:
        self.positions.append(position)
        self.senders.append(sender)
        self.deleted.append(False)

    def delete(self, posted: int) -> None:
        at = bisect_left(self.positions, posted)
        if at < len(self.positions) and self.positions[at] == posted:
            self.deleted[at] = True

    def unread(self, user: UUID, number: int) -> int:
        """Return how many messages of others came after what this person has read and since they joined."""
        member, counted = self.members[user], 0
        for at in range(bisect_right(self.positions, max(member.read, member.joined)), len(self.positions)):
            counted += self.senders[at] not in (number, NOBODY) and not self.deleted[at]
            if counted == COUNTED_MAX:
                break
        return counted

    def mention_count(self, user: UUID, number: int) -> int:
        """Return how many of those mention them, by name or with everybody."""
        member, found = self.members[user], set()
        for whom in (user, EVERYBODY):
            for position in reversed(self.mentions.get(whom, ())):
                if position <= max(member.read, member.joined):
                    break
                at = bisect_left(self.positions, position)
                if self.senders[at] not in (number, NOBODY) and not self.deleted[at]:
                    found.add(position)
        return min(len(found), COUNTED_MAX)


class ReactionKey(NamedTuple):
    posted_position: int
    emoji: str


class Counts:
    """Everything counted up to a position. `unreadable` are events that cannot be read, and are not counted."""

    def __init__(self) -> None:
        self.position = 0
        self.rooms: dict[UUID, RoomCounts] = {}
        self.reactions: dict[ReactionKey, Reactions] = {}
        self.threads = Threads()
        self.unreadable = 0
        self._numbers: dict[UUID, int] = {}
        self._read = msgspec.json.Decoder(Written).decode

    def number(self, user: UUID) -> int:
        """Return the number that stands for a person."""
        return self._numbers.setdefault(user, len(self._numbers))

    @property
    def people(self) -> list[UUID]:
        """Everybody, by their number."""
        return list(self._numbers)

    def is_member(self, room_id: UUID, user: UUID) -> bool:
        room = self.rooms.get(room_id)
        return room is not None and user in room.members and room.members[user].is_member

    def take(self, position: int, name: str, data: bytes, at: datetime) -> None:
        """Count an event of one of `TOPICS`; `name` says of which version, too."""
        try:
            self._take(position, read_written(name).topic, self._written(name, data), at)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, LookupError, TypeError, ValueError):
            self.unreadable += 1

    def _written(self, name: str, data: bytes) -> Written:
        """Return what an event says that counts, as today's version of its topic says it."""
        kind = kind_of(name)
        if kind is None or written_as(kind) == name:
            return self._read(data)
        return msgspec.convert(upcast(kind, name, msgspec.json.decode(data)), Written)

    def _take(self, position: int, topic: str, said: Written, at: datetime) -> None:
        match topic:
            case "reaction.added" | "reaction.removed":
                self._react(position, topic, said)
                return
            case "thread.followed" | "thread.unfollowed" | "thread.read":
                self._follow(topic, said)
                return
            case "room.opened":
                self.rooms[_known(said.room_id)] = RoomCounts(position)
                return
        room = self.rooms[_known(said.room_id)]
        match topic:
            case "message.posted":
                self._post(position, said, room, at)
            case "message.deleted":
                room.delete(said.posted_position)
                if said.thread_id is not None:
                    self.threads.delete(said.thread_id, said.posted_position)
            case "reading.marked":
                room.members[_known(said.user_id)].read = said.position
            case "room.changed" | "room.archived":
                room.add(position, NOBODY)
            case _:
                self._of_member(position, topic, said, room)

    def _post(self, position: int, said: Written, room: RoomCounts, at: datetime) -> None:
        sender = self.number(_known(said.sender_id))
        if said.thread_id is not None:
            if said.root_position is None:
                raise KeyError
            self.threads.reply(said.root_position, said.thread_id, position, sender, at)
        if said.in_room is False:
            return  # it is shown in its thread alone
        room.add(position, sender)
        for whom in (*said.mentions, *((EVERYBODY,) if said.mentions_room else ())):
            room.mentions.setdefault(whom, array("q")).append(position)

    def _follow(self, topic: str, said: Written) -> None:
        root, user, room_id = said.posted_position, _known(said.user_id), _known(said.room_id)
        match topic:
            case "thread.followed":
                self.threads.follow(root, user, room_id, said.since)
            case "thread.unfollowed":
                self.threads.unfollow(root, user, room_id)
            case _:
                self.threads.read(root, user, said.position)

    def _of_member(self, position: int, topic: str, said: Written, room: RoomCounts) -> None:
        user = _known(said.user_id)
        if topic == "member.joined":
            before = room.members.get(user, Membership())
            room.members[user] = Membership(True, position, before.read)
            if said.is_direct or (said.role == "owner" and said.by == user):
                return  # whoever opened the room, or for whom it was opened
        elif topic in ("member.left", "member.removed"):
            room.members[user].is_member = False
        room.add(position, NOBODY)

    def _react(self, position: int, topic: str, said: Written) -> None:
        reactions = self.reactions.setdefault(ReactionKey(said.posted_position, said.emoji), Reactions())
        if topic == "reaction.removed":
            reactions.given.discard(_known(said.user_id))
            return
        if not reactions.given:
            reactions.first = position
        reactions.given.add(_known(said.user_id))


class MemberCounts(NamedTuple):
    """What a member's row says, and what is counted for them from others."""

    is_member: bool
    joined_position: int
    read_position: int
    unread: int
    mention_count: int


def members_of(counts: Counts) -> Iterator[tuple[tuple[UUID, UUID], MemberCounts]]:
    """Yield everybody who is or was in a room, by the ids of room and person; nothing is unread by whoever left."""
    for room_id in sorted(counts.rooms):
        room = counts.rooms[room_id]
        for user in sorted(room.members):
            yield (room_id, user), of_member(counts, room, user)


def of_member(counts: Counts, room: RoomCounts, user: UUID) -> MemberCounts:
    member = room.members[user]
    if not member.is_member:
        return MemberCounts(False, member.joined, member.read, 0, 0)
    number = counts.number(user)
    return MemberCounts(True, member.joined, member.read, room.unread(user, number), room.mention_count(user, number))


def by_key(reactions: Mapping[ReactionKey, Reactions]) -> Iterator[tuple[ReactionKey, Reactions]]:
    """Yield reactions in the order of the table's key."""
    for key in sorted(reactions, key=lambda each: (each.posted_position, each.emoji.encode())):
        yield key, reactions[key]


def _known(found: UUID | None) -> UUID:
    if found is None:
        raise KeyError
    return found
