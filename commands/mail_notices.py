"""Mail notices: stopped by the link in a mail, and allowed again."""

from msgspec import Struct

from commands.unit_of_work import Handler, UnitOfWork
from domain import mail_notices as decide
from domain.account import ACCOUNT, require_active
from domain.ids import UserId
from domain.mail_notices import MAIL_NOTICES


class StopMailNotices(Struct, frozen=True):
    """Somebody who holds a mail to this person wants no more of them."""

    user_id: UserId


class AllowMailNotices(Struct, frozen=True):
    user_id: UserId


async def stop(command: StopMailNotices, unit: UnitOfWork) -> None:
    account, notices = await unit.load_all((ACCOUNT, (command.user_id,)), (MAIL_NOTICES, (command.user_id,)))
    require_active(account)
    unit.write(MAIL_NOTICES, command.user_id, events=decide.stop(notices, command.user_id))


async def allow(command: AllowMailNotices, unit: UnitOfWork) -> None:
    account, notices = await unit.load_all((ACCOUNT, (command.user_id,)), (MAIL_NOTICES, (command.user_id,)))
    require_active(account)
    unit.write(MAIL_NOTICES, command.user_id, events=decide.allow(notices, command.user_id))


HANDLERS: dict[type[Struct], Handler] = {StopMailNotices: stop, AllowMailNotices: allow}
