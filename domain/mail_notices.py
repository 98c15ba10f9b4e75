"""Mail notices: whether a person is told of things by mail at all. A link in each mail stops them, for whoever holds the mail;
what the person has set otherwise stays as it is, and goes again once they are allowed again. One stream for each person.
"""

from typing import ClassVar, assert_never
from uuid import UUID

from msgspec import Struct

from domain.events import Event, Recorded, Stream
from domain.ids import RoomId, UserId


class _OfMailNotices(Event, frozen=True):
    user_id: UserId

    def encryption_subject(self) -> tuple[UUID, RoomId | None]:
        return self.user_id, None


class MailNoticesStopped(_OfMailNotices, frozen=True):
    topic: ClassVar = "mail_notices.stopped"


class MailNoticesAllowed(_OfMailNotices, frozen=True):
    topic: ClassVar = "mail_notices.allowed"


MailNoticesEvent = MailNoticesStopped | MailNoticesAllowed


class MailNotices(Struct, frozen=True):
    stopped: bool


def stop(notices: MailNotices | None, user_id: UserId) -> tuple[MailNoticesEvent, ...]:
    """Stop them; stopped ones stay so."""
    return () if is_stopped(notices) else (MailNoticesStopped(user_id),)


def allow(notices: MailNotices | None, user_id: UserId) -> tuple[MailNoticesEvent, ...]:
    """Allow them again."""
    return (MailNoticesAllowed(user_id),) if is_stopped(notices) else ()


def is_stopped(notices: MailNotices | None) -> bool:
    return notices is not None and notices.stopped


def evolve(_: MailNotices | None, recorded: Recorded[MailNoticesEvent]) -> MailNotices:
    match recorded.event:
        case MailNoticesStopped():
            return MailNotices(True)
        case MailNoticesAllowed():
            return MailNotices(False)
        case _:
            assert_never(recorded.event)


MAIL_NOTICES: Stream[MailNotices] = Stream("mail_notices", evolve, MailNotices)
EVENTS: tuple[type[Event], ...] = (MailNoticesStopped, MailNoticesAllowed)
