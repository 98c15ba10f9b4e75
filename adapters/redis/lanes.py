"""Lanes: the Redis streams that carry frames from the one publisher to every hub.

A room belongs to one of N lanes by a hash of its id; two more lanes, control and notifications, are read by every hub. An
entry's id is `<position>-0`, so Redis itself refuses duplicates. An entry of notifications has those up to its position, so it
is added only if the lane ends where its publisher believes. Keys name the record and have no hash tag: in a cluster they spread
over the slots. Lanes are a hint: what is lost here is found in the record.

They hold text, so nothing stays in them for long. A lane that nobody writes to expires; entries of the others are
trimmed by age (Redis trims by id only, so marks note which position was published when); and the entries of a message
are deleted with the message.
"""

import math
import zlib
from collections.abc import Awaitable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, Self, cast
from uuid import UUID

import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError, ResponseError

from adapters.redis.connections import REDIS_SECONDS, open_redis
from domain.errors import ReadableError
from domain.ids import RecordId, RoomId

LANE_ENTRIES_MAX = 10_000
NOTIFICATION_ENTRIES_MAX = 2_000  # each has frames of several people
LANE_AGE_SECONDS = 600
LANE_TRIM_SECONDS = 10.0
LANE_BLOCK_MS = 2_000
LANE_READ_ENTRIES_MAX = 500

log = structlog.get_logger()

# One call a batch: KEYS are the place for `told` and the lanes, ARGV how long a lane may be and live, `told` or nothing, and for
# each lane how many arguments its entries have, and these. Entries that are there already are passed over. A lane whose key
# is of another type is answered by its number; any other error stops everything at once, so that no later entry can take a
# place after a hole. Only if no lane refused is it remembered how far everything was published.
PUBLISH = """
    local at, refused = 4, {}
    for lane = 2, #KEYS do
        local past, refuses = at + 1 + tonumber(ARGV[at]), false
        at = at + 1
        while at < past do
            local fields = tonumber(ARGV[at + 1])
            if not refuses then
                local call = {'XADD', KEYS[lane], 'MAXLEN', '~', ARGV[1], ARGV[at]}
                for i = 1, fields do call[6 + i] = ARGV[at + 1 + i] end
                local added = redis.pcall(unpack(call))
                if type(added) == 'table' and added.err and not string.find(added.err, 'equal or smaller') then
                    if not string.find(added.err, 'WRONGTYPE') then return redis.error_reply(added.err) end
                    refuses = true
                    refused[#refused + 1] = lane - 2
                end
            end
            at = at + 2 + fields
        end
        if not refuses then redis.call('EXPIRE', KEYS[lane], ARGV[2]) end
    end
    if ARGV[3] ~= '' and #refused == 0 then redis.call('SET', KEYS[1], ARGV[3]) end
    return refused
"""
# ARGV are how long the lane may be and live, after which position the entries begin, and of each its id and frame. Nothing is
# added and 0 is answered if the lane is further than that; so it is if it was, and has nothing any more.
PUBLISH_NOTIFICATIONS = """
    local newest = redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', 1)[1]
    if newest and tonumber(string.match(newest[1], '^%d+')) > tonumber(ARGV[3]) then return 0 end
    for at = 4, #ARGV, 2 do
        local added = redis.pcall('XADD', KEYS[1], 'MAXLEN', '~', ARGV[1], ARGV[at], 'f', ARGV[at + 1])
        if type(added) == 'table' and added.err then
            if string.find(added.err, 'equal or smaller') then return 0 end
            return redis.error_reply(added.err)
        end
    end
    redis.call('EXPIRE', KEYS[1], ARGV[2])
    return 1
"""
CONTROL, NOTIFICATIONS = -1, -2


class LanesUnavailableError(ReadableError):
    """Redis does not answer, or refuses to write."""


class Entry(NamedTuple):
    """One frame on a lane. `prev` and `room_id` None on the control lane; `ended` names whose feed ends with it."""

    position: int
    room_id: RoomId | None
    prev: int
    frame: bytes
    ended: UUID | None


class NotificationEntry(NamedTuple):
    """Frames of one's own: for those who are told of what happened up to a position, after the entry before. Of a position with
    very many people there are several, by `part`, which counts from 0."""

    position: int
    part: int
    frame: bytes


class Lanes:
    """The lanes of one record."""

    def __init__(self, redis: "Redis", record: RecordId, count: int) -> None:
        self.count = count
        self._redis = redis
        self._prefix = f"hansard:{record}"
        self._script = redis.register_script(PUBLISH)
        self._notifying = redis.register_script(PUBLISH_NOTIFICATIONS)
        self._reader = redis.client()  # a connection of its own, which may block
        self._reader_id: int | None = None

    @classmethod
    def open(cls, url: str, record: RecordId, count: int) -> Self:
        """Make the client; it connects when it is first used. Time-outs everywhere, no retries of its own."""
        return cls(open_redis(url, seconds=REDIS_SECONDS), record, count)

    async def close(self) -> None:
        await self._reader.aclose()
        await self._redis.aclose()

    async def ping(self) -> None:
        """Raise `LanesUnavailableError` if Redis does not answer."""
        await _asked(cast(Awaitable[Any], self._redis.ping()))

    def lane_of(self, room_id: RoomId) -> int:
        return zlib.crc32(room_id.bytes) % self.count

    # The publisher's side

    async def publish(
        self, entries: Sequence[Entry], *, published: int | None, forgotten: Sequence[tuple[RoomId | None, int]] = ()
    ) -> frozenset[int]:
        """Add entries, in position order, to their lanes, and delete the entries of rooms at the `forgotten` positions.

        Return the lanes that refused, because a key of another type is in their place. If none did, remember that
        everything up to `published` was published (None: remember nothing).
        """
        by_lane: dict[int, list[Any]] = {}
        for entry in entries:
            lane = self._lane_of(entry.room_id)
            by_lane.setdefault(lane, []).extend(_arguments(entry))
        refused = await self._add(by_lane, None if forgotten else published)
        if forgotten:
            await self._take_back([each for each in forgotten if self._lane_of(each[0]) not in refused])
            if published is not None and not refused:
                await _asked(cast(Awaitable[Any], self._redis.set(self._key_of("told"), published)))
        return refused

    async def publish_notifications(self, entries: Sequence[NotificationEntry], *, after: int) -> bool:
        """Add entries, in order, to the lane of notifications: they hold what was told after a position. Return False, and add
        nothing, if the lane is further than that."""
        arguments: list[Any] = [NOTIFICATION_ENTRIES_MAX, LANE_AGE_SECONDS, after]
        for entry in entries:
            arguments += [f"{entry.position}-{entry.part}", entry.frame]
        return bool(await _written(self._notifying(keys=[self._key(NOTIFICATIONS)], args=arguments)))

    def _lane_of(self, room_id: RoomId | None) -> int:
        return CONTROL if room_id is None else self.lane_of(room_id)

    async def _take_back(self, forgotten: Sequence[tuple[RoomId | None, int]]) -> None:
        async with self._redis.pipeline(transaction=False) as pipe:
            for room_id, position in forgotten:
                pipe.xdel(self._key(self._lane_of(room_id)), f"{position}-0")
            await _asked(pipe.execute())

    async def _add(self, by_lane: Mapping[int, list[Any]], published: int | None) -> frozenset[int]:
        keys = [self._key_of("told"), *map(self._key, by_lane)]
        arguments: list[Any] = [LANE_ENTRIES_MAX, LANE_AGE_SECONDS, "" if published is None else published]
        for entries in by_lane.values():
            arguments.append(len(entries))
            arguments += entries
        refused = await _written(self._script(keys=keys, args=arguments))
        lanes = list(by_lane)
        return frozenset(lanes[int(number)] for number in refused)

    async def trim(self, *, age_seconds: float = LANE_AGE_SECONDS) -> None:
        """Delete every entry that was published longer ago than this, also in lanes that nobody writes to any more.

        Any process may call it, at any time. Ages are measured by Redis's clock, from one call to another.
        """
        published = await self.published()
        if published is None:
            return
        marks = self._key_of("marks")
        seconds, microseconds = await _asked(cast(Awaitable[Any], self._redis.time()))
        now = seconds + microseconds / 1e6
        async with self._redis.pipeline(transaction=False) as pipe:
            pipe.zadd(marks, {str(published): now}, nx=True)
            pipe.expire(marks, math.ceil(2 * age_seconds + LANE_TRIM_SECONDS))
            pipe.zrevrangebyscore(marks, now - age_seconds, "-inf", start=0, num=1, withscores=True)
            *_, found = await _asked(pipe.execute())
        if not found:
            return
        [(old, marked_at)] = found
        async with self._redis.pipeline(transaction=False) as pipe:
            for lane in (NOTIFICATIONS, CONTROL, *range(self.count)):
                pipe.xtrim(self._key(lane), minid=f"{int(old) + 1}-0", approximate=False)
            pipe.zremrangebyscore(marks, "-inf", marked_at)
            await _asked(pipe.execute())

    async def forget(self) -> None:
        """Delete all lanes of this record, and the position up to which frames were published."""
        async with self._redis.pipeline(transaction=False) as pipe:
            for lane in (NOTIFICATIONS, CONTROL, *range(self.count)):
                pipe.delete(self._key(lane))
            pipe.delete(self._key_of("told"))
            pipe.delete(self._key_of("marks"))
            await _asked(pipe.execute())

    async def published(self) -> int | None:
        """Return the position up to which everything was published; None if Redis has lost it."""
        value = await _asked(cast(Awaitable[Any], self._redis.get(self._key_of("told"))))
        return None if value is None else int(value)

    # The hub's side

    async def last(self, lane: int) -> str:
        """Return the id after which a lane's new entries will come."""
        newest = await _asked(cast(Awaitable[Any], self._redis.xrevrange(self._key(lane), count=1)))
        return newest[0][0].decode() if newest else "0-0"

    async def read(self, places: Mapping[int, str]) -> dict[int, tuple[str, list[Entry]]]:
        """Wait for entries after these places, at most `LANE_BLOCK_MS`; return the new place and entries by lane."""
        keys = {self._key(lane): lane for lane in places}
        streams: dict[Any, Any] = {key: places[lane] for key, lane in keys.items()}
        try:
            if self._reader_id is None:
                self._reader_id = int(await _asked(cast(Awaitable[Any], self._reader.client_id())))
            answer = await _asked(
                cast(Awaitable[Any], self._reader.xread(streams, count=LANE_READ_ENTRIES_MAX, block=LANE_BLOCK_MS))
            )
        except LanesUnavailableError:
            self._reader_id = None
            raise
        return {keys[key.decode()]: (rows[-1][0].decode(), [*_entries(rows)]) for key, rows in answer or ()}

    async def interrupt(self) -> None:
        """Make a blocked `read` return at once, so that it can be called again with other places."""
        if self._reader_id is not None:
            await _asked(cast(Awaitable[Any], self._redis.client_unblock(self._reader_id)))

    def _key(self, lane: int) -> str:
        return self._key_of({CONTROL: "control", NOTIFICATIONS: "notifications"}.get(lane, f"lane:{lane}"))

    def _key_of(self, name: str) -> str:
        return f"{self._prefix}:{name}"


def _arguments(entry: Entry) -> list[Any]:
    fields: list[Any] = [b"f", entry.frame]
    if entry.room_id is not None:
        fields += [b"r", entry.room_id.bytes, b"p", entry.prev]
    if entry.ended is not None:
        fields += [b"u", entry.ended.bytes]
    return [f"{entry.position}-0", len(fields), *fields]


def _entries(rows: Iterable[tuple[bytes, Mapping[bytes, bytes]]]) -> Iterator[Entry]:
    """Yield the entries of a lane. One that cannot be read is skipped, and found in the record."""
    for entry_id, fields in rows:
        try:
            yield _entry(entry_id, fields)
        except (KeyError, ValueError) as error:
            log.error("an entry of a lane cannot be read", entry=repr(entry_id), error=type(error).__name__)


def _entry(entry_id: bytes, fields: Mapping[bytes, bytes]) -> Entry:
    room, ended = fields.get(b"r"), fields.get(b"u")
    return Entry(
        int(entry_id.partition(b"-")[0]),
        None if room is None else RoomId(UUID(bytes=room)),
        int(fields.get(b"p", 0)),
        fields[b"f"],
        None if ended is None else UUID(bytes=ended),
    )


async def _written(call: Awaitable[Any]) -> Any:
    try:
        return await call
    except ResponseError as error:
        raise LanesUnavailableError(f"Redis refuses to write: {error}") from error
    except (TimeoutError, RedisError, OSError) as error:
        raise _does_not_answer(error) from error


async def _asked(call: Awaitable[Any]) -> Any:
    try:
        return await call
    except (TimeoutError, RedisError, OSError) as error:
        raise _does_not_answer(error) from error


def _does_not_answer(error: Exception) -> LanesUnavailableError:
    return LanesUnavailableError(f"Redis does not answer: {str(error) or type(error).__name__}")
