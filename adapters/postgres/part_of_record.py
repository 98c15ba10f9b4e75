"""A part of the record: the events of some of its rooms, for one of several processes that fold it side by side.

The parts are disjoint and all of them together are the record; which event is in which says `record.part_of` (in the
migrations): by the last digit of its room's id, which is random. Order and bounds of a page are those of `PostgresRecord.after`.
"""

from collections.abc import Sequence

from adapters.postgres.codec import StoredRow, decode_all
from adapters.postgres.data_keys import Vault
from domain.events import Event, Recorded
from domain.ports.database import Db

PART_PAGE_BYTES_MAX = 4 * 1024**2

# $2 is near: no plan knows how many events are of a part, and one that thinks of few looks through all of them for a page.
SELECT_PART = """
    SELECT position, stream, version, topic, data, meta, room_id, recorded_at FROM (
        SELECT *, sum(octet_length(data) + octet_length(meta)) OVER (
            ORDER BY position ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS bytes_before
        FROM record.events
        WHERE position > $1 AND position <= $2 AND record.part_of(room_id, topic, data, $6) = $5 ORDER BY position LIMIT $3
    ) page WHERE bytes_before IS NULL OR bytes_before < $4::bigint ORDER BY position
"""


class PartOfRecord:
    """Part `number` of `parts`, counted from 0."""

    def __init__(self, db: Db, vault: Vault, number: int, parts: int) -> None:
        self._db = db
        self._vault = vault
        self._number = number
        self._parts = parts

    async def after(self, position: int, *, until: int, limit: int, metas: bool = True) -> Sequence[Recorded[Event]]:
        """Return at most `limit` events of this part after a position and up to `until`, in order; only an empty answer says that
        there are no more."""
        while position < until:
            end = min(until, position + limit * self._parts)
            asked = position, end, limit, PART_PAGE_BYTES_MAX, self._number, self._parts
            if rows := await self._db.all(StoredRow, SELECT_PART, *asked):
                return await decode_all(rows, self._vault, metas=metas)
            position = end
        return ()
