"""Limits: one contract for Redis and for memory; exact across processes; and what holds while Redis is away."""

import asyncio
import os
import signal
import tempfile
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from uuid import uuid4

import pytest
from redis.asyncio import Redis

from adapters.redis.rate_limits import LIMIT_AWAY_SECONDS, LIMIT_KEYS_HELD_MAX, LocalLimits, RedisLimits
from domain.ids import RecordId
from domain.ports.rate_limits import Allowance, Limits
from domain.quotas import RELAXED, SETS, STRICT, Quota, Quotas, of_address
from runtime.embedded.servers import Embedded

HOUR = Quota("hour", 3600, 3600, 5)  # one a second, five at once
SLOW = Quota("slow", 1, 3600, 1)
SECRET = b"a secret of this test"


@pytest.fixture(params=["redis", "memory"])
async def limits(request: pytest.FixtureRequest, redis_url: str) -> AsyncIterator[Limits]:
    if request.param == "memory":
        yield LocalLimits()
        return
    made = RedisLimits.open(redis_url, RecordId(uuid4()), SECRET)
    yield made
    await made.close()


async def test_so_many_at_once_and_then_one_has_to_wait(limits: Limits) -> None:
    allowed = [await limits.take("user 1", HOUR) for _ in range(5)]
    assert [each.ok for each in allowed] == [True] * 5
    assert [each.quota_states[0].remaining for each in allowed] == [4, 3, 2, 1, 0]
    refused = await limits.take("user 1", HOUR)
    assert not refused.ok and 0 < refused.retry_after_seconds <= 1
    assert refused.quota_states[0].remaining == 0 and 4 < refused.quota_states[0].full_in_seconds <= 5
    assert (await limits.take("user 2", HOUR)).ok, "others are not concerned"


async def test_all_are_taken_or_none(limits: Limits) -> None:
    assert (await limits.take("user 1", SLOW)).ok
    for _ in range(10):
        refused = await limits.take("user 1", HOUR, SLOW)
        assert not refused.ok and refused.retry_after_seconds > 3_000
        assert [quota_state.remaining for quota_state in refused.quota_states] == [5, 0], "the first was not taken"


async def test_a_cost_is_taken_whole_and_never_more_than_the_burst(limits: Limits) -> None:
    assert (await limits.take("user 1", HOUR.at(3))).quota_states[0].remaining == 2
    refused = await limits.take("user 1", HOUR.at(3))
    assert not refused.ok and 0 < refused.retry_after_seconds <= 1
    assert (await limits.take("user 2", HOUR.at(1_000_000))).ok, "or it would never be allowed"


async def test_what_is_given_back_can_be_taken_again_and_no_more(limits: Limits) -> None:
    for _ in range(20):
        assert (await limits.take("user 1", SLOW)).ok
        await limits.give_back("user 1", SLOW)
    for _ in range(3):
        await limits.give_back("user 1", SLOW)
    assert [(await limits.take("user 1", SLOW)).ok for _ in range(2)] == [True, False]


async def test_no_quota_is_no_limit(limits: Limits) -> None:
    assert await limits.take("user 1", None, None) == Allowance()
    assert (await limits.take("user 1", None, SLOW)).ok
    assert not (await limits.take("user 1", None, SLOW)).ok


async def test_what_was_emptied_fills_again(limits: Limits) -> None:
    quick = Quota("quick", 10, 1, 3)  # it must not fill faster than it is emptied, on a busy machine either
    while (await limits.take("user 1", quick)).ok:
        pass
    refused = await limits.take("user 1", quick)
    while not refused.ok:
        await asyncio.sleep(refused.retry_after_seconds)
        refused = await limits.take("user 1", quick)


async def test_any_number_at_once_gets_exactly_the_burst(limits: Limits) -> None:
    answers = await asyncio.gather(*(limits.take("user 1", SLOW.at(1), HOUR) for _ in range(100)))
    assert sum(answer.ok for answer in answers) == 1


async def test_two_processes_count_as_one(redis_url: str) -> None:
    record = RecordId(uuid4())
    many = Quota("many", 1, 60, 50)
    processes = [RedisLimits.open(redis_url, record, SECRET) for _ in range(3)]
    answers = await asyncio.gather(*(process.take("user 1", many) for _ in range(60) for process in processes))
    assert sum(answer.ok for answer in answers) == 50
    for process in processes:
        await process.close()


async def test_keys_name_the_record_and_nobody_and_go_by_themselves(redis_url: str) -> None:
    record = RecordId(uuid4())
    limits = RedisLimits.open(redis_url, record, SECRET)
    await limits.take("address 192.0.2.7", HOUR, SLOW)
    redis = Redis.from_url(redis_url, protocol=2)
    keys = [key async for key in redis.scan_iter(f"hansard:{{{record}:*")]
    assert len(keys) == 2 and not [key for key in keys if b"192" in key]
    for key in keys:
        assert 0 < await redis.pttl(key) <= 3_600_001
    await redis.aclose()
    await limits.close()


async def test_memory_is_bounded() -> None:
    limits = LocalLimits(lambda: 1.0)
    for i in range(LIMIT_KEYS_HELD_MAX + 10):
        await limits.take(f"address {i}", SLOW)
    assert len(limits._tats) == LIMIT_KEYS_HELD_MAX


async def test_while_redis_is_away_this_process_counts_and_redis_takes_over_by_itself() -> None:
    with tempfile.TemporaryDirectory(prefix="hansard-valkey-") as folder:
        embedded = Embedded(Path(folder) / "home", postgres=False)
        await asyncio.to_thread(embedded.start)
        limits = RedisLimits.open(embedded.servers.redis_url, RecordId(uuid4()), SECRET)
        assert (await limits.take("user 1", SLOW)).ok
        assert not (await limits.take("user 1", SLOW)).ok
        process = embedded._running["valkey"]
        for harm in (lambda: os.kill(process.pid, signal.SIGSTOP), process.kill):
            await _harm(limits, harm)
        await asyncio.to_thread(process.wait)
        await asyncio.to_thread(embedded.revive)
        other = RedisLimits.open(embedded.servers.redis_url, limits._record, SECRET)
        async with asyncio.timeout(LIMIT_AWAY_SECONDS + 5):
            # Time is the subject: it is found out once in LIMIT_AWAY_SECONDS that Redis is back, and nothing tells of it.
            whose = "user 2"
            while not (await limits.take(whose, SLOW)).ok or (await other.take(whose, SLOW)).ok:
                await asyncio.sleep(0.05)
                whose = f"user {uuid4()}"
        assert (await limits.take("user 1", SLOW)).ok, "it keeps nothing over a restart: a limit less, never one more"
        await other.close()
        await limits.close()
        await asyncio.to_thread(embedded.stop)


async def _harm(limits: RedisLimits, harm: Callable[[], object]) -> None:
    """Neither open nor shut: a fresh name has its quota, exactly, and nobody waits long for it."""
    harm()
    whose = f"user {uuid4()}"
    started = asyncio.get_running_loop().time()
    answers = [(await limits.take(whose, HOUR)).ok for _ in range(8)]
    assert answers == [True] * 5 + [False] * 3
    assert asyncio.get_running_loop().time() - started < 1


def test_the_three_sets() -> None:
    said = {quota.name: (quota.count, quota.seconds, quota.burst) for quota in _all(STRICT)}
    assert said["sends"] == (20, 1, 100)
    assert said["requests"] == (50, 1, 200)
    assert said["uploads"] == (10, 60, 20)
    assert said["registrations"] == (10, 60, 20)
    assert said["logins"] == (30, 60, 30)
    for quota in _all(RELAXED):
        count, seconds, burst = said[quota.name]
        times = 1 if quota.name == "wrong_passwords" else 10
        assert (quota.count, quota.seconds, quota.burst) == (times * count, seconds, times * burst)
    assert _all(SETS["off"]) == []


def _all(quotas: Quotas) -> list[Quota]:
    return [quota for name in Quotas.__struct_fields__ if (quota := getattr(quotas, name)) is not None]


@pytest.mark.parametrize(
    ("address", "name"),
    [
        ("192.0.2.7", "address 192.0.2.7"),
        ("::ffff:192.0.2.7", "address 192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "address 2001:db8:1:2::/64"),
        ("fe80::1%eth0", "address fe80::/64"),
        ("nonsense", "address unknown"),
        (None, "address unknown"),
    ],
)
def test_an_address_is_a_host_whatever_it_is_written_as(address: str | None, name: str) -> None:
    assert of_address(address) == name
