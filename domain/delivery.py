"""Delivery: when somebody is told of a notification by which channel, and as one of how many. Pure: the clock is an argument.

Devices are told at once; mail waits until somebody has been away for a while, or for the time of their digest. Quiet hours and
do-not-disturb hold everything back until they end. What waited, what is old already because nothing was told for a while, and
what comes in too great a number becomes one notice with a count.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple, get_args
from uuid import UUID

from msgspec import Struct

from domain.ids import MessageId, RoomId, UserId
from domain.notification import NotificationSettings
from domain.quiet_hours import held_until, next_time
from domain.telling import Kind, PostKind

MAIL = "mail"
FRESH_SECONDS = 600.0  # what is older is told together with others, if at all
AT_ONCE_MAX = 3  # notices to one device at one moment; of more it gets one
DIGEST_TIME = "08:00"
TRIES_MAX = 8
RETRY_SECONDS = 5.0  # four times as long with each try
RETRY_SECONDS_MAX = 6 * 3_600.0  # whatever the other side asks for
PATIENCE_SECONDS = 24 * 3_600.0  # after what happened, nobody is told of it any more by another try
STRENGTH: tuple[str, ...] = (*get_args(PostKind), "invitation", "file")


class Delivery(Struct, frozen=True):
    """One notification for one device or address. `is_held`: it waited for the end of quiet hours."""

    account_id: UserId
    position: int
    channel: str
    target_id: UUID
    kind: Kind
    room_id: RoomId | None
    message_id: MessageId | None
    actor_id: UserId | None
    at: datetime
    is_held: bool = False
    tries: int = 0
    thread_id: MessageId | None = None


class Bundle(NamedTuple):
    """Deliveries to one target that become one notice, the last of them at the end."""

    deliveries: tuple[Delivery, ...]

    @property
    def last(self) -> Delivery:
        return self.deliveries[-1]

    @property
    def kind(self) -> Kind:
        """The strongest kind among them."""
        return min((each.kind for each in self.deliveries), key=STRENGTH.index)

    @property
    def room_id(self) -> RoomId | None:
        """The room in which all of them happened, or None."""
        rooms = {each.room_id for each in self.deliveries}
        return self.last.room_id if len(rooms) == 1 else None

    @property
    def thread_id(self) -> MessageId | None:
        """The thread in which all of them happened, or None."""
        threads = {each.thread_id for each in self.deliveries}
        return self.last.thread_id if len(threads) == 1 else None


def due_at(
    channel: str, at: datetime, settings: NotificationSettings, *, is_looking: bool, now: datetime, mail_seconds: float
) -> datetime | None:
    """Return when a notification is due by a channel; None if it is not told by it. `is_looking`: the person has the room before
    them."""
    if channel != MAIL:
        return None if is_looking else now
    match settings.email:
        case "off":
            return None
        case "soon":
            return max(now, at + timedelta(seconds=mail_seconds))
        case "daily":
            zone = None if settings.quiet is None else settings.quiet.time_zone
            return next_time(DIGEST_TIME, zone, now)


def waits_until(
    channel: str, settings: NotificationSettings, *, is_online: bool, now: datetime, mail_seconds: float
) -> datetime | None:
    """Return until when what is due must wait; None if it may be told now. Who is here gets no mail: it waits until they
    have gone, and were gone for a while."""
    if channel == MAIL and settings.email == "soon" and is_online:
        return now + timedelta(seconds=mail_seconds)
    if channel == MAIL and settings.email == "daily":
        return None  # a mail makes no noise, and its time is set already
    return held_until(settings.quiet, settings.dnd_until, now)


def is_stale(delivery: Delivery, now: datetime) -> bool:
    """Return whether something is told only together with what else there is, and not as news."""
    return delivery.is_held or (now - delivery.at).total_seconds() > FRESH_SECONDS


def bundles(deliveries: Iterable[Delivery], now: datetime) -> list[Bundle]:
    """Return the notices that one target gets of what is due to it: news one by one, the rest as one."""
    ordered = sorted(deliveries, key=lambda delivery: delivery.position)
    fresh = [each for each in ordered if each.channel != MAIL and not is_stale(each, now)]
    if len(fresh) > AT_ONCE_MAX:
        fresh = []
    rest = [each for each in ordered if each not in fresh]
    return [*([Bundle(tuple(rest))] if rest else []), *(Bundle((each,)) for each in fresh)]


def again_at(deliveries: Sequence[Delivery], seconds: float, now: datetime) -> datetime | None:
    """Return when a notice that was not taken is tried again: `seconds` from now or, after several tries, later. None if it is
    given up."""
    tries = max(each.tries for each in deliveries)
    wait = min(max(seconds, RETRY_SECONDS * 4.0**tries), RETRY_SECONDS_MAX)
    again = now + timedelta(seconds=wait)
    newest = max(each.at for each in deliveries)
    is_too_late = (again - newest).total_seconds() > PATIENCE_SECONDS and not any(each.is_held for each in deliveries)
    return None if tries + 1 >= TRIES_MAX or is_too_late else again
