"""Redis connections: a bounded number for each use, time-outs everywhere, no retries by the driver.

A caller that finds all of them busy waits for one: a pool that refuses instead would make a burst look like an outage.
"""

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

REDIS_SECONDS = 5.0
REDIS_CONNECTIONS_MAX = 16


def open_redis(url: str, *, seconds: float) -> "Redis":
    """Return a client; it connects when it is first used, and no call takes much longer than this."""
    pool = BlockingConnectionPool.from_url(
        url,
        max_connections=REDIS_CONNECTIONS_MAX,
        timeout=seconds,
        protocol=2,  # with 3, XREAD answers another shape
        socket_timeout=seconds,
        socket_connect_timeout=seconds,
        retry=Retry(NoBackoff(), 1),
        health_check_interval=0,
    )
    return Redis.from_pool(pool)
