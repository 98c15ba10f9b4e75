"""Ids of system messages: none is taken by a client's message, and what has one cannot be changed.

A client may make any id, but none that is or may soon be a system message's: those of what is recorded are found in the
read table, those of the positions around the head are computed. Whoever reaches further ahead gains nothing: an id that
a system message has too is always looked up as the system message (`projections/message_queries.py`).
"""

from uuid import UUID

from domain.derived_ids import DERIVED_VERSION, DerivedIds
from domain.errors import MessageIdReservedError, SystemMessageError
from domain.ids import MessageId, UserId
from domain.ports.database import Db
from domain.ports.record import Record
from projections import message_queries


async def require_free(derived: DerivedIds, record: Record, db: Db, message_id: UUID) -> None:
    """Refuse an id of a client's making that a system message has, or will have."""
    if message_id.version != DERIVED_VERSION:
        return
    if derived.near(message_id, (await record.head()).position) or await message_queries.is_system(
        db, MessageId(message_id)
    ):
        raise MessageIdReservedError(pointer="/id")


async def require_no_system_message(db: Db, user_id: UserId, message_id: UUID) -> None:
    """Refuse to change a system message that this person sees, whatever else was posted under its id."""
    if message_id.version == DERIVED_VERSION and await message_queries.is_system(db, MessageId(message_id)):
        await message_queries.one(db, user_id, MessageId(message_id))
        raise SystemMessageError
