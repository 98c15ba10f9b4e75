"""Reading what a record says of who was in which room and who posted there, and of its clock: what every honest record keeps to."""

from datetime import datetime
from typing import NamedTuple

from adapters.postgres.database import Database
from adapters.postgres.record_moment import Moment

SELECT_STANDING = """
    SELECT position, topic, data FROM record.events
    WHERE position > $1::bigint AND position <= $2::bigint AND split_part(topic, '@', 1) = ANY ($3::text[]) ORDER BY position
"""
# The first position of each step of the clock backwards.
SELECT_BACKWARDS = """
    SELECT position, recorded_at, before FROM (
        SELECT position, recorded_at, lag(recorded_at) OVER (ORDER BY position) AS before FROM record.events
        WHERE position >= $1::bigint AND position <= $2::bigint) timed
    WHERE recorded_at < before ORDER BY position LIMIT $3
"""


class StandingRow(NamedTuple):
    """An event of a membership or a posting, as it is stored; nothing of it that is asked for is sealed."""

    position: int
    topic: str
    data: bytes


class BackwardsRow(NamedTuple):
    """An event that was recorded before the one before it."""

    position: int
    recorded_at: datetime
    before: datetime


class StandingRows:
    """The events that rules are held against."""

    def __init__(self, db: Database | Moment) -> None:
        self._db = db

    async def standing(self, after: int, until: int, topics: list[str]) -> list[StandingRow]:
        """Return the events of these topics between two positions, in order."""
        return await self._db.all(StandingRow, SELECT_STANDING, after, until, topics)

    async def backwards(self, first: int, last: int, limit: int) -> list[BackwardsRow]:
        """Return where the clock went backwards between two positions, both included."""
        return await self._db.all(BackwardsRow, SELECT_BACKWARDS, first, last, limit)
