"""Followers by version: which code stands by for a group of read tables. Owns the table `read.followers`.

Code follows tables of its own version or of an earlier one: columns and tables are only added, so it writes them rightly. It
never follows those of a later version, whose rows it would write without what that added.
"""

from domain.ports.database import Db
from projections.checkpoints import LEASE_SECONDS_MAX

SEEN_SECONDS = 5.0  # a follower that was seen so lately is there
SAY = """
    INSERT INTO read.followers (group_name, version) VALUES ($1, $2)
    ON CONFLICT (group_name, version) DO UPDATE SET seen_at = excluded.seen_at
"""
# Whether tables of version $2 may be served: nobody is the owner who could not follow them, or somebody stands by who can.
SELECT_MAY_SERVE = """
    SELECT coalesce(c.version >= $2 OR c.leased_to NOT BETWEEN clock_timestamp() AND clock_timestamp() + make_interval(secs => $3), true)
        OR EXISTS (
            SELECT FROM read.followers f WHERE f.group_name = $1 AND f.version >= $2
                AND f.seen_at > clock_timestamp() - make_interval(secs => $4)
        )
    FROM (VALUES (1)) one (i) LEFT JOIN LATERAL (
        SELECT version, leased_to FROM read.checkpoints WHERE name = $1 ORDER BY position DESC LIMIT 1
    ) c ON true
"""


async def say(db: Db, group: str, version: int) -> None:
    """Note that a follower of this version is there."""
    await db.run(SAY, group, version)


async def may_serve(db: Db, group: str, version: int) -> bool:
    """Return whether somebody would follow tables of this version if they were served now, or nobody follows anyway."""
    return bool(await db.value(SELECT_MAY_SERVE, group, version, LEASE_SECONDS_MAX, SEEN_SECONDS))
