"""Threads: following one, following it no longer, and how far somebody has read it."""

from msgspec import Struct

from commands.message import reach
from commands.unit_of_work import Handler, UnitOfWork
from domain import thread as decide
from domain.ids import MessageId
from domain.thread import FOLLOWING, THREAD


class FollowThread(Struct, frozen=True):
    thread_id: MessageId


class UnfollowThread(Struct, frozen=True):
    thread_id: MessageId


class MarkThreadRead(Struct, frozen=True):
    thread_id: MessageId
    position: int


async def follow(command: FollowThread, unit: UnitOfWork) -> None:
    message, _, user_id = await reach(unit, command.thread_id, "thread.follow")
    root = decide.require_root(message)
    thread = await unit.load(THREAD, command.thread_id)
    following = await unit.load(FOLLOWING, command.thread_id, user_id)
    events = decide.follow(following, root, thread, user_id=user_id, cause="request")
    unit.write(FOLLOWING, command.thread_id, user_id, events=events)


async def unfollow(command: UnfollowThread, unit: UnitOfWork) -> None:
    message, _, user_id = await reach(unit, command.thread_id, "thread.unfollow")
    root = decide.require_root(message)
    following = await unit.load(FOLLOWING, command.thread_id, user_id)
    events = decide.unfollow(following, root, user_id=user_id)
    unit.write(FOLLOWING, command.thread_id, user_id, events=events)


async def mark(command: MarkThreadRead, unit: UnitOfWork) -> None:
    message, _, user_id = await reach(unit, command.thread_id, "thread.mark_read")
    root = decide.require_root(message)
    thread = await unit.peek(THREAD, command.thread_id)
    following = await unit.load(FOLLOWING, command.thread_id, user_id)
    events = decide.mark(following, root, thread, user_id=user_id, position=command.position)
    unit.write(FOLLOWING, command.thread_id, user_id, events=events)


HANDLERS: dict[type[Struct], Handler] = {FollowThread: follow, UnfollowThread: unfollow, MarkThreadRead: mark}
