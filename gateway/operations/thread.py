"""Threads: what somebody who reads one asks for. Replies are messages (`gateway/operations/message.py`)."""

from uuid import UUID

from commands.thread import FollowThread, MarkThreadRead, UnfollowThread
from commands.unit_of_work import Outcome
from domain.events import Caller
from domain.ids import MessageId
from gateway.operations.execution import execute
from gateway.operations.message import unless_system
from gateway.services import Services


async def follow(services: Services, caller: Caller, thread_id: UUID) -> Outcome:
    """Follow a thread. Raise `DomainError`."""
    command = FollowThread(MessageId(thread_id))
    return await unless_system(services, caller, thread_id, execute(services, command, caller))


async def unfollow(services: Services, caller: Caller, thread_id: UUID) -> Outcome:
    """Follow a thread no longer. Raise `DomainError`."""
    command = UnfollowThread(MessageId(thread_id))
    return await unless_system(services, caller, thread_id, execute(services, command, caller))


async def mark_read(services: Services, caller: Caller, thread_id: UUID, position: int) -> Outcome:
    """Move the caller's mark in a thread forward. Raise `DomainError`."""
    command = MarkThreadRead(MessageId(thread_id), position)
    return await unless_system(services, caller, thread_id, execute(services, command, caller))
