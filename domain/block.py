"""Blocks: whom a person has blocked. One stream for each who blocks; nobody else is told."""

from typing import ClassVar, assert_never

from msgspec import Struct
from msgspec.structs import replace

from domain.bounds import BLOCKS_MAX
from domain.errors import BlockOneselfError, TooManyBlocksError
from domain.events import Event, Recorded, Stream
from domain.ids import UserId


class _OfBlock(Event, frozen=True):
    user_id: UserId
    blocked_id: UserId


class UserBlocked(_OfBlock, frozen=True):
    topic: ClassVar = "user.blocked"


class UserUnblocked(_OfBlock, frozen=True):
    topic: ClassVar = "user.unblocked"


BlockEvent = UserBlocked | UserUnblocked


class Blocks(Struct, frozen=True):
    blocked: frozenset[UserId]


NONE = Blocks(frozenset())


def block(blocks: Blocks | None, *, by: UserId, user_id: UserId) -> tuple[BlockEvent, ...]:
    """Block a person; who is blocked stays so."""
    if by == user_id:
        raise BlockOneselfError
    blocked = (blocks or NONE).blocked
    if user_id in blocked:
        return ()
    if len(blocked) >= BLOCKS_MAX:
        raise TooManyBlocksError
    return (UserBlocked(by, user_id),)


def unblock(blocks: Blocks | None, *, by: UserId, user_id: UserId) -> tuple[BlockEvent, ...]:
    """Lift a block; of who is not blocked nothing changes."""
    return (UserUnblocked(by, user_id),) if has_blocked(blocks, user_id) else ()


def has_blocked(blocks: Blocks | None, user_id: UserId) -> bool:
    """Return whether whose blocks these are has blocked this person."""
    return blocks is not None and user_id in blocks.blocked


def evolve(blocks: Blocks | None, recorded: Recorded[BlockEvent]) -> Blocks:
    event, now = recorded.event, blocks or NONE
    match event:
        case UserBlocked():
            return replace(now, blocked=now.blocked | {event.blocked_id})
        case UserUnblocked():
            return replace(now, blocked=now.blocked - {event.blocked_id})
        case _:
            assert_never(event)


BLOCKS: Stream[Blocks] = Stream("blocks", evolve, Blocks)
EVENTS: tuple[type[Event], ...] = (UserBlocked, UserUnblocked)
