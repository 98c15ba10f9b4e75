"""Notifications: what a person wants to be told of, and how far they have read their inbox."""

from datetime import datetime

from msgspec import UNSET, Struct, UnsetType
from msgspec.structs import replace

from commands.unit_of_work import Handler, UnitOfWork
from domain import notification as decide
from domain.account import ACCOUNT, require_active
from domain.ids import UserId
from domain.mail_notices import MAIL_NOTICES, allow
from domain.notification import INBOX, SETTINGS, Level, MailPace, NotificationSettings, RoomLevel, Shown
from domain.quiet_hours import Quiet


class ChangeNotificationSettings(Struct, frozen=True):
    """What is UNSET stays as it is."""

    default: Level | UnsetType = UNSET
    rooms: tuple[RoomLevel, ...] | UnsetType = UNSET
    keywords: tuple[str, ...] | UnsetType = UNSET
    quiet: Quiet | None | UnsetType = UNSET
    dnd_until: datetime | None | UnsetType = UNSET
    email: MailPace | UnsetType = UNSET
    content: Shown | UnsetType = UNSET


class MarkNotificationsRead(Struct, frozen=True):
    position: int


async def change(command: ChangeNotificationSettings, unit: UnitOfWork) -> None:
    user_id = _me(unit)
    account, settings = await unit.load_all((ACCOUNT, (user_id,)), (SETTINGS, (user_id,)))
    require_active(account)
    given = {
        name: value
        for name in ChangeNotificationSettings.__struct_fields__
        if (value := getattr(command, name)) is not UNSET
    }
    wanted = replace(settings or NotificationSettings(user_id), **given)
    unit.write(SETTINGS, user_id, events=decide.change(settings, wanted))
    if command.email is not UNSET and command.email != "off":
        notices = await unit.load(
            MAIL_NOTICES, user_id
        )  # whoever asks for mails wants them, whatever a link in one said
        unit.write(MAIL_NOTICES, user_id, events=allow(notices, user_id))


async def mark(command: MarkNotificationsRead, unit: UnitOfWork) -> None:
    user_id = _me(unit)
    account, inbox = await unit.load_all((ACCOUNT, (user_id,)), (INBOX, (user_id,)))
    require_active(account)
    events = decide.mark(inbox, user_id=user_id, position=command.position, head=await unit.head())
    unit.write(INBOX, user_id, events=events)


def _me(unit: UnitOfWork) -> UserId:
    user_id = unit.caller.user_id
    assert user_id, "strangers are told of nothing"
    return user_id


HANDLERS: dict[type[Struct], Handler] = {ChangeNotificationSettings: change, MarkNotificationsRead: mark}
