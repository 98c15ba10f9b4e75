"""Restoring: an operator restored the record, and its new life begins with saying so."""

from datetime import datetime
from uuid import UUID

from msgspec import Struct

from commands.unit_of_work import Handler, UnitOfWork
from domain.ids import RecordId
from domain.restoration import RESTORATIONS, RecordRestored


class TellRestoration(Struct, frozen=True):
    """What was restored, as the event has it."""

    record_before: RecordId
    position: int
    root: str
    backup: UUID | None
    backed_up_at: datetime | None


async def tell(command: TellRestoration, unit: UnitOfWork) -> None:
    await unit.load(RESTORATIONS)
    restored = RecordRestored(
        command.record_before, command.position, command.root, command.backup, command.backed_up_at
    )
    unit.write(RESTORATIONS, events=(restored,))


HANDLERS: dict[type[Struct], Handler] = {TellRestoration: tell}
