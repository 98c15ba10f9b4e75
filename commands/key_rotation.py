"""The notary's next key: an operator puts on the record what it and the one before have signed."""

from msgspec import Struct

from commands.unit_of_work import Handler, UnitOfWork
from domain.key_rotation import NOTARY_KEYS, rotate


class RotateNotaryKey(Struct, frozen=True):
    """`note` was verified by whoever made it; nobody believes it unverified."""

    origin: str
    note: str


async def tell(command: RotateNotaryKey, unit: UnitOfWork) -> None:
    keys = await unit.load(NOTARY_KEYS)
    unit.write(NOTARY_KEYS, events=rotate(keys, origin=command.origin, note=command.note))


HANDLERS: dict[type[Struct], Handler] = {RotateNotaryKey: tell}
