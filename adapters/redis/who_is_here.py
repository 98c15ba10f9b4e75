"""Who is here: what the gateways say of presence, read by a process that is none of them.

A gateway's word counts as long as its lease lives (`adapters/redis/cluster_state.py`, which owns the keys).
"""

from collections.abc import Awaitable, Collection, Mapping
from typing import Any, Self, cast

import msgspec
import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError

from adapters.redis.cluster_state import ANSWER_SECONDS, People
from adapters.redis.connections import open_redis
from domain.ids import RecordId, RoomId, UserId
from domain.quotas import of_user

log = structlog.get_logger()

_people = msgspec.msgpack.Decoder(People).decode
NOBODY: frozenset[UserId] = frozenset()


class RedisPresence:
    """The port `domain.ports.presence.WhoIsHere`."""

    def __init__(self, redis: "Redis", record: RecordId) -> None:
        self._redis = redis
        self._prefix = f"hansard:{{{record}}}"

    @classmethod
    def open(cls, url: str, record: RecordId) -> Self:
        return cls(open_redis(url, seconds=ANSWER_SECONDS), record)

    async def close(self) -> None:
        await self._redis.aclose()

    async def looking(self, room_ids: Collection[RoomId]) -> Mapping[RoomId, frozenset[UserId]]:
        found: dict[RoomId, frozenset[UserId]] = {}
        for room_id, lists in zip(room_ids, await self._hashes("people", room_ids), strict=False):
            found[room_id] = NOBODY.union(*(_people(said).user_ids for said in lists))
        return found

    async def online(self, user_ids: Collection[UserId]) -> frozenset[UserId]:
        seats = await self._hashes("seats", list(map(of_user, user_ids)))
        return frozenset(
            user_id for user_id, counts in zip(user_ids, seats, strict=False) if any(int(count) > 0 for count in counts)
        )

    async def _hashes(self, kind: str, names: Collection[object]) -> list[list[bytes]]:
        """Return what the living gateways have said under each of these keys; nothing at all if Redis does not answer."""
        if not names:
            return []
        try:
            async with self._redis.pipeline(transaction=False) as pipe:
                pipe.time()
                pipe.zrange(f"{self._prefix}:gateways", 0, -1, withscores=True)
                for name in names:
                    pipe.hgetall(f"{self._prefix}:{kind}:{name}")
                (seconds, _), leases, *hashes = await cast(Awaitable[Any], pipe.execute())
        except (TimeoutError, RedisError, OSError) as error:
            log.warning("nobody is known to be here", reason=str(error) or type(error).__name__)
            return []
        living = {gateway for gateway, until in leases if until > seconds * 1000}
        return [[said for gateway, said in each.items() if gateway in living] for each in hashes]
