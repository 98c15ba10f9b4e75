"""Blocks: a person keeps others from writing to them alone, and from naming them."""

from msgspec import Struct

from commands.unit_of_work import Handler, UnitOfWork
from domain import block as decide
from domain.account import ACCOUNT, require_active, require_known
from domain.block import BLOCKS, Blocks
from domain.ids import UserId


class BlockUser(Struct, frozen=True):
    user_id: UserId


class UnblockUser(Struct, frozen=True):
    user_id: UserId


async def block(command: BlockUser, unit: UnitOfWork) -> None:
    user_id, blocks = await _own(unit, command.user_id)
    unit.write(BLOCKS, user_id, events=decide.block(blocks, by=user_id, user_id=command.user_id))


async def unblock(command: UnblockUser, unit: UnitOfWork) -> None:
    user_id, blocks = await _own(unit, command.user_id)
    unit.write(BLOCKS, user_id, events=decide.unblock(blocks, by=user_id, user_id=command.user_id))


async def _own(unit: UnitOfWork, other_id: UserId) -> tuple[UserId, Blocks]:
    """Return who asks, and whom they block. Raise `DomainError` if they may not, or if there is no such other."""
    user_id = unit.caller.user_id
    assert user_id, "strangers block nobody"
    account, other, blocks = await unit.load_all((ACCOUNT, (user_id,)), (ACCOUNT, (other_id,)), (BLOCKS, (user_id,)))
    require_active(account)
    require_known(other)
    return user_id, blocks


HANDLERS: dict[type[Struct], Handler] = {BlockUser: block, UnblockUser: unblock}
