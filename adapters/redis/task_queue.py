"""The task queue: for each kind a Redis stream with a consumer group, and a sorted set of tasks that wait for their
next try.

An entry has one field, `task`: JSON that a person can read. A consumer holds its entry by heartbeats; an entry that
nobody has held for a while is claimed by another consumer. A task that is done is deleted, so the stream is the list of
what is to be done. All keys of a record are in one slot.

A Redis that lost its data has no groups: then nothing is held, and the next `take` makes the group anew.
"""

from collections.abc import Awaitable
from datetime import UTC, datetime
from typing import Any, Literal, Self, cast
from uuid import UUID

import msgspec
import structlog
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError, ResponseError

from adapters.redis.connections import REDIS_SECONDS
from adapters.redis.task_entries import TASK_SHOWN_BYTES, Envelope, Taken, decode, encode, listed
from adapters.redis.task_scripts import ADD, BEAT, DONE, DUE, LATER, NOW
from domain.ids import RecordId
from domain.ports.tasks import Listed, TaskCount, TasksUnavailableError
from domain.tasks import KIND_OF, KINDS, Kind, Task, name_of

TASK_CLAIM_SECONDS = 15.0
TASK_BLOCK_MS = 3_000  # an idle worker has some nine hands, and each asks Redis three times in it
TASK_UNKNOWN_SECONDS = 30.0  # until a task that this version does not know is shown to a worker again
TASKS_LISTED_MAX = 1_000

log = structlog.get_logger()

GROUP = "workers"


class RedisTasks:
    """The port `domain.ports.Tasks`, and the workers' side of it."""

    def __init__(self, redis: "Redis", record: RecordId, consumer: str, *, claim_seconds: float, block_ms: int) -> None:
        self._redis = redis
        self._prefix = f"hansard:{{{record}}}:tasks"
        self._consumer = consumer
        self.claim_seconds = claim_seconds
        self._claim_ms = int(claim_seconds * 1000)
        self._block_ms = block_ms
        self._add, self._done, self._later, self._due, self._beat, self._now = (
            redis.register_script(script) for script in (ADD, DONE, LATER, DUE, BEAT, NOW)
        )

    @classmethod
    def open(
        cls, url: str, record: RecordId, consumer: str = "", *, claim_seconds: float = TASK_CLAIM_SECONDS,
        block_ms: int = TASK_BLOCK_MS,
    ) -> Self:  # fmt: skip
        """Make the client; it connects when it is first used. `consumer` is the name under which tasks are taken;
        `block_ms` is how long to wait for a task before looking again for tasks that are due."""
        redis = Redis.from_url(
            url,
            protocol=2,
            socket_timeout=REDIS_SECONDS,
            socket_connect_timeout=REDIS_SECONDS,
            retry=Retry(NoBackoff(), 1),
            health_check_interval=0,
        )
        return cls(redis, record, consumer, claim_seconds=claim_seconds, block_ms=block_ms)

    async def close(self) -> None:
        await self._redis.aclose()

    async def add(self, *tasks: Task) -> int:
        pipe = self._redis.pipeline(transaction=False)
        for task in tasks:
            envelope = Envelope(task, 1, datetime.now(UTC))
            keys = [self._known, self._stream(KIND_OF[type(task)])]
            await self._add(keys=keys, args=[envelope.name, encode(envelope)], client=pipe)
        return sum(await _asked(pipe.execute())) if tasks else 0

    # The workers' side

    async def take(self, kind: Kind) -> Taken | None:
        """Wait a little for a task and hold it: first one whose holder fell silent, then the next one. Return None if
        there is none."""
        stream = self._stream(kind)
        await _asked(self._due(keys=[self._later_key(kind), stream], args=[TASKS_LISTED_MAX, 0]))
        try:
            if (found := await self._next(stream)) is None:
                return None
            entry_id, fields = found
            held = await _asked(self._redis.xpending_range(stream, GROUP, entry_id, entry_id, 1))
        except _NoGroupError:
            await self._make_group(stream)
            return None
        deliveries = held[0]["times_delivered"] if held else 1
        entry = fields.get(b"task", b"")
        try:
            envelope = decode(entry)
        except msgspec.DecodeError:
            # Of a newer version, most likely: it waits for a worker that knows it, and none dies of it.
            log.warning("a task is not known here, and waits", kind=kind, entry=entry[:TASK_SHOWN_BYTES])
            await self._put_back(kind, entry_id, deliveries, entry, TASK_UNKNOWN_SECONDS)
            return None
        return Taken(entry_id, kind, envelope, envelope.attempt + deliveries - 1, deliveries)

    async def _next(self, stream: str) -> tuple[bytes, dict[bytes, bytes]] | None:
        """Return the entry that this consumer holds from now on: one whose holder fell silent, or else the next one."""
        _, claimed, *_ = await _asked(
            self._redis.xautoclaim(stream, GROUP, self._consumer, self._claim_ms, "0-0", count=1)
        )
        entries = [entry for entry in claimed if entry[1]]
        if not entries:
            answer = await _asked(
                self._redis.xreadgroup(GROUP, self._consumer, {stream: ">"}, count=1, block=self._block_ms)
            )
            entries = answer[0][1] if answer else []
        return entries[0] if entries else None

    async def beat(self, taken: Taken) -> bool:
        """Renew the hold on a task. Return False if another consumer has it by now."""
        keys = [self._stream(taken.kind)]
        return await _if_held(self._beat(keys=keys, args=self._claim(taken.id, taken.deliveries)))

    async def done(self, taken: Taken) -> bool:
        """Delete a task. Return False if another consumer has it by now; then it is theirs to delete."""
        keys = [self._stream(taken.kind), self._known]
        args = [*self._claim(taken.id, taken.deliveries), taken.envelope.name]
        return await _if_held(self._done(keys=keys, args=args))

    async def later(self, taken: Taken, *, seconds: float, error: str | None = None) -> None:
        """Put a task back, to be tried again after some seconds, unless another consumer has it by now. `error`: why, in words that
        name nobody."""
        envelope = msgspec.structs.replace(taken.envelope, attempt=taken.tries + 1, error=error)
        await self._put_back(taken.kind, taken.id, taken.deliveries, encode(envelope), seconds, envelope.name)

    def _claim(self, entry_id: bytes, deliveries: int) -> list[str | bytes | int]:
        return [GROUP, entry_id, self._consumer, deliveries]

    async def _put_back(
        self, kind: Kind, entry_id: bytes, deliveries: int, entry: bytes, seconds: float, name: str = ""
    ) -> None:
        keys = [self._stream(kind), self._later_key(kind), self._known]
        args = [*self._claim(entry_id, deliveries), entry, int(seconds * 1000), name]
        await _if_held(self._later(keys=keys, args=args))

    # The operators' side

    async def counts(self) -> list[TaskCount]:
        pipe = self._redis.pipeline(transaction=False)
        for kind in KINDS:
            pipe.xlen(self._stream(kind))
            pipe.zcard(self._later_key(kind))
        found = await _asked(pipe.execute())
        return [TaskCount(kind, found[2 * i], found[2 * i + 1]) for i, kind in enumerate(KINDS)]

    async def listed(self) -> list[Listed]:
        """Return what is queued, at most `TASKS_LISTED_MAX` for each kind and state."""
        found: list[Listed] = []
        for kind in KINDS:
            stream = self._stream(kind)
            running = {}
            try:
                for held in await _asked(self._redis.xpending_range(stream, GROUP, "-", "+", TASKS_LISTED_MAX)):
                    silent = held["time_since_delivered"] / 1000
                    running[held["message_id"]] = f"by {held['consumer'].decode()}, heard of {silent:.1f} s ago"
            except _NoGroupError:
                running = {}
            for entry_id, fields in await _asked(self._redis.xrange(stream, count=TASKS_LISTED_MAX)):
                state: Literal["running", "waiting"] = "running" if entry_id in running else "waiting"
                found.append(listed(fields.get(b"task", b""), kind, state, running.get(entry_id, "")))
            for entry, due in await self._waiting(kind):
                found.append(_later(entry, due, kind))
        return found

    async def postponed(self, kind: Kind, subject: UUID) -> Listed | None:
        found = await self._postponed(kind, subject)
        return None if found is None else _later(*found, kind)

    async def hurry_one(self, kind: Kind, subject: UUID) -> bool:
        found = await self._postponed(kind, subject)
        keys = [self._later_key(kind), self._stream(kind)]
        return found is not None and bool(await _asked(self._now(keys=keys, args=[found[0]])))

    async def _postponed(self, kind: Kind, subject: UUID) -> tuple[bytes, float] | None:
        """Return the entry that waits for its next try, and when that is: by its name, or, if a worker of a release before put it
        off, among the first ones."""
        name, later = name_of(kind, subject), self._later_key(kind)
        entry = await _asked(cast(Awaitable[Any], self._redis.hget(self._known, name)))
        if entry is not None and (due := await _asked(self._redis.zscore(later, entry))) is not None:
            return entry, due
        return next((each for each in await self._waiting(kind) if _later(*each, kind).name == name), None)

    async def _waiting(self, kind: Kind) -> list[tuple[bytes, float]]:
        """Return entries that wait for their next try, and when that is in milliseconds, the first ones first."""
        later = self._redis.zrange(self._later_key(kind), 0, TASKS_LISTED_MAX - 1, withscores=True)
        return cast(list[tuple[bytes, float]], await _asked(cast(Awaitable[Any], later)))

    async def hurry(self) -> int:
        """Make every task that waits for its next try due now; return how many."""
        return sum(
            [
                await _asked(self._due(keys=[self._later_key(kind), self._stream(kind)], args=[TASKS_LISTED_MAX, 1]))
                for kind in KINDS
            ]
        )

    async def _make_group(self, stream: str) -> None:
        try:
            await _asked(self._redis.xgroup_create(stream, GROUP, id="0", mkstream=True))
        except TasksUnavailableError as error:
            if "BUSYGROUP" not in str(error):
                raise

    @property
    def _known(self) -> str:
        return f"{self._prefix}:known"

    def _stream(self, kind: Kind) -> str:
        return f"{self._prefix}:{kind}"

    def _later_key(self, kind: Kind) -> str:
        return f"{self._prefix}:{kind}:later"


def _later(entry: bytes, due: float, kind: Kind) -> Listed:
    at = datetime.fromtimestamp(due / 1000, UTC)
    return listed(entry, kind, "later", f"at {at:%H:%M:%S} UTC", at)


class _NoGroupError(Exception):
    """The stream or its group does not exist: it was never made, or Redis lost it."""


async def _if_held(call: Awaitable[Any]) -> bool:
    """Return whether a script changed what it was asked to: who is in no group holds nothing."""
    try:
        return bool(await _asked(call))
    except _NoGroupError:
        return False


async def _asked(call: Awaitable[Any]) -> Any:
    try:
        return await call
    except ResponseError as error:
        if "NOGROUP" in str(error):
            raise _NoGroupError from error
        raise TasksUnavailableError(f"Redis refuses: {error}") from error
    except (TimeoutError, RedisError, OSError) as error:
        raise TasksUnavailableError(f"Redis does not answer: {str(error) or type(error).__name__}") from error
