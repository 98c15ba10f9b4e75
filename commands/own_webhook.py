"""A person's own webhook: set, replaced and removed."""

from msgspec import Struct

from commands.unit_of_work import Handler, UnitOfWork
from domain import own_webhook as decide
from domain.account import ACCOUNT, require_active
from domain.ids import UserId
from domain.own_webhook import OWN_WEBHOOK


class PutOwnWebhook(Struct, frozen=True):
    """The address was checked (`adapters/outbound/public_addresses.py`)."""

    url: str
    secret: str


class RemoveOwnWebhook(Struct, frozen=True):
    pass


class ForgetOwnWebhook(Struct, frozen=True):
    """The server answered that it wants no more of them."""

    user_id: UserId


async def put(command: PutOwnWebhook, unit: UnitOfWork) -> None:
    user_id = unit.caller.user_id
    assert user_id, "authentication lets no stranger here"
    account, _ = await unit.load_all((ACCOUNT, (user_id,)), (OWN_WEBHOOK, (user_id,)))
    require_active(account)
    unit.write(OWN_WEBHOOK, user_id, events=decide.put(user_id, url=command.url, secret=command.secret))


async def remove(command: RemoveOwnWebhook, unit: UnitOfWork) -> None:
    assert unit.caller.user_id, "authentication lets no stranger here"
    await remove_webhook(unit, unit.caller.user_id)


async def forget(command: ForgetOwnWebhook, unit: UnitOfWork) -> None:
    await remove_webhook(unit, command.user_id, is_gone=True)


async def remove_webhook(unit: UnitOfWork, user_id: UserId, *, is_gone: bool = False) -> None:
    """Remove a person's webhook, if there is one, in the append of the command that calls this."""
    webhook = await unit.load(OWN_WEBHOOK, user_id)
    unit.write(OWN_WEBHOOK, user_id, events=decide.remove(webhook, is_gone=is_gone))


HANDLERS: dict[type[Struct], Handler] = {PutOwnWebhook: put, RemoveOwnWebhook: remove, ForgetOwnWebhook: forget}
