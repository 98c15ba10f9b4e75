"""The rotations of the notary's key, as they stand on the record. Their events are in plain text: nothing opens them."""

from typing import NamedTuple

import msgspec
from msgspec import Struct

from domain.key_rotation import NOTARY_KEYS, Rotation
from domain.ports.database import Db

SELECT_ROTATIONS = "SELECT position, data FROM record.events WHERE stream = $1 AND position <= $2 ORDER BY version"


class _Row(NamedTuple):
    position: int
    data: bytes


class _Data(Struct):
    note: str = ""


async def rotations(db: Db, until: int) -> list[Rotation]:
    """Return all statements up to a position, in their order, unverified. What cannot be read says nothing."""
    rows = await db.all(_Row, SELECT_ROTATIONS, NOTARY_KEYS.id(), until)
    return [Rotation(row.position, _note(row.data)) for row in rows]


def _note(data: bytes) -> str:
    try:
        return msgspec.json.decode(data, type=_Data).note
    except msgspec.MsgspecError:
        return ""
