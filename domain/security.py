"""Security: what was refused, counted. A stranger cannot fill the record: one event a kind, person or address, and minute.

What was done (log-ins, refreshes, ends of sessions, passwords, roles, reads of the record) has events of its own.
"""

from typing import ClassVar
from uuid import UUID

from msgspec import Struct

from domain.events import Event, Recorded, Stream
from domain.ids import RoomId, UserId
from domain.integers import Int8

NOBODY = UUID(int=0)


class RefusalsCounted(Event, frozen=True):
    """`kind` is the code that was answered; `address` "others": those who did not get a line of their own."""

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
    """All refusals of a sheet, whatever their kind."""

    total: int


def evolve(counted: Counted | None, recorded: Recorded[RefusalsCounted]) -> Counted:
    return Counted((counted.total if counted else 0) + recorded.event.count)


SECURITY: Stream[Counted] = Stream("security", evolve, Counted)
EVENTS: tuple[type[Event], ...] = (RefusalsCounted,)
