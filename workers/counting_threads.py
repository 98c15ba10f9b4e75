"""Counting threads anew: replies, who wrote them and what is unread of them, from postings, deletions and what people did.

Like `workers/counting.py` on purpose a second implementation; what the events of a thread say of its replies is not believed.
"""

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from msgspec import Struct, field

PARTICIPANTS_MAX = 10  # who are named; how many they are is counted beside
UNREAD_MAX = 1_000


class Replies(Struct):
    """The replies to a root, in order. `senders` are numbers of people, `left` how many replies there are by each of them, in the
    order of the first; `last` is when somebody last replied, even if that was deleted."""

    last: datetime
    positions: "array[int]" = field(default_factory=lambda: array("q"))
    senders: "array[int]" = field(default_factory=lambda: array("i"))
    deleted: bytearray = field(default_factory=bytearray)
    left: dict[int, int] = field(default_factory=dict)

    def unread(self, number: int, read: int) -> int:
        """Return how many replies of others came after a position."""
        counted = 0
        for at in range(bisect_right(self.positions, read), len(self.positions)):
            counted += self.senders[at] != number and not self.deleted[at]
            if counted == UNREAD_MAX:
                break
        return counted


class Follower(Struct):
    room_id: UUID
    following: bool = False
    read: int = 0


class ThreadCounts(NamedTuple):
    """What a thread's row says; and how many of its replies are there, deleted ones aside."""

    reply_count: int
    last_reply_at: datetime | None
    participants: str | None
    participant_count: int
    replies: int


class FollowerCounts(NamedTuple):
    """What a follower's row says, what is counted for them of others' replies, and whether the root says that it has a thread."""

    following: bool
    read_position: int
    unread: int
    threaded: bool


class Threads:
    """All threads up to a position, by the positions of their roots; and whoever follows one, or took that back."""

    def __init__(self) -> None:
        self._replies: dict[int, Replies] = {}
        self._roots: dict[UUID, int] = {}
        self._followers: dict[tuple[int, UUID], Follower] = {}
        self._threaded: set[int] = set()

    def reply(self, root: int, thread_id: UUID, position: int, sender: int, at: datetime) -> None:
        self._roots[thread_id] = root
        thread = self._replies.setdefault(root, Replies(at))
        thread.last = at
        thread.positions.append(position)
        thread.senders.append(sender)
        thread.deleted.append(False)
        thread.left[sender] = thread.left.get(sender, 0) + 1

    def delete(self, thread_id: UUID, posted: int) -> None:
        """Count a reply as gone. Raise `KeyError` if there is no such thread."""
        thread = self._replies[self._roots[thread_id]]
        at = bisect_left(thread.positions, posted)
        if at == len(thread.positions) or thread.positions[at] != posted or thread.deleted[at]:
            return
        thread.deleted[at] = True
        sender = thread.senders[at]
        thread.left[sender] -= 1
        if not thread.left[sender]:
            del thread.left[sender]  # who replies again comes last

    def follow(self, root: int, user: UUID, room_id: UUID, since: int) -> None:
        self._followers[root, user] = Follower(room_id, True, since)
        self._threaded.add(root)

    def unfollow(self, root: int, user: UUID, room_id: UUID) -> None:
        self._followers[root, user] = Follower(room_id)

    def read(self, root: int, user: UUID, position: int) -> None:
        self._followers[root, user].read = position

    def counted(self, people: Sequence[UUID]) -> Iterator[tuple[tuple[int], ThreadCounts]]:
        """Yield each thread by the position of its root. `people`: who has which number."""
        for root in sorted(self._replies):
            thread = self._replies[root]
            count = sum(thread.left.values())
            shown = " ".join(str(people[number]) for number in list(thread.left)[:PARTICIPANTS_MAX])
            last = thread.last if count else None
            yield (root,), ThreadCounts(count, last, shown or None, len(thread.left), count)

    def followed(
        self, number: Callable[[UUID], int], is_member: Callable[[UUID, UUID], bool]
    ) -> Iterator[tuple[tuple[int, UUID], FollowerCounts]]:
        """Yield whoever follows a thread or took that back, by root and person; nothing is unread by whoever left the room."""
        for root, user in sorted(self._followers):
            one, unread = self._followers[root, user], 0
            if one.following and root in self._replies and is_member(one.room_id, user):
                unread = self._replies[root].unread(number(user), one.read)
            yield (root, user), FollowerCounts(one.following, one.read, unread, root in self._threaded)
