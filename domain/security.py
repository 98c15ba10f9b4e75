"""Security: refusals, counted. A stranger cannot fill the record: there is one event for a code, a person or address, and
a minute.

What was not refused (log-ins, refreshes, ends of sessions, passwords, roles, reads of the record) has its own events.
"""

from typing import ClassVar
from uuid import UUID

from msgspec import Struct

from domain.events import Event, Recorded, Stream
from domain.ids import RoomId, UserId
from domain.integers import Int8

NOBODY = UUID(int=0)


class RefusalsCounted(Event, frozen=True):
    """`kind` is the code of the refusal. With `address` "others" it counts all who did not get an event of their own."""

    topic: ClassVar = "security.refusals_counted"
    sealed: ClassVar = ("address",)

    kind: str
    count: Int8
    minute: Int8
    user_id: UserId | None
    address: str | None

    def encryption_subject(self) -> tuple[UUID, RoomId | None]:
        return self.user_id or NOBODY, None


class Counted(Struct, frozen=True):
    """All refusals of one stream, whatever their code."""

    total: int


def evolve(counted: Counted | None, recorded: Recorded[RefusalsCounted]) -> Counted:
    return Counted((counted.total if counted else 0) + recorded.event.count)


SECURITY: Stream[Counted] = Stream("security", evolve, Counted)
EVENTS: tuple[type[Event], ...] = (RefusalsCounted,)
