"""Ids of system messages: no client's message may get one, and system messages cannot be changed.

A client may choose any id for its message, except those that system messages have or will have soon. The former are found in
the read table, the latter are computed for the positions around the head. Choosing an id further ahead is of no use: an id
that a system message has too always means the system message (`projections/messages.py`).
"""

from uuid import UUID

from domain.derived_ids import DERIVED_VERSION, DerivedIds
from domain.errors import MessageIdReservedError, SystemMessageError
from domain.ids import MessageId, UserId
from domain.ports.database import Db
from domain.ports.record import Record
from projections import message_queries


async def require_free(derived: DerivedIds, record: Record, db: Db, message_id: UUID) -> None:
    """Raise `MessageIdReservedError` for a client's id that a system message has or will have."""
    if message_id.version != DERIVED_VERSION:
        return
    if derived.near(message_id, (await record.head()).position) or await message_queries.is_system(
        db, MessageId(message_id)
    ):
        raise MessageIdReservedError(pointer="/id")


async def require_no_system_message(db: Db, user_id: UserId, message_id: UUID) -> None:
    """Raise `SystemMessageError` if this person can see a system message under the id, whatever else was posted under it."""
    if message_id.version == DERIVED_VERSION and await message_queries.is_system(db, MessageId(message_id)):
        await message_queries.one(db, user_id, MessageId(message_id))
        raise SystemMessageError
