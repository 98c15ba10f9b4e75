"""Rate limits: GCRA in one Lua script over Redis, and the same arithmetic in memory while Redis is away.

For each quota one number is kept, its theoretical arrival time (TAT) in microseconds of Redis's own clock. A request
moves it on by its cost, and is allowed if it then lies no further ahead than the burst. All quotas of one `take` are in
one slot (the hash tag names the record and the caller), are judged at one instant, and are taken all or none.

No key names the caller: names of people and addresses are keyed hashes. If Redis loses a key, the quota is full again.
"""

import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from hashlib import blake2b
from typing import Any, Self, cast

import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError

from adapters.redis.connections import open_redis
from domain.ids import RecordId
from domain.ports.rate_limits import Allowance, QuotaState
from domain.quotas import Quota

LIMIT_WAIT_SECONDS = 0.25
LIMIT_AWAY_SECONDS = 1.0
LIMIT_KEYS_HELD_MAX = 100_000

log = structlog.get_logger()

# ARGV: for each key its interval (microseconds a unit), burst and cost. Answers now, and each key's TAT as it then is
# (as text: a Lua number would be cut to a whole one that Redis's protocol can carry).
TAKE = """
    local clock = redis.call('TIME')
    local now = clock[1] * 1000000 + clock[2]
    local tats, ok = {}, 1
    for i = 1, #KEYS do
        local interval, burst, cost = tonumber(ARGV[3 * i - 2]), tonumber(ARGV[3 * i - 1]), tonumber(ARGV[3 * i])
        local tat = math.max(tonumber(redis.call('GET', KEYS[i]) or now), now)
        tats[i] = tat
        if tat + interval * cost - interval * burst > now then ok = 0 end
    end
    local answer = {ok, string.format('%.17g', now)}
    for i = 1, #KEYS do
        local interval, cost = tonumber(ARGV[3 * i - 2]), tonumber(ARGV[3 * i])
        if ok == 1 and cost ~= 0 then
            tats[i] = math.max(tats[i] + interval * cost, now)
            redis.call('SET', KEYS[i], string.format('%.17g', tats[i]), 'PX', math.ceil((tats[i] - now) / 1000) + 1)
        end
        answer[2 + i] = string.format('%.17g', tats[i])
    end
    return answer
"""
Given = tuple[Quota, ...]


class RedisLimits:
    """The port `domain.ports.Limits`, and what falls back to `local` while Redis does not answer."""

    def __init__(self, redis: "Redis", record: RecordId, secret: bytes, local: "LocalLimits") -> None:
        self._redis = redis
        self._script = redis.register_script(TAKE)
        self._secret = secret
        self._record = record
        self._local = local
        self._away_until = 0.0

    @classmethod
    def open(cls, url: str, record: RecordId, secret: bytes) -> Self:
        """Make the client; it connects when it is first used. A limit is never waited for longer than a moment."""
        return cls(open_redis(url, seconds=LIMIT_WAIT_SECONDS), record, secret, LocalLimits())

    async def close(self) -> None:
        await self._redis.aclose()

    async def take(self, whose: str, *quotas: Quota | None) -> Allowance:
        given = tuple(quota for quota in quotas if quota is not None)
        if not given:
            return Allowance()
        return await self._asked(whose, given) or await self._local.take(whose, *given)

    async def give_back(self, whose: str, *quotas: Quota | None) -> None:
        given = tuple(_negative(quota) for quota in quotas if quota is not None)
        if given and await self._asked(whose, given) is None:
            await self._local.give_back(whose, *quotas)

    async def _asked(self, whose: str, given: Given) -> Allowance | None:
        """Ask Redis; None while it is away. Of those who find it away, one asks again every `LIMIT_AWAY_SECONDS`."""
        if (tried := time.monotonic()) < self._away_until:
            return None
        try:
            call = self._script(keys=self._keys(whose, given), args=_arguments(given))
            ok, now, *tats = await cast(Awaitable[Any], call)
        except (TimeoutError, RedisError, OSError) as error:
            if self._away_until <= tried:
                log.warning("limits are counted in this process until Redis answers", reason=str(error))
            self._away_until = time.monotonic() + LIMIT_AWAY_SECONDS
            return None
        return _allowance(given, ok == 1, float(now), [float(tat) for tat in tats])

    def _keys(self, whose: str, given: Given) -> list[str]:
        digest = blake2b(whose.encode("utf-8", "surrogatepass"), digest_size=16, key=self._secret).hexdigest()
        return [f"hansard:{{{self._record}:{digest}}}:limit:{quota.name}" for quota in given]


class LocalLimits:
    """The same in this process alone. Of more keys than `LIMIT_KEYS_HELD_MAX` those longest untouched are forgotten."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._tats: OrderedDict[tuple[str, str], float] = OrderedDict()

    async def take(self, whose: str, *quotas: Quota | None) -> Allowance:
        given = tuple(quota for quota in quotas if quota is not None)
        return self._taken(whose, given) if given else Allowance()

    async def give_back(self, whose: str, *quotas: Quota | None) -> None:
        self._taken(whose, tuple(_negative(quota) for quota in quotas if quota is not None))

    def _taken(self, whose: str, given: Given) -> Allowance:
        now = self._clock() * 1e6
        tats = [max(self._tats.get((quota.name, whose), now), now) for quota in given]
        ok = all(
            tat + _interval(quota) * (quota.cost - quota.burst) <= now for quota, tat in zip(given, tats, strict=True)
        )
        if ok:
            tats = [max(tat + _interval(quota) * quota.cost, now) for quota, tat in zip(given, tats, strict=True)]
            for quota, tat in zip(given, tats, strict=True):
                self._tats[quota.name, whose] = tat
                self._tats.move_to_end((quota.name, whose))
            while len(self._tats) > LIMIT_KEYS_HELD_MAX:
                self._tats.popitem(last=False)
        return _allowance(given, ok, now, tats)


class Meter:
    """One quota of something in this process, such as a socket's frames. None: not limited."""

    def __init__(self, quota: Quota | None, clock: Callable[[], float] = time.monotonic) -> None:
        self._quota = quota
        self._clock = clock
        self._tat = 0.0

    def passes(self, cost: int = 1) -> bool:
        """Take so many, if there are so many left; a cost above the burst counts as the burst."""
        if self._quota is None:
            return True
        now, interval = self._clock() * 1e6, _interval(self._quota)
        tat = max(self._tat, now) + interval * min(cost, self._quota.burst)
        if tat - interval * self._quota.burst > now:
            return False
        self._tat = tat
        return True


def _negative(quota: Quota) -> Quota:
    return Quota(quota.name, quota.count, quota.seconds, quota.burst, -quota.cost)


def _interval(quota: Quota) -> float:
    """Return the microseconds that one unit takes to come back."""
    return quota.seconds * 1e6 / quota.count


def _arguments(given: Given) -> list[Any]:
    return [value for quota in given for value in (repr(_interval(quota)), quota.burst, quota.cost)]


def _allowance(given: Given, ok: bool, now: float, tats: Sequence[float]) -> Allowance:
    quota_states = []
    wait = 0.0
    for quota, tat in zip(given, tats, strict=True):
        interval = _interval(quota)
        left = (interval * quota.burst - (tat - now)) / interval
        # A hair of rounding must not take a whole unit from what is told.
        quota_states.append(QuotaState(quota, min(quota.burst, max(0, int(left + 1e-6))), max(0.0, tat - now) / 1e6))
        if not ok:
            wait = max(wait, (tat + interval * (quota.cost - quota.burst) - now) / 1e6)
    return Allowance(ok, wait, tuple(quota_states))
