"""Replies in threads: what a post and a deletion do to a thread, in the same append.

Who replies, who is mentioned in a reply, and at the first reply the root's sender and whom it mentioned, follow the thread from
then on. What is looked up of others guards nothing, as of mentions.
"""

from collections.abc import Iterator

from commands.room import Entered
from commands.unit_of_work import UnitOfWork
from domain import thread as decide
from domain.ids import MessageId, UserId
from domain.membership import MEMBERSHIP
from domain.mention import Mentions
from domain.message import MESSAGE, Message
from domain.room import Room
from domain.thread import FOLLOWING, THREAD, FollowingCause, Thread


async def root_of(unit: UnitOfWork, entered: Entered, thread_id: MessageId) -> Message:
    """Return the root that somebody replies to. Raise `NotARootError` if it is none, or not theirs to know of."""
    found = await unit.load(MESSAGE, thread_id)
    root = decide.require_root(found, room_id=entered.room.room_id)
    return decide.require_root(root if entered.may_know_of(root.position) else None, room_id=entered.room.room_id)


async def write_reply(
    unit: UnitOfWork, entered: Entered, root: Message, message_id: MessageId, mentions: Mentions
) -> None:
    """Count a reply, and have those follow the thread whom it concerns."""
    thread = await unit.load(THREAD, root.message_id)
    events = decide.reply(thread, root, message_id=message_id, by=entered.user_id)
    unit.write(THREAD, root.message_id, events=events)
    for user_id, cause in _concerned(entered.user_id, root, thread, mentions):
        if user_id == entered.user_id or await _may_read(unit, entered.room, root, user_id):
            following = await unit.load(FOLLOWING, root.message_id, user_id)
            followed = decide.follow(following, root, thread, user_id=user_id, cause=cause)
            unit.write(FOLLOWING, root.message_id, user_id, events=followed)


async def write_deletion(unit: UnitOfWork, message: Message) -> None:
    """Count a reply as gone."""
    assert message.thread_id is not None, "a reply has a thread"
    thread = await unit.load(THREAD, message.thread_id)
    assert thread is not None, "a reply is counted when it is posted"
    unit.write(THREAD, message.thread_id, events=decide.delete_reply(thread, message))


def _concerned(
    by: UserId, root: Message, thread: Thread | None, mentions: Mentions
) -> Iterator[tuple[UserId, FollowingCause]]:
    """Yield each person whom a reply makes follow the thread once, and why."""
    causes: dict[UserId, FollowingCause] = {by: "reply"}
    if thread is None:
        causes |= {root.sender_id: "author"}
        causes |= {each: "mention" for each in root.mentions if each not in causes}
    causes |= {each: "mention" for each in mentions.user_ids if each not in causes}
    yield from causes.items()


async def _may_read(unit: UnitOfWork, room: Room, root: Message, user_id: UserId) -> bool:
    """Return whether somebody is a member who sees the root."""
    membership = await unit.glance(MEMBERSHIP, room.room_id, user_id)
    if membership is None or membership.role is None:
        return False
    return room.history == "shared" or root.position >= membership.joined_position
