"""Everyday chat in the simulation: mentions, threads, pins and direct rooms in the talk, and their counts by the record.

What is counted here is counted one by one, from posts, deletions and what people did themselves: no number that an event says is
believed.
"""

from collections.abc import Mapping, Sequence
from random import Random
from typing import Any
from uuid import UUID

from msgspec import Struct

from commands.pin import PinMessage, UnpinMessage
from commands.thread import FollowThread, MarkThreadRead, UnfollowThread
from domain.bounds import THREAD_PARTICIPANTS_SHOWN_MAX
from domain.events import Recorded
from domain.ids import MessageId, RoomId
from domain.message import MessageDeleted, MessagePosted
from domain.pin import MessagePinned, MessageUnpinned
from domain.reaction import ReactionAdded, ReactionRemoved
from domain.thread import ThreadFollowed, ThreadRead, ThreadUnfollowed

Rows = Mapping[str, Mapping[tuple[Any, ...], Mapping[str, Any]]]
EVERYBODY = UUID(int=0)
READ_EVERYTHING = 2**40


class Talk:
    """What is talked about: the messages that may be roots, and where they are."""

    def __init__(self, seed: int) -> None:
        self.chance = Random(f"{seed} everyday")
        self.roots: dict[str, RoomId] = {}

    def words(self) -> str:
        """Return how a text begins, which may be a mention."""
        return self.chance.choice(("", "", "", "@p1 ", "@p2 @p3 ", "@room ", "@here ", "`@p1` "))

    def thread(self, room_id: RoomId) -> tuple[RoomId, dict[str, Any]]:
        """Return where to post and how: in a thread, perhaps, and then where its root is."""
        if not self.roots or self.chance.random() < 0.6:
            return room_id, {}
        root = self.chance.choice(list(self.roots))
        return self.roots[root], {"thread_id": root, "in_room": self.chance.random() < 0.3}

    def deed(self) -> Struct | None:
        """Return what somebody may do about a message that there is."""
        if not self.roots or self.chance.random() < 0.6:
            return None
        message_id = MessageId(UUID(self.chance.choice(list(self.roots))))
        return self.chance.choice(
            (
                FollowThread(message_id), UnfollowThread(message_id), MarkThreadRead(message_id, READ_EVERYTHING),
                MarkThreadRead(message_id, READ_EVERYTHING), PinMessage(message_id), UnpinMessage(message_id),
            )
        )  # fmt: skip


def judge(events: Sequence[Recorded[Any]], rows: Rows) -> list[str]:
    """Return what the read tables say otherwise than the record."""
    counted = Counted()
    for recorded in events:
        counted.take(recorded)
    found = {
        "threads": {
            at: (row["reply_count"], row["last_reply_at"], row["participants"], row["participant_count"])
            for (at,), row in rows["read.threads"].items()
        },
        "followers": {
            key: row["read_position"] for key, row in rows["read.thread_followers"].items() if row["following"]
        },
        "pins": {key for key, row in rows["read.pins"].items() if row["pinned"]},
        "mentions": set(rows["read.mentions"]),
        "reactions": {key: row["count"] for key, row in rows["read.reaction_counts"].items() if row["count"]},
    }
    faults = [
        f"{name} are {of_rows}, and {counted.all()[name]} by the record"
        for name, of_rows in found.items()
        if of_rows != counted.all()[name]
    ]
    aside = {recorded.position for recorded in events if getattr(recorded.event, "in_room", None) is False}
    last = {row["last_posted"] for row in rows["read.rooms"].values()}
    return [*faults, *(f"{at} is the last message of a room" for at in sorted(aside & last))]


class Counted:
    """What the record adds up to."""

    def __init__(self) -> None:
        self.replies: dict[int, list[tuple[MessageId, Any, Any]]] = {}
        self.roots: dict[MessageId, int] = {}
        self.orders: dict[int, list[Any]] = {}
        self.last: dict[int, Any] = {}
        self.following: dict[tuple[int, Any], int] = {}
        self.pins: set[tuple[Any, int]] = set()
        self.mentions: set[tuple[Any, Any, int]] = set()
        self.given: set[tuple[int, str, Any]] = set()

    def all(self) -> dict[str, Any]:
        reactions: dict[tuple[int, str], int] = {}
        for at, emoji, _ in self.given:
            reactions[at, emoji] = reactions.get((at, emoji), 0) + 1
        return {
            "threads": {root: self._thread(root) for root in self.replies},
            "followers": self.following,
            "pins": self.pins,
            "mentions": self.mentions,
            "reactions": reactions,
        }

    def take(self, recorded: Recorded[Any]) -> None:
        event = recorded.event
        match event:
            case MessagePosted():
                self._posted(recorded)
            case MessageDeleted() if event.message_id in self.roots:
                root = self.roots[event.message_id]
                self.replies[root] = [each for each in self.replies[root] if each[0] != event.message_id]
                left = {sender for _, sender, _ in self.replies[root]}
                self.orders[root] = [each for each in self.orders[root] if each in left]
            case ThreadFollowed():
                self.following[event.posted_position, event.user_id] = event.since
            case ThreadUnfollowed():
                self.following.pop((event.posted_position, event.user_id), None)
            case ThreadRead():
                self.following[event.posted_position, event.user_id] = event.position
            case MessagePinned():
                self.pins.add((event.room_id, event.posted_position))
            case MessageUnpinned():
                self.pins.discard((event.room_id, event.posted_position))
            case ReactionAdded():
                self.given.add((event.posted_position, event.emoji, event.user_id))
            case ReactionRemoved():
                self.given.remove((event.posted_position, event.emoji, event.user_id))

    def _posted(self, recorded: Recorded[MessagePosted]) -> None:
        event = recorded.event
        whole = (EVERYBODY,) if event.mentions_room else ()
        self.mentions |= {(event.room_id, user_id, recorded.position) for user_id in (*event.mentions, *whole)}
        if event.thread_id is None:
            return
        root = event.root_position
        assert root is not None, "a reply knows where its root stands"
        self.roots[event.message_id] = root
        self.replies.setdefault(root, []).append((event.message_id, event.sender_id, recorded.at))
        order = self.orders.setdefault(root, [])
        order += [] if event.sender_id in order else [event.sender_id]
        self.last[root] = recorded.at

    def _thread(self, root: int) -> tuple[Any, ...]:
        order, left = self.orders[root], self.replies[root]
        shown = " ".join(map(str, order[:THREAD_PARTICIPANTS_SHOWN_MAX])) or None
        return len(left), self.last[root] if left else None, shown, len(order)
