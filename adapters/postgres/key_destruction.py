"""Destroying data keys: whose there are, and their end. The record says first which are destroyed (`erasure.keys_condemned`)."""

from collections.abc import Sequence
from datetime import date
from uuid import UUID

from msgspec import Struct

from domain.ids import RoomId, UserId
from domain.ports.database import Db

SELECT_LIVE = """
    SELECT key_id, room_id, day FROM vault.data_keys WHERE subject = $1 AND wrapped IS NOT NULL ORDER BY day, key_id
"""
DESTROY = "SELECT vault.destroy_keys($1::uuid[])"
FORGET_DELIVERIES = "DELETE FROM notify.deliveries WHERE account_id = $1 OR actor_id = $1"


class LiveKey(Struct, frozen=True):
    """A data key that is not destroyed; `room_id` None: of what was not said in a room."""

    key_id: UUID
    room_id: RoomId | None
    day: date


async def live_keys(db: Db, subject: UserId) -> list[LiveKey]:
    """Return a person's keys, the oldest first."""
    return await db.all(LiveKey, SELECT_LIVE, subject)


async def destroy(db: Db, key_ids: Sequence[UUID]) -> int:
    """Destroy these keys for ever, and the snapshots that are sealed with them; return how many were not destroyed before.
    Every process hears of it at once."""
    return int(await db.value(DESTROY, list(key_ids)))


async def forget_deliveries(db: Db, user_id: UserId) -> None:
    """Take away what a person was or is to be told outside of the chat, and what others are to be told of them."""
    await db.run(FORGET_DELIVERIES, user_id)
