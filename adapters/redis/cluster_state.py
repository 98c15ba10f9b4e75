"""The state of the cluster: who is connected where. It lives in Redis and nowhere else, and all of it may be lost.

Every gateway has a lease, by Redis's own clock. What a gateway wrote counts as long as its lease lives, so nobody has
to clean up after one that was killed. Beside the leases there are sockets by person and address, the people in a room,
read marks that wait for the record, spent tickets, and a channel for each lane for what is never recorded. The keys
share a hash tag: they are small, and in one slot a script sees leases and counts at the same moment.
"""

from collections.abc import AsyncIterator, Awaitable, Iterable, Sequence
from contextlib import suppress
from typing import Any, NamedTuple, Self, cast
from uuid import UUID

import msgspec
from msgspec import Struct
from redis.asyncio import Redis
from redis.exceptions import RedisError

from adapters.redis.connections import open_redis
from domain.ids import RecordId, RoomId, UserId

READ_MARKS_KEPT_SECONDS = 30  # beside the record: until the read tables have the mark, even where they lag
READ_MARKS_OF_USER_MAX = 1_000  # so kept, by room; and of how many people in one process
GATEWAY_LEASE_SECONDS = 10.0
GATEWAY_BEAT_SECONDS = 2.0
TICKET_SECONDS = 30
ANSWER_SECONDS = 1.0

# Renew a lease. Answers whether it was new (Redis had forgotten it), and all that live.
BEAT = """
    local time = redis.call('TIME')
    local now = time[1] * 1000 + math.floor(time[2] / 1000)
    redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
    local is_new = redis.call('ZADD', KEYS[1], now + ARGV[2], ARGV[1])
    redis.call('PEXPIRE', KEYS[1], ARGV[2])
    return {is_new, redis.call('ZRANGE', KEYS[1], 0, -1)}
"""
# Say how many sockets a gateway has of a person and of an address, unless that makes too many with those of the other
# gateways that live. ARGV: gateway, seconds to keep, then count and maximum (0: any number) for each key after the
# first. Answers 0, or which key has too many (1, 2); then nothing was changed.
REPORT = """
    local time = redis.call('TIME')
    local now = time[1] * 1000 + math.floor(time[2] / 1000)
    for i = 2, #KEYS do
        local total, most = tonumber(ARGV[2 * i - 1]), tonumber(ARGV[2 * i])
        local kept = redis.call('HGETALL', KEYS[i])
        for j = 1, #kept, 2 do
            local lease = redis.call('ZSCORE', KEYS[1], kept[j])
            if not lease or tonumber(lease) <= now then
                redis.call('HDEL', KEYS[i], kept[j])
            elseif kept[j] ~= ARGV[1] then
                total = total + tonumber(kept[j + 1])
            end
        end
        if most > 0 and total > most then return i - 1 end
    end
    for i = 2, #KEYS do
        if ARGV[2 * i - 1] == '0' then
            redis.call('HDEL', KEYS[i], ARGV[1])
        else
            redis.call('HSET', KEYS[i], ARGV[1], ARGV[2 * i - 1])
            redis.call('EXPIRE', KEYS[i], ARGV[2])
        end
    end
    return 0
"""
KEPT_SECONDS = 24 * 3600


class ClusterStateUnavailableError(Exception):
    """Redis does not answer; what was asked is unknown, and may be done without."""


class SocketEntry(NamedTuple):
    """How many sockets this gateway has of an owner (`user:<id>`, `address:<network>`), and how many all gateways may have."""

    owner: str
    taken: int
    taken_max: int


class People(Struct, frozen=True, array_like=True):
    """Whom a gateway sees in a room; of two such messages the one with the higher `number` counts."""

    number: int
    user_ids: frozenset[UserId]


class PresenceMessage(Struct, frozen=True, array_like=True):
    """What a gateway publishes beside the lanes: whom it sees in a room, or who types there."""

    gateway: str
    room_id: RoomId
    people: People | None = None
    typing: UserId | None = None


_encode = msgspec.msgpack.Encoder(uuid_format="bytes").encode
_presence_message = msgspec.msgpack.Decoder(PresenceMessage).decode
_people = msgspec.msgpack.Decoder(People).decode


class ClusterState:
    """One gateway's view of the cluster, and its own part in it. Every call raises `ClusterStateUnavailableError` within a second."""

    def __init__(self, redis: "Redis", record: RecordId, gateway: str) -> None:
        self.gateway = gateway
        self._redis = redis
        self._prefix = f"hansard:{{{record}}}"
        self._beat = redis.register_script(BEAT)
        self._report = redis.register_script(REPORT)
        self._pubsub: Any = None

    @classmethod
    def open(cls, url: str, record: RecordId, gateway: str) -> Self:
        return cls(open_redis(url, seconds=ANSWER_SECONDS), record, gateway)

    async def close(self) -> None:
        """Give the lease back, so that nobody waits for it to expire, and close the connections."""
        with suppress(ClusterStateUnavailableError):  # it ends by itself
            await _asked(cast(Awaitable[Any], self._redis.zrem(self._key("gateways"), self.gateway)))
        if self._pubsub is not None:
            await self._pubsub.aclose()
        await self._redis.aclose()

    async def beat(self) -> tuple[bool, frozenset[str]]:
        """Renew this gateway's lease. Return whether Redis had lost it, and all gateways that live."""
        keys = [self._key("gateways")]
        arguments: list[Any] = [self.gateway, int(GATEWAY_LEASE_SECONDS * 1000)]
        is_new, living = await _asked(cast(Awaitable[Any], self._beat(keys=keys, args=arguments)))
        return bool(is_new), frozenset(name.decode() for name in living)

    async def report(self, *entries: SocketEntry) -> str | None:
        """Set how many sockets this gateway has of each owner. Return the owner who would have too many, or None. Then nothing was
        set."""
        keys = [self._key("gateways"), *(self._key("seats", entry.owner) for entry in entries)]
        arguments: list[Any] = [self.gateway, KEPT_SECONDS]
        for entry in entries:
            arguments += [entry.taken, entry.taken_max]
        refused = int(await _asked(cast(Awaitable[Any], self._report(keys=keys, args=arguments))))
        return entries[refused - 1].owner if refused else None

    async def publish(self, messages: Sequence[tuple[int, PresenceMessage]]) -> None:
        """Store whom this gateway sees, and publish it to everybody who listens to the lanes."""
        pipe = self._redis.pipeline(transaction=False)
        for lane, message in messages:
            if (people := message.people) is not None:
                key = self._key("people", str(message.room_id))
                if people.user_ids:
                    pipe.hset(key, self.gateway, _encode(people))
                    pipe.expire(key, KEPT_SECONDS)
                else:
                    pipe.hdel(key, self.gateway)
            pipe.publish(self._channel(lane), _encode(message))
        await _asked(pipe.execute())

    async def people(self, room_ids: Sequence[RoomId]) -> dict[RoomId, dict[str, People]]:
        """Return, by gateway, whom it last saw in these rooms; some of the gateways may be gone."""
        pipe = self._redis.pipeline(transaction=False)
        for room_id in room_ids:
            pipe.hgetall(self._key("people", str(room_id)))
        answers = await _asked(pipe.execute())
        return {
            room_id: {gateway.decode(): _people(said) for gateway, said in answer.items()}
            for room_id, answer in zip(room_ids, answers, strict=True)
        }

    async def spend(self, nonce: bytes) -> bool:
        """Spend a ticket; return whether it was unspent until now."""
        key = self._key("spent", nonce.hex())
        return bool(await _asked(cast(Awaitable[Any], self._redis.set(key, b"1", nx=True, ex=2 * TICKET_SECONDS))))

    async def mark(self, user_id: UserId, room_id: RoomId, position: int) -> None:
        """Keep how far somebody has read a room, forward only; of very many rooms those read furthest."""
        key = self._key("marks", str(user_id))
        pipe = self._redis.pipeline(transaction=False)
        pipe.zadd(key, {room_id.bytes: position}, gt=True)
        pipe.zremrangebyrank(key, 0, -READ_MARKS_OF_USER_MAX - 1)
        pipe.expire(key, READ_MARKS_KEPT_SECONDS)
        await _asked(pipe.execute())

    async def marks(self, user_id: UserId) -> dict[RoomId, int]:
        """Return how far somebody has read rooms lately; a mark is kept for half a minute."""
        key = self._key("marks", str(user_id))
        found = await _asked(cast(Awaitable[Any], self._redis.zrange(key, 0, -1, withscores=True)))
        return {RoomId(UUID(bytes=name)): int(position) for name, position in found}

    async def listen(self, lanes: Iterable[int]) -> None:
        """Listen to these lanes' channels too from now on."""
        if self._pubsub is None:
            self._pubsub = self._redis.pubsub(ignore_subscribe_messages=True)
        await _asked(self._pubsub.subscribe(*(self._channel(lane) for lane in lanes)))

    async def published(self) -> AsyncIterator[PresenceMessage]:
        """Yield what is published on the channels, until Redis fails. A lost connection ends all listening."""
        try:
            while True:
                message = await _asked(self._pubsub.get_message(timeout=GATEWAY_BEAT_SECONDS))
                if message is not None:
                    yield _presence_message(message["data"])
        finally:
            pubsub, self._pubsub = self._pubsub, None
            if pubsub is not None:
                await pubsub.aclose()

    def _key(self, kind: str, name: str = "") -> str:
        return f"{self._prefix}:{kind}:{name}" if name else f"{self._prefix}:{kind}"

    def _channel(self, lane: int) -> str:
        return f"{self._prefix}:beside:{lane}"


async def _asked(call: Awaitable[Any]) -> Any:
    try:
        return await call
    except (TimeoutError, RedisError, OSError) as error:
        raise ClusterStateUnavailableError(f"Redis does not answer: {str(error) or type(error).__name__}") from error
