"""Security: recording what a gateway refused in a minute."""

from uuid import UUID

from msgspec import Struct

from commands.unit_of_work import Handler, UnitOfWork
from domain.security import SECURITY, RefusalsCounted


class CountRefusals(Struct, frozen=True):
    """What one process refused in one minute; `batch_id` is new each time."""

    batch_id: UUID
    refusals: tuple[RefusalsCounted, ...]


async def count(command: CountRefusals, unit: UnitOfWork) -> None:
    await unit.load_new(SECURITY, command.batch_id)
    unit.write(SECURITY, command.batch_id, events=command.refusals)


HANDLERS: dict[type[Struct], Handler] = {CountRefusals: count}
