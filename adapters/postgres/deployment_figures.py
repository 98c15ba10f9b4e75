"""What the database says of a deployment beside its record and read tables: sizes, keys, and files that wait."""

from datetime import datetime

from msgspec import Struct

from domain.ports.database import Db

# Data keys may be millions: Postgres' own running count of them costs nothing.
SELECT = """
    SELECT clock_timestamp() AS at, (SELECT position FROM record.head) AS position,
        pg_database_size(current_database()) AS database_bytes,
        coalesce((SELECT n_live_tup FROM pg_stat_user_tables WHERE schemaname = 'vault' AND relname = 'data_keys'), 0) AS data_keys,
        (SELECT count(*) FROM vault.signing_keys WHERE retired_at IS NULL) AS signing_keys,
        (SELECT max(signs_from) FROM vault.signing_keys WHERE retired_at IS NULL) AS signs_from,
        f.unscanned, f.unprocessed, f.unscanned_seconds
    FROM (
        SELECT count(*) FILTER (WHERE status = 'pending') AS unscanned, count(*) FILTER (WHERE status = 'processing') AS unprocessed,
            coalesce(extract(epoch FROM clock_timestamp() - min(created_at) FILTER (WHERE status = 'pending')), 0)::float8
                AS unscanned_seconds
        FROM read.files WHERE status IN ('pending', 'processing')
    ) f
"""


class DeploymentFigures(Struct, frozen=True):
    """`at` is the database's clock. `data_keys` is about how many there are; `signs_from`: since when the newest key of access
    tokens signs. Files are `unscanned` before the scanner has judged them."""

    at: datetime
    position: int
    database_bytes: int
    data_keys: int
    signing_keys: int
    signs_from: datetime | None
    unscanned: int
    unprocessed: int
    unscanned_seconds: float


async def of(db: Db) -> DeploymentFigures:
    found = await db.one(DeploymentFigures, SELECT)
    assert found is not None, "it is one row"
    return found
