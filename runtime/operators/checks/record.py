"""Checks of Postgres: its version and log-ins, the master key, the clocks, and the read tables; and of Redis."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import NamedTuple

from adapters.postgres.clock_watch import ClockWatch
from adapters.postgres.database import Database
from adapters.postgres.master_key import load_master
from adapters.postgres.master_key_check import require_right
from adapters.redis.lanes import Lanes
from domain.ids import RecordId
from projections import PROJECTIONS, checkpoints, followed, parked
from runtime.groups import GROUP_OF, login
from runtime.locations import database_url, redis_url
from runtime.login_checks import SELECT_ME, naming, powers_of, require_same_database, too_strong
from runtime.migrate import SELECT_APPLIED, SELECT_VERSION, AppliedMigration, migrations, pending, require_version
from runtime.settings import Settings

PARKED_LISTED_MAX = 20

LAG_EVENTS_MAX = 10_000
SELECT_HEAD = "SELECT record FROM record.head"
SELECT_POSITION = "SELECT position FROM record.head"
SELECT_CLOCK = "SELECT clock_timestamp() AS now, recorded_at FROM record.head"


class Clocks(NamedTuple):
    now: datetime
    recorded_at: datetime


async def master_key(settings: Settings) -> str:
    master = load_master(settings.master_key, create=False)
    async with _opened(settings) as db:
        await require_right(db, master, settings.master_key, keep=False)
    return f"{settings.master_key}, that of this record; keep a copy elsewhere, without it the record cannot be read"


async def postgres(settings: Settings) -> str:
    async with _opened(settings) as db:
        version = int(await db.value(SELECT_VERSION))
        require_version(version)
        applied = dict(await db.all(AppliedMigration, SELECT_APPLIED))
        if due := pending(migrations(), applied):
            raise RuntimeError(f"{len(due)} migrations are due: run 'hansard migrate'")
        return f"version {version // 10_000}, record at position {await db.value(SELECT_POSITION):,}"


async def login_rights(settings: Settings) -> str:
    """Look at the log-ins that are given, or at those of the embedded servers."""
    async with _opened(settings) as db:
        names = [await db.value(SELECT_ME)] if settings.database_url else [login(kind).name for kind in GROUP_OF]
        for name in names:
            if powers := await powers_of(db, name):
                raise RuntimeError(too_strong(name, powers))
        if settings.projector_url:
            names.append(await _projectors_login(settings, db))
        return f"{', '.join(names)}: may do no more than what is needed"


async def _projectors_login(settings: Settings, db: Database) -> str:
    """Look at the log-in that a gateway has for a projector's work, too; return its name."""
    with naming("HANSARD_PROJECTOR_URL"):
        projectors = await Database.open(settings.projector_url, size=1)
    try:
        await require_same_database(db, projectors)
        name = str(await projectors.value(SELECT_ME))
        if powers := await powers_of(projectors, name):
            raise RuntimeError(too_strong(name, powers, "HANSARD_PROJECTOR_URL"))
        return name
    finally:
        await projectors.close()


async def clock(settings: Settings) -> str:
    async with _opened(settings) as db:
        [(clock, recorded)] = await db.all(Clocks, SELECT_CLOCK)
    watch = ClockWatch(settings.clock_ahead_seconds)
    watch.judge(clock, recorded)
    ahead, stuck = watch.ahead(clock), recorded - clock
    if stuck > watch.ahead_max:
        raise RuntimeError(
            f"the record's last time is {_seconds(stuck)} ahead of Postgres' clock: times stand still until then"
        )
    if abs(ahead) > watch.ahead_max:
        raise RuntimeError(f"Postgres' clock is {_seconds(ahead)} ahead of this machine's: set both by NTP")
    return f"Postgres' clock is {_seconds(ahead)} ahead of this machine's"


def _seconds(time: timedelta) -> str:
    return f"{time.total_seconds():,.0f} s"


async def redis(settings: Settings) -> str:
    lanes = Lanes.open(redis_url(settings), await _record_id(settings), settings.lanes)
    try:
        await lanes.ping()
        return f"frames told up to position {await lanes.published() or 0:,}"
    finally:
        await lanes.close()


async def projections(settings: Settings) -> str:
    async with _opened(settings) as db:
        head = int(await db.value(SELECT_POSITION))
        names = followed(time_travel=settings.time_travel == "on")
        groups = [group for group in await checkpoints.every(db) if group.name in names]
        places = {group.name: group.position for group in groups}
        if not places:
            raise RuntimeError("nobody has projected yet: is a projector running?")
        for group in groups:
            if group.version < PROJECTIONS[group.name].version:
                raise RuntimeError(
                    f"{group.name} was made by an earlier release: run 'hansard rebuild {group.name}', or start a worker of this one"
                )
        if (lag := head - min(places.values())) > LAG_EVENTS_MAX:
            raise RuntimeError(f"{lag:,} events behind the record: is a projector running?")
        if still := [each for each in await checkpoints.lags(db, names) if each.stands_still]:
            found = "; ".join(f"{e.name} for {e.idle_seconds:,.0f} s, {e.events:,} events behind" for e in still)
            raise RuntimeError(f"it stands still: {found}. Is a projector running, and what does its log say?")
        if missing := await parked.counts(db):
            raise RuntimeError(await _parked(db, missing))
        return ", ".join(f"{name} at {position:,}" for name, position in places.items())


async def _parked(db: Database, missing: dict[str, int]) -> str:
    """Return the sentence that names what groups of read tables go without."""
    names = [
        f"{event.group} at {event.position:,} ({event.topic}: {event.error})"
        for event in await parked.listed(db, limit=PARKED_LISTED_MAX)
    ]
    more = sum(missing.values()) - len(names)
    rest = f", and {more:,} more" if more > 0 else ""
    return f"events are parked: {', '.join(names)}{rest}; see 'Parked events' in docs/operating.md"


async def _record_id(settings: Settings) -> RecordId:
    async with _opened(settings) as db:
        return RecordId(await db.value(SELECT_HEAD))


@asynccontextmanager
async def _opened(settings: Settings) -> AsyncIterator[Database]:
    db = await Database.open(database_url(settings), size=2)
    try:
        yield db
    finally:
        await db.close()
