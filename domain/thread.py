"""Threads: replies to one message, the root; and what one person has to do with a thread: following it, and reading it.

A root is no reply in a thread itself. The key of a thread's stream is the root, so all who reply at once wait in turn, and the
events of the room say how many replies there are after them. The key of a following is (root, user); its events go to that
person alone. Nothing here is sealed: it is all ids and numbers (docs/decisions/0175).
"""

from datetime import datetime
from typing import ClassVar, Literal, NamedTuple, assert_never

from msgspec import Struct
from msgspec.structs import replace

from domain.bounds import THREAD_PARTICIPANTS_SHOWN_MAX
from domain.errors import MessageDeletedError, NotARootError
from domain.events import Event, Recorded, Stream
from domain.ids import MessageId, RoomId, UserId
from domain.integers import Int4, Int8
from domain.message import Message

FollowingCause = Literal["author", "reply", "mention", "request"]


class _OfThread(Event, frozen=True):
    """What a thread is after a reply came or went. `message_id` is the reply, `user_id` who wrote it, `posted_position` where
    the root stands. `participants` are the first of those by whom there are replies, `participant_count` is how many they are.
    """

    room_id: RoomId
    thread_id: MessageId
    message_id: MessageId
    user_id: UserId
    reply_count: Int4
    participants: tuple[UserId, ...]
    participant_count: Int4
    posted_position: Int8

    def frame_room(self) -> RoomId | None:
        return self.room_id


class ThreadReplied(_OfThread, frozen=True):
    topic: ClassVar = "thread.replied"


class ThreadReplyDeleted(_OfThread, frozen=True):
    """`last_reply_at` is when somebody last replied, even if that was deleted; null if no reply is left."""

    topic: ClassVar = "thread.reply_deleted"

    last_reply_at: datetime | None = None


class _OfFollowing(Event, frozen=True):
    """`posted_position` is where the root stands."""

    room_id: RoomId
    thread_id: MessageId
    user_id: UserId
    posted_position: Int8


class ThreadFollowed(_OfFollowing, frozen=True):
    """Replies after the position `since` are unread. `cause`: the root is theirs, they replied, they were mentioned, or they
    asked for it."""

    topic: ClassVar = "thread.followed"

    since: Int8
    cause: FollowingCause


class ThreadUnfollowed(_OfFollowing, frozen=True):
    topic: ClassVar = "thread.unfollowed"


class ThreadRead(_OfFollowing, frozen=True):
    topic: ClassVar = "thread.read"

    position: Int8


ThreadEvent = ThreadReplied | ThreadReplyDeleted
FollowingEvent = ThreadFollowed | ThreadUnfollowed | ThreadRead


class Replier(NamedTuple):
    """Somebody by whom there are replies, and how many."""

    user_id: UserId
    replies: int


class Thread(Struct, frozen=True):
    """A thread to which somebody has replied. `repliers` are in the order of their first reply; `last_position` and
    `last_reply_at` are those of the last reply that came, deleted or not."""

    repliers: tuple[Replier, ...]
    last_position: int
    last_reply_at: datetime
    posted_position: int

    @property
    def reply_count(self) -> int:
        return sum(each.replies for each in self.repliers)


class Following(Struct, frozen=True):
    """What somebody has to do with a thread who follows it or took that back. What came up to `read_position` is read."""

    is_following: bool
    read_position: int


def require_root(root: Message | None, *, room_id: RoomId | None = None) -> Message:
    """Return the message if there can be a thread of it. Raise `NotARootError` if it is a reply in one, unknown, or of
    another room than this."""
    if root is None or root.thread_id is not None or room_id not in (None, root.room_id):
        raise NotARootError(pointer=None if room_id is None else "/thread_id")
    return root


def reply(thread: Thread | None, root: Message, *, message_id: MessageId, by: UserId) -> tuple[ThreadEvent, ...]:
    """Count a reply. A thread goes on if its root is deleted, but none begins then."""
    if thread is None and root.is_deleted:
        raise MessageDeletedError(pointer="/thread_id")
    repliers = _counted(() if thread is None else thread.repliers, by, 1)
    return (ThreadReplied(root.room_id, root.message_id, message_id, by, *_counts(repliers), root.position),)


def delete_reply(thread: Thread, message: Message) -> tuple[ThreadEvent, ...]:
    """Count a reply as gone."""
    assert message.thread_id is not None, "a reply has a thread"
    repliers = _counted(thread.repliers, message.sender_id, -1)
    return (
        ThreadReplyDeleted(
            message.room_id, message.thread_id, message.message_id, message.sender_id, *_counts(repliers),
            thread.posted_position, thread.last_reply_at if repliers else None,
        ),
    )  # fmt: skip


def follow(
    following: Following | None, root: Message, thread: Thread | None, *, user_id: UserId, cause: FollowingCause
) -> tuple[FollowingEvent, ...]:
    """Have somebody follow a thread: what comes from now on is unread. Who took it back is not made to follow it again by
    what others write."""
    if following is not None and (following.is_following or cause in ("author", "mention")):
        return ()
    since = 0 if thread is None else thread.last_position
    return (ThreadFollowed(root.room_id, root.message_id, user_id, root.position, since, cause),)


def unfollow(following: Following | None, root: Message, *, user_id: UserId) -> tuple[FollowingEvent, ...]:
    """Follow a thread no longer. Who does not follow it is not made to from now on, whatever others write."""
    if following is not None and not following.is_following:
        return ()
    return (ThreadUnfollowed(root.room_id, root.message_id, user_id, root.position),)


def mark(
    following: Following | None, root: Message, thread: Thread | None, *, user_id: UserId, position: int
) -> tuple[FollowingEvent, ...]:
    """Move somebody's mark forward, at most to the last reply. Of a thread that one does not follow nothing is counted, so
    nothing is marked."""
    if following is None or not following.is_following or thread is None:
        return ()
    position = min(position, thread.last_position)
    if position <= following.read_position:
        return ()
    return (ThreadRead(root.room_id, root.message_id, user_id, root.position, position),)


def evolve(thread: Thread | None, recorded: Recorded[ThreadEvent]) -> Thread:
    event, repliers = recorded.event, () if thread is None else thread.repliers
    match event:
        case ThreadReplied():
            return Thread(
                _counted(repliers, event.user_id, 1), recorded.position, recorded.at, int(event.posted_position)
            )
        case ThreadReplyDeleted():
            assert thread is not None, "a reply came before it is deleted"
            return replace(thread, repliers=_counted(repliers, event.user_id, -1))
        case _:
            assert_never(event)


def evolve_following(following: Following | None, recorded: Recorded[FollowingEvent]) -> Following:
    event = recorded.event
    match event:
        case ThreadFollowed():
            return Following(True, event.since)
        case ThreadUnfollowed():
            return Following(False, 0)
        case ThreadRead():
            return Following(True, event.position)
        case _:
            assert_never(event)


def _counted(repliers: tuple[Replier, ...], user_id: UserId, more: int) -> tuple[Replier, ...]:
    """Return the repliers with so many more replies by one of them, without those who have none left."""
    if all(each.user_id != user_id for each in repliers):
        repliers = (*repliers, Replier(user_id, 0))
    found = (Replier(each.user_id, each.replies + more * (each.user_id == user_id)) for each in repliers)
    return tuple(each for each in found if each.replies > 0)


def _counts(repliers: tuple[Replier, ...]) -> tuple[int, tuple[UserId, ...], int]:
    """Return what the events of a thread say of its replies."""
    shown = tuple(each.user_id for each in repliers[:THREAD_PARTICIPANTS_SHOWN_MAX])
    return sum(each.replies for each in repliers), shown, len(repliers)


THREAD: Stream[Thread] = Stream("thread", evolve, Thread)
FOLLOWING: Stream[Following] = Stream("thread-following", evolve_following, Following)
EVENTS: tuple[type[Event], ...] = (ThreadReplied, ThreadReplyDeleted)
FOLLOWING_EVENTS: tuple[type[Event], ...] = (ThreadFollowed, ThreadUnfollowed, ThreadRead)
