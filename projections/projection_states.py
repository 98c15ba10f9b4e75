"""How each group of read tables does: version, position, lag in events and seconds, owner, what is parked, what is built."""

from collections.abc import Sequence
from typing import Literal

from msgspec import Struct

from domain.ports.database import Db

# Whoever follows gathers events, some for a second: that some wait for so long is nothing that anybody has to see to.
BEHIND_EVENTS, BEHIND_SECONDS = 100, 2.0
STANDS_STILL_SECONDS = 15.0
# `waiting_seconds`: for how long the first event that the group lacks has been on the record.
SELECT = """
    SELECT asked.name, asked.version, c.version AS served_version, coalesce(c.position, 0) AS position,
        greatest(0, h.position - coalesce(c.position, 0)) AS lag_events,
        coalesce(greatest(0, extract(epoch FROM clock_timestamp() - e.recorded_at)), 0)::float8 AS lag_seconds,
        coalesce(extract(epoch FROM clock_timestamp()
            - greatest(CASE WHEN c.moved_at <= clock_timestamp() THEN c.moved_at END, e.recorded_at)), 0)::float8 AS idle_seconds,
        c.owner, coalesce(c.leased_to > clock_timestamp(), false) AS is_owned,
        (SELECT count(*) FROM read.parked_events p WHERE p.group_name = asked.name AND NOT p.is_building) AS parked_events,
        b.version AS building_version, b.position AS building_position
    FROM unnest($1::text[], $2::int[]) WITH ORDINALITY asked (name, version, i) CROSS JOIN record.head h
    LEFT JOIN LATERAL (
        SELECT version, position, owner, leased_to, moved_at FROM read.checkpoints WHERE name = asked.name
        ORDER BY position DESC LIMIT 1
    ) c ON true
    LEFT JOIN record.events e ON e.position = coalesce(c.position, 0) + 1 AND e.position <= h.position
    LEFT JOIN read.building_tables b ON b.group_name = asked.name
    ORDER BY asked.i
"""

State = Literal["served", "behind", "standing_still", "not_followed", "not_built"]


class ProjectionState(Struct, frozen=True):
    """`version` is the code's, `served_version` that of the tables (None: nobody has followed yet)."""

    name: str
    version: int
    served_version: int | None
    position: int
    lag_events: int
    lag_seconds: float
    idle_seconds: float
    owner: str | None
    is_owned: bool
    parked_events: int
    building_version: int | None
    building_position: int | None

    @property
    def is_built(self) -> bool:
        """Whether what is served has all that this code reads."""
        return self.served_version is None or self.served_version >= self.version

    @property
    def state(self) -> State:
        """`not_built`: what is served is of an earlier version; `not_followed`: nobody holds the lease; `standing_still`: an event
        waits, and nothing moved for 15 s; `behind`: 100 events or more wait, the first of them for 2 s or more."""
        if not self.is_built:
            return "not_built"
        if not self.is_owned:
            return "not_followed"
        if self.lag_events and self.idle_seconds > STANDS_STILL_SECONDS:
            return "standing_still"
        is_behind = self.lag_events >= BEHIND_EVENTS and self.lag_seconds >= BEHIND_SECONDS
        return "behind" if is_behind else "served"


async def of(db: Db, versions: Sequence[tuple[str, int]]) -> list[ProjectionState]:
    """Return how these groups do, in this order; each is asked for with the version of the code."""
    return await db.all(ProjectionState, SELECT, [name for name, _ in versions], [version for _, version in versions])
