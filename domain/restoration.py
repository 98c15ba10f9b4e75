"""The record itself: it was restored from a backup, or brought back to an earlier moment, and has another id since. It says so,
so that an auditor who knows the former one finds out when, from what, and on whose word."""

from datetime import datetime
from typing import ClassVar
from uuid import UUID

from msgspec import Struct

from domain.events import Event, Recorded, Stream
from domain.ids import RecordId
from domain.integers import Int8


class RecordRestored(Event, frozen=True):
    """The first `position` events are those of `record_before`, and `root` (hexadecimal) is that of their tree.

    `backup` and `backed_up_at` name the backup; both are null where Postgres itself was brought back to a moment.
    """

    topic: ClassVar = "record.restored"

    record_before: RecordId
    position: Int8
    root: str
    backup: UUID | None = None
    backed_up_at: datetime | None = None


class Restored(Struct, frozen=True):
    """The record that this one was before it was restored last."""

    record_before: RecordId


def evolve(restored: Restored | None, event: Recorded[RecordRestored]) -> Restored:
    return Restored(event.event.record_before)


RESTORATIONS: Stream[Restored] = Stream("restorations", evolve, Restored)
EVENTS: tuple[type[Event], ...] = (RecordRestored,)
