"""`hansard doctor`: what is set up, what answers, and what to mend. Exit code 0 when all is well."""

import shutil
import sys
from collections.abc import Awaitable, Callable, Collection
from contextlib import AsyncExitStack
from datetime import timedelta
from pathlib import Path
from tempfile import NamedTemporaryFile

import asyncpg

from adapters.clock import now
from adapters.credentials.certificates import ends, fault
from adapters.media.sandbox import Sandbox
from adapters.media.scanner import open_scanner
from adapters.postgres.clock_watch import ClockWatch
from adapters.postgres.data_keys import load_master
from adapters.postgres.database import Database
from adapters.postgres.master_key_check import require_right
from adapters.redis.lanes import Lanes
from domain.bounds import PARKED_LISTED_MAX
from domain.ids import RecordId
from domain.ports import ScannerUnavailable
from gateway.server.tls import server_context
from projections import PROJECTIONS, checkpoints, parked
from runtime.composition import database_url, opened_blobs, redis_url
from runtime.interpreter import outdated
from runtime.login_checks import SELECT_ME, powers_of, too_strong
from runtime.migrate import SELECT_VERSION, migrations, pending, require_version
from runtime.roles import GROUP_OF, login
from runtime.settings import Settings
from runtime.startup_checks import lax

SELECT_HEAD = "SELECT record FROM record.head"
SELECT_POSITION = "SELECT position FROM record.head"
SELECT_CLOCK = "SELECT clock_timestamp(), recorded_at FROM record.head"
SELECT_APPLIED = "SELECT number, sha256 FROM public.hansard_migrations"
FREE_BYTES_MIN = 1024**3
LAG_EVENTS_MAX = 10_000
CERTIFICATE_LEFT_MIN = timedelta(days=14)
SIGNATURES_DAYS_MAX = 7
# What may be missing where seccomp holds.
LAYERS = {
    "user": "a user of their own is given where root starts the worker",
    "landlock": "it comes with Linux 5.13, where it is switched on",
}
PICTURE = bytes.fromhex(  # a PNG of four pixels
    "89504e470d0a1a0a0000000d4948445200000002000000020802000000fdd49a73000000164944415478"
    "9c63fccfc0c0c0c0c0c4c0c0c0c0c000000d1d01036ac29be90000000049454e44ae426082"
)


async def doctor(settings: Settings, names: Collection[str] = ()) -> int:
    """Print a line a check, for all or those named; answers 0, or 1 when something is to be mended."""
    print(f"home        {settings.home.resolve()}")
    print(f"postgres    {'given by HANSARD_DATABASE_URL' if settings.database_url else 'embedded'}")
    print(f"redis       {'given by HANSARD_REDIS_URL' if settings.redis_url else 'embedded'}")
    print(f"blobs       {settings.blobs_url or settings.home.resolve() / 'files'}")
    checks = {name: check for name, check in CHECKS.items() if not names or name in names}
    failed = 0
    for name, check in checks.items():
        try:
            print(f"[ok]   {name}: {await check(settings)}")
        except asyncpg.UndefinedTableError:
            failed += 1
            print(
                f"[FAIL] {name}: the database has no record yet, or is older than this release: run 'hansard migrate'"
            )
        except Exception as error:
            failed += 1
            print(f"[FAIL] {name}: {error or type(error).__name__}")
    print("All is well." if not failed else f"{failed} of {len(checks)} checks failed.")
    return 1 if failed else 0


async def _disk(settings: Settings) -> str:
    home = settings.home if settings.home.exists() else Path.cwd()
    free = shutil.disk_usage(home).free
    if free < FREE_BYTES_MIN:
        raise RuntimeError(f"only {free / 1024**2:,.0f} MiB are free where {home} lies; Postgres needs room")
    return f"{free / 1024**3:,.1f} GiB free"


async def _master_key(settings: Settings) -> str:
    master = load_master(settings.master_key, create=False)
    db = await Database.open(database_url(settings), size=2)
    try:
        await require_right(db, master, settings.master_key, keep=False)
    finally:
        await db.close()
    return f"{settings.master_key}, that of this record; keep a copy elsewhere, without it the record cannot be read"


async def _modes(settings: Settings) -> str:
    if found := [f"chmod {private:o} {path}" for path, private in lax(settings)]:
        raise RuntimeError(f"others of this machine may read or change what is a secret: {'; '.join(found)}")
    return "keys and home are open to nobody else"


async def _tls(settings: Settings) -> str:
    if not settings.has_tls:
        return "ended by a proxy, or by nobody"
    server_context(settings.tls_certificate, settings.tls_key)
    if wrong := fault(settings.tls_certificate, now()):
        raise RuntimeError(f"{settings.tls_certificate} {wrong}")
    left = ends(settings.tls_certificate) - now()
    if left < CERTIFICATE_LEFT_MIN:
        raise RuntimeError(
            f"{settings.tls_certificate} ends in {left.days} days: renew it, and start the gateway again"
        )
    return f"{settings.tls_certificate}, for {left.days} more days"


async def _postgres(settings: Settings) -> str:
    db = await Database.open(database_url(settings), size=2)
    try:
        version = int(await db.value(SELECT_VERSION))
        require_version(version)
        applied = dict(await db.all(lambda number, digest: (number, digest), SELECT_APPLIED))
        if due := pending(migrations(), applied):
            raise RuntimeError(f"{len(due)} migrations are due: run 'hansard migrate'")
        return f"version {version // 10_000}, record at position {await db.value(SELECT_POSITION):,}"
    finally:
        await db.close()


async def _login(settings: Settings) -> str:
    """Look at the log-in that is given, or at those of the embedded servers."""
    db = await Database.open(database_url(settings), size=2)
    try:
        names = [await db.value(SELECT_ME)] if settings.database_url else [login(kind).name for kind in GROUP_OF]
        for name in names:
            if powers := await powers_of(db, name):
                raise RuntimeError(too_strong(name, powers))
        return f"{', '.join(names)}: may do no more than what is needed"
    finally:
        await db.close()


async def _interpreter(settings: Settings) -> str:
    running = sys.version.partition(" ")[0]
    if old := outdated(sys.version_info):
        return f"WARNING: Python {running}: {old}"
    return f"Python {running}"


async def _clock(settings: Settings) -> str:
    db = await Database.open(database_url(settings), size=2)
    try:
        [(clock, recorded)] = await db.all(lambda *row: row, SELECT_CLOCK)
    finally:
        await db.close()
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


async def _redis(settings: Settings) -> str:
    lanes = Lanes.open(redis_url(settings), RecordId(await _record_id(settings)), settings.lanes)
    try:
        await lanes.ping()
        return f"frames told up to position {await lanes.told() or 0:,}"
    finally:
        await lanes.close()


async def _projections(settings: Settings) -> str:
    db = await Database.open(database_url(settings), size=2)
    try:
        head = int(await db.value(SELECT_POSITION))
        groups = await checkpoints.every(db)
        places = {group.name: group.position for group in groups}
        if not places:
            raise RuntimeError("nobody has projected yet: is a projector running?")
        for group in groups:
            if group.name in PROJECTIONS and group.version < PROJECTIONS[group.name].version:
                raise RuntimeError(f"{group.name} was made by an earlier release: run 'hansard rebuild {group.name}'")
        if (lag := head - min(places.values())) > LAG_EVENTS_MAX:
            raise RuntimeError(f"{lag:,} events behind the record: is a projector running?")
        if still := [each for each in await checkpoints.lags(db, list(PROJECTIONS)) if each.stands_still]:
            found = "; ".join(f"{e.name} for {e.idle_seconds:,.0f} s, {e.events:,} events behind" for e in still)
            raise RuntimeError(f"it stands still: {found}. Is a projector running, and what does its log say?")
        if missing := await parked.counts(db):
            raise RuntimeError(await _parked(db, missing))
        return ", ".join(f"{name} at {position:,}" for name, position in places.items())
    finally:
        await db.close()


async def _parked(db: Database, missing: dict[str, int]) -> str:
    """Return the sentence that names what groups of read tables go without."""
    names = [
        f"{event.group} at {event.position:,} ({event.topic}: {event.error})"
        for event in await parked.listed(db, limit=PARKED_LISTED_MAX)
    ]
    more = sum(missing.values()) - len(names)
    rest = f", and {more:,} more" if more > 0 else ""
    return f"events are parked: {', '.join(names)}{rest}; see 'Parked events' in docs/operating.md"


async def _files(settings: Settings) -> str:
    if not settings.blobs_url and not settings.home.exists():
        raise RuntimeError(f"there is no folder {settings.home} yet; 'hansard up' makes it")
    async with AsyncExitStack() as stack:
        blobs = await opened_blobs(settings, stack)
        await blobs.ping()
    return "the blob store answers"


async def _scanner(settings: Settings) -> str:
    scanner = open_scanner(settings.scanner_url)
    try:
        about = await scanner.about()
    except ScannerUnavailable as error:
        raise RuntimeError(
            f"{settings.scanner_url}: {error} Until it does, uploads wait and nothing is shown"
        ) from error
    if not settings.scanner_url:
        return f"{about.name}; set HANSARD_SCANNER_URL to have files scanned"
    said = f"{about.name} at {settings.scanner_url}"
    if about.signatures_at is None:
        return f"{said}; it does not say how old its signatures are"
    days = (now() - about.signatures_at).days
    if days > SIGNATURES_DAYS_MAX:
        raise RuntimeError(f"{said} has signatures {days} days old: is freshclam running where it runs?")
    return f"{said}, signatures {max(days, 0)} days old"


async def _sandbox(settings: Settings) -> str:
    """Have a child decode a picture, as a worker would have it done here."""
    with (
        Sandbox(module="workers.files.child", size=1, strict=settings.env == "production") as sandbox,
        NamedTemporaryFile() as file,
    ):
        file.write(PICTURE)
        file.flush()
        held_by = await sandbox.held_by()
        result = await sandbox.run("image", Path(file.name), mime_type="image/png", operations=("thumbnail",))
    if not result.made:
        raise RuntimeError(f"a child refuses a sound picture ({result.reason}): files cannot be processed here")
    if "seccomp" not in held_by:
        return (
            f"children are held by {', '.join(held_by)} only, which production refuses: "
            "install libseccomp2, on Linux 4.14 or newer"
        )
    missing = [f"{name}: {why}" for name, why in LAYERS.items() if name not in held_by]
    said = f"children decode, and are held by {', '.join(held_by)}"
    return f"{said} (not by {'; not by '.join(missing)})" if missing else said


async def _record_id(settings: Settings):  # type: ignore[no-untyped-def]
    db = await Database.open(database_url(settings), size=2)
    try:
        return await db.value(SELECT_HEAD)
    finally:
        await db.close()


CHECKS: dict[str, Callable[[Settings], Awaitable[str]]] = {
    "disk": _disk,
    "master key": _master_key,
    "modes": _modes,
    "tls": _tls,
    "postgres": _postgres,
    "log-in": _login,
    "python": _interpreter,
    "clock": _clock,
    "redis": _redis,
    "projections": _projections,
    "files": _files,
    "scanner": _scanner,
    "sandbox": _sandbox,
}
