"""Notifications: what one wants to be told of, and the inbox of what one was."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from litestar import Response, get, put
from litestar.handlers import BaseRouteHandler
from msgspec import UNSET, Meta, Struct, UnsetType

from commands.notification import ChangeNotificationSettings, MarkNotificationsRead
from domain.bounds import KEYWORD_CHARS_MAX, KEYWORDS_MAX, NOTIFICATION_ROOMS_MAX, TIME_ZONE_CHARS_MAX
from domain.events import Caller
from domain.ids import RecordId, RoomId, UserId
from domain.mail_notices import MAIL_NOTICES, is_stopped
from domain.notification import SETTINGS, Level, MailPace, NotificationSettings, RoomLevel, Shown
from domain.quiet_hours import DAYS, Day, Quiet
from gateway.http.declarations import declare
from gateway.http.pagination import LIMIT, Cursor, Limit, Place, cursor_of, place_of
from gateway.http.responses import shown, written
from gateway.operations.execution import execute, me
from gateway.services import Services
from projections import notifications
from projections.notifications import NotificationView

BEYOND = 2**63 - 1

Rooms = Annotated[
    dict[UUID, Level],
    Meta(max_length=NOTIFICATION_ROOMS_MAX, extra_json_schema={"propertyNames": {"type": "string", "format": "uuid"}}),
]
# One line with something to see in it.
KEYWORD = r"^[^\u0000-\u001f\u007f-\u009f\u2028\u2029]*[^\s\u0000-\u001f\u007f-\u009f][^\u0000-\u001f\u007f-\u009f\u2028\u2029]*$"
Keyword = Annotated[str, Meta(min_length=1, max_length=KEYWORD_CHARS_MAX, pattern=KEYWORD)]
Keywords = Annotated[list[Keyword], Meta(max_length=KEYWORDS_MAX)]
TimeOfDay = Annotated[str, Meta(pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]$", description="As the clock shows it.")]
Zone = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=TIME_ZONE_CHARS_MAX,
        description="IANA, like Europe/Berlin.",
        extra_json_schema={"format": "time-zone"},
    ),
]


class QuietBody(Struct, frozen=True, forbid_unknown_fields=True, rename={"begin": "from", "end": "to"}):
    """When one is not to be disturbed; `days` are those on which it begins, and all if they are not given."""

    begin: TimeOfDay
    end: TimeOfDay
    time_zone: Zone
    days: Annotated[
        tuple[Day, ...], Meta(min_length=1, max_length=len(DAYS), extra_json_schema={"uniqueItems": True})
    ] = DAYS


class SettingsBody(Struct, frozen=True, forbid_unknown_fields=True):
    """Absent means unchanged; null clears. `rooms` and `keywords` are replaced as a whole."""

    default: Level | UnsetType = UNSET
    rooms: Rooms | UnsetType = UNSET
    keywords: Keywords | UnsetType = UNSET
    quiet: QuietBody | None | UnsetType = UNSET
    dnd_until: datetime | None | UnsetType = UNSET
    email: MailPace | UnsetType = UNSET
    content: Shown | UnsetType = UNSET


class SettingsView(Struct, frozen=True):
    """`default` goes for rooms that are not in `rooms`. `content` hidden: what is told outside the chat says neither what was
    written, nor where, nor by whom."""

    default: Level
    rooms: dict[RoomId, Level]
    keywords: tuple[str, ...]
    quiet: Quiet | None
    dnd_until: datetime | None
    email: MailPace
    content: Shown


class ReadBody(Struct, frozen=True, forbid_unknown_fields=True):
    position: Annotated[int, Meta(ge=0, le=2**63 - 1)]


class InboxPage(Struct, frozen=True):
    """`unread` is how much of the whole inbox is unread, counted up to 1,000. `next_cursor` null: there is nothing after this
    page."""

    items: list[NotificationView]
    next_cursor: str | None
    unread: int


@get("/users/me/notifications", opt=declare("notification.settings"))
async def read_settings(services: Services, caller: Caller) -> Response[SettingsView]:
    """Return what one wants to be told of."""
    user_id = me(caller)
    settings = (await services.command_bus.see(SETTINGS, user_id)).state or NotificationSettings(user_id)
    return shown(view_of(settings, mails_stopped=await _mails_stopped(services, user_id)))


@put("/users/me/notifications", opt=declare("notification.change"))
async def change_settings(data: SettingsBody, services: Services, caller: Caller) -> Response[SettingsView]:
    """Change what one wants to be told of. It goes for what comes from now on."""
    quiet = data.quiet
    command = ChangeNotificationSettings(
        default=data.default,
        rooms=UNSET
        if data.rooms is UNSET
        else tuple(RoomLevel(RoomId(room_id), level) for room_id, level in sorted(data.rooms.items())),
        keywords=UNSET if data.keywords is UNSET else tuple(data.keywords),
        quiet=Quiet(quiet.begin, quiet.end, quiet.time_zone, quiet.days) if isinstance(quiet, QuietBody) else quiet,
        dnd_until=data.dnd_until,
        email=data.email,
        content=data.content,
    )
    outcome = await execute(services, command, caller)
    user_id = me(caller)
    settings = outcome.folded(SETTINGS, user_id).state or NotificationSettings(user_id)
    return written(outcome, view_of(settings, mails_stopped=await _mails_stopped(services, user_id)))


async def _mails_stopped(services: Services, user_id: UserId) -> bool:
    return is_stopped((await services.command_bus.see(MAIL_NOTICES, user_id)).state)


def view_of(settings: NotificationSettings, *, mails_stopped: bool) -> SettingsView:
    """Return settings as their owner sees them: mails that were stopped by the link in one are off."""
    return SettingsView(
        settings.default,
        {each.room_id: each.level for each in settings.rooms},
        settings.keywords,
        settings.quiet,
        settings.dnd_until,
        "off" if mails_stopped else settings.email,
        settings.content,
    )


def place_at(cursor: str, record: RecordId) -> tuple[int]:
    """Return the position before which a page of the inbox begins."""
    place: tuple[int] = place_of(cursor, record, "notifications", tuple[Place])
    return place


@get("/notifications", opt=declare("notification.list", cursor=place_at, reads=("live", "notifications")))
async def list_notifications(
    services: Services, caller: Caller, cursor: Cursor | None = None, limit: Limit = LIMIT
) -> Response[InboxPage]:
    """List what one was told, the latest first. What was read in its room, on any device, is read here."""
    (before,) = (BEYOND,) if cursor is None else place_at(cursor, services.record_id)
    user_id, marks = me(caller), await services.marks.of(me(caller))
    found = await notifications.page(services.db, user_id, before=before, marks=marks, limit=limit)
    following = cursor_of(services.record_id, "notifications", found[-1].position) if len(found) == limit else None
    return shown(InboxPage(found, following, await notifications.unread(services.db, user_id, marks)))


@put(
    "/notifications/read",
    status_code=204,
    opt=declare("notification.mark_read"),
)
async def mark_read(data: ReadBody, services: Services, caller: Caller) -> Response[None]:
    """Mark everything in the inbox up to a position as read. Marks go forward only, at most to the head."""
    return written(await execute(services, MarkNotificationsRead(data.position), caller), None, status=204)


ROUTES: list[BaseRouteHandler] = [read_settings, change_settings, list_notifications, mark_read]
