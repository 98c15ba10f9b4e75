"""Wiring: settings in, running processes out. The one place that knows every room.

Each process runs until it is told to stop (SIGTERM, SIGINT), then finishes what it began and returns.
"""

import asyncio
import os
import random
import signal
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from uuid import uuid4

import structlog

from adapters.blobs.stores import open_blobs
from adapters.clock import now
from adapters.credentials.passwords import Argon2Passwords
from adapters.credentials.tickets import SignedTickets
from adapters.credentials.tokens import EdDsaTokens
from adapters.mail import open_mail
from adapters.media.sandbox import Sandbox
from adapters.media.scanner import open_scanner
from adapters.postgres.audit import AuditReader
from adapters.postgres.blob_leases import Holds
from adapters.postgres.clock_watch import ClockWatch
from adapters.postgres.data_keys import MasterKeyWrong, Vault, load_master
from adapters.postgres.database import Database
from adapters.postgres.event_store import PostgresRecord
from adapters.postgres.key_news import KeyNews
from adapters.postgres.master_key_check import require_right
from adapters.postgres.snapshots import PostgresSnapshots
from adapters.prometheus.exposition import Exposition
from adapters.prometheus.gateway import GatewayMetrics
from adapters.prometheus.record import AppendMetrics
from adapters.prometheus.registry import Registry, new_registry
from adapters.prometheus.workers import ProjectionMetrics, PublisherMetrics, TaskMetrics
from adapters.redis.cluster_state import Roster
from adapters.redis.lanes import Lanes
from adapters.redis.rate_limits import RedisLimits
from adapters.redis.task_queue import RedisTasks
from commands import HANDLERS
from commands.account import Activate, Deactivate, GrantRole, RevokeRole
from commands.command_bus import Desk
from domain.account import ACCOUNT, ACCOUNT_ROLES, AccountRole
from domain.errors import ReadableError
from domain.events import Caller
from domain.ids import RecordId, UserId
from domain.ports import Blobs, RecordUnavailable
from domain.text import fold_email
from gateway.app import create_app
from gateway.edge.authentication import Sessions
from gateway.edge.client_address import Proxies
from gateway.edge.refusal_log import Refusals
from gateway.http.background_jobs import Post
from gateway.http.read_your_writes import Reads
from gateway.realtime.connection_limit import Seats
from gateway.realtime.hub import Hub
from gateway.realtime.read_marks import ReadMarks
from gateway.routes.deployment import our_version
from gateway.server.connections import ConnectionBounds
from gateway.server.tls import server_context
from gateway.server.uvicorn_server import listen, serve
from gateway.services import House, Terms
from projections import AUDIT_INDEX, LIVE, MESSAGE_HTML, PROJECTIONS, parked
from runtime.descriptors import connections_max
from runtime.embedded.servers import Servers, answers, locate
from runtime.login_checks import guard_login
from runtime.metrics_listener import metrics_listener
from runtime.migrate import migrations
from runtime.record_watch import watch_record
from runtime.settings import SettingRefused, Settings, listens_on
from runtime.startup_checks import guard, guard_gateway
from workers.files.saga import Saga
from workers.files.sweeper import Sweeper
from workers.files.task_workers import Dispatcher, crew
from workers.janitor import Janitor
from workers.projector import Follower
from workers.publisher import Publisher
from workers.rebuild import Progress, Rebuild, Verdict

CANCEL_AGAIN_SECONDS = 3.0
log = structlog.get_logger()

OPERATOR = Caller(agent="hansard command line")
REBUILD_STATEMENT_SECONDS = 600.0
LINGER_SECONDS = 0.05
ANY_SECONDS = 100 * 365 * 24 * 3600
AUDIT_LINGER_SECONDS = 0.5  # nobody waits for it: what it has not yet is looked through


class NotRunning(ReadableError):
    """A server that is needed is not there; the sentence says what to do."""


class AccountUnknown(ReadableError):
    """Nobody registered with this e-mail."""


@dataclass(frozen=True)
class Ground:
    """What every process stands on."""

    settings: Settings
    db: Database
    vault: Vault
    record: PostgresRecord
    record_id: RecordId
    desk: Desk
    clock: ClockWatch
    registry: Registry


def database_url(settings: Settings, kind: str = "operator") -> str:
    """Return where Postgres is, for a process of this kind. Raises `NotRunning` where it should be the embedded one and
    is not."""
    return settings.database_url or embedded(settings).login_url(kind)


def owners_url(settings: Settings) -> str:
    """Return where Postgres is, for whoever migrates."""
    return settings.migration_url or settings.database_url or embedded(settings).database_url


def embedded(settings: Settings) -> Servers:
    """Return the embedded servers, which run."""
    if settings.env == "production":
        raise SettingRefused("HANSARD_DATABASE_URL must be set when HANSARD_ENV is production.")
    servers = locate(settings.home)
    if not answers(servers.postgres_socket):
        raise NotRunning(f"Nothing runs under {settings.home}; start it with 'make up' (or 'hansard up').")
    return servers


def redis_url(settings: Settings) -> str:
    return settings.redis_url or locate(settings.home).redis_url


@asynccontextmanager
async def ground(
    settings: Settings, *, kind: str = "operator", statement_seconds: float | None = None, any_clock: bool = False
) -> AsyncIterator[Ground]:
    """Open what every process needs, with the log-in of its kind; closed again in the reverse order. `any_clock`: of an
    operator who was asked."""
    async with AsyncExitStack() as stack:
        longer = {} if statement_seconds is None else {"statement_seconds": statement_seconds}
        db = await Database.open(database_url(settings, kind), size=settings.pool_size, **longer)
        stack.push_async_callback(db.close)
        guard(settings)
        await guard_login(settings, db, kind)
        vault = Vault(db, load_master(settings.master_key, create=False))
        clock = ClockWatch(ANY_SECONDS if any_clock else settings.clock_ahead_seconds)
        registry = new_registry()
        appending = None if kind == "projector" else AppendMetrics(registry)
        record = PostgresRecord(db, vault, now=now, chance=os.urandom, clock=clock, metrics=appending)
        try:
            head = await record.head()
            await require_right(db, vault.master, settings.master_key, keep=kind != "projector")
        except (RecordUnavailable, MasterKeyWrong):
            raise
        except Exception as error:
            raise NotRunning(
                "The database has no record yet, or is older than this release: run 'hansard migrate' first."
            ) from error
        desk = Desk(record, HANDLERS, now=now, chance=os.urandom, snapshots=PostgresSnapshots(db, vault, now=now))
        yield Ground(settings, db, vault, record, head.record, desk, clock, registry)


def opened_tasks(base: Ground, stack: AsyncExitStack) -> RedisTasks:
    """Open the task queue for as long as the stack is."""
    tasks = RedisTasks.open(redis_url(base.settings), base.record_id, _name())
    stack.push_async_callback(tasks.close)
    return tasks


async def opened_audit(base: Ground, stack: AsyncExitStack) -> AuditReader:
    """Open the auditor's reader for as long as the stack is."""
    audit = await AuditReader.open(base.db.url, base.vault.master)
    stack.push_async_callback(audit.close)
    return audit


async def opened_blobs(settings: Settings, stack: AsyncExitStack) -> Blobs:
    """Open the blob store for as long as the stack is."""
    blobs = await open_blobs(
        settings.blobs_url,
        home=settings.home,
        endpoint=settings.s3_endpoint,
        sse="" if settings.s3_encryption == "off" else settings.s3_encryption,
        signed=settings.signed_urls == "on",
    )
    stack.push_async_callback(blobs.close)
    return blobs


@asynccontextmanager
async def background(*loops: "asyncio.Task[None]") -> AsyncIterator[None]:
    """Keep loops running around a block; they end in the order given. A loop that fails ends the process."""
    try:
        yield
    finally:
        for loop in loops:
            await _ended(loop)


async def _ended(loop: "asyncio.Task[None]") -> None:
    """Cancel a loop until it ends: a cancellation that meets the end of a write to Redis is swallowed (by
    `asyncio.wait_for` before Python 3.12)."""
    while not loop.done():
        loop.cancel()
        await asyncio.wait([loop], timeout=CANCEL_AGAIN_SECONDS)


async def run_gateway(settings: Settings) -> int:
    """Serve HTTP and sockets."""
    guard_gateway(settings)
    tls = server_context(settings.tls_certificate, settings.tls_key) if settings.has_tls else None
    stop = _stop_signal()
    listener = listen(settings.host, settings.port)
    async with ground(settings, kind="gateway") as base, AsyncExitStack() as stack:
        house = await _house(settings, base, stack)
        writer = asyncio.create_task(base.record.run(), name="writer")
        postponed = asyncio.create_task(base.desk.run(), name="postponed commands")
        following = asyncio.create_task(house.hub.run(), name="hub")
        posting = asyncio.create_task(house.post.run(), name="post")
        counting = asyncio.create_task(house.refusals.run(), name="refusals")
        watching, hearing = _watching(base), _hearing(base, house.audit.hear_of_keys)
        failed = _end_with(stop, writer, postponed, following, posting, counting, watching, hearing)
        async with background(watching, hearing, counting, posting, following, postponed, writer):
            log.info("listening", address=listens_on(settings))
            bounds, trusts = _bounds(settings), house.terms.proxies.trusts
            await serve(create_app(house), listener, stop, drain=house.hub.drain, tls=tls, bounds=bounds, trusts=trusts)
    return 1 if failed else 0


async def _house(settings: Settings, base: Ground, stack: AsyncExitStack) -> House:
    """Make what the routes of a gateway stand on, for as long as the stack is."""
    lanes = Lanes.open(redis_url(settings), base.record_id, settings.lanes)
    stack.push_async_callback(lanes.close)
    tokens = await EdDsaTokens.load(base.db, base.vault.master, issuer=settings.issuer)
    passwords = stack.enter_context(
        Argon2Passwords(
            memory_kib=settings.argon2_memory_kib,
            time_cost=settings.argon2_time,
            parallelism=settings.argon2_parallelism,
        )
    )
    limits = RedisLimits.open(redis_url(settings), base.record_id, base.vault.master.secret_of(b"hansard limits"))
    stack.push_async_callback(limits.close)
    sessions = Sessions(base.db, tokens, now)
    reads = Reads(base.db)
    roster = Roster.open(redis_url(settings), base.record_id, uuid4().hex)
    stack.push_async_callback(roster.close)
    seats = Seats(roster, settings.seats)
    metrics = GatewayMetrics(base.registry)
    hub = Hub(base.record, base.db, lanes, roster, seats, sessions, reads, metrics.hub)
    return House(
        terms=_terms(settings),
        record_id=base.record_id,
        record=base.record,
        db=base.db,
        desk=base.desk,
        reads=reads,
        marks=ReadMarks(roster),
        sessions=sessions,
        tokens=tokens,
        tickets=SignedTickets(base.vault.master, roster, chance=os.urandom),
        passwords=passwords,
        limits=limits,
        audit=await opened_audit(base, stack),
        lanes=lanes,
        hub=hub,
        seats=seats,
        blobs=await opened_blobs(settings, stack),
        holds=Holds(base.db),
        tasks=opened_tasks(base, stack),
        now=now,
        clock=base.clock,
        post=Post(open_mail(settings.mail_url, folder=settings.home / "mails", sender=settings.mail_from)),
        refusals=Refusals(base.desk),
        receipts_secret=base.vault.master.secret_of(b"hansard receipts"),
        metrics=metrics,
        exposition=Exposition(base.registry),
    )


async def run_projector(settings: Settings) -> int:
    """Keep the live read tables up to the record, and tell their frames."""
    stop = _stop_signal()
    async with ground(settings, kind="projector") as base:
        lanes = Lanes.open(redis_url(settings), base.record_id, settings.lanes)
        publisher = Publisher(base.record, base.db, lanes, LIVE, PublisherMetrics(base.registry))
        follower = Follower(
            LIVE,
            base.record,
            base.db,
            owner=_name(),
            committed=publisher.hand_over,
            taken=publisher.begin,
            metrics=ProjectionMetrics(base.registry),
        )
        following = asyncio.create_task(follower.run(), name="live group")
        telling = asyncio.create_task(publisher.run(), name="publisher")
        watching, hearing = _watching(base), _hearing(base)
        failed = _end_with(stop, following, telling, watching, hearing)
        listening = metrics_listener(settings.metrics_address, Exposition(base.registry))
        async with background(watching, hearing, following, telling), listening:
            await stop.wait()
        await lanes.close()
    return 1 if failed else 0


async def run_worker(settings: Settings) -> int:
    """Do what is slower than a frame: scan and process files, render HTML, sweep."""
    stop = _stop_signal()
    async with ground(settings, kind="worker") as base, AsyncExitStack() as stack:
        blobs, tasks, holds = await opened_blobs(settings, stack), opened_tasks(base, stack), Holds(base.db)
        size = settings.images + settings.documents
        sandbox = stack.enter_context(
            Sandbox(module="workers.files.child", size=size, strict=settings.env == "production")
        )
        saga = Saga(base.desk, blobs, holds, open_scanner(settings.scanner_url), sandbox, base.db)
        hands = crew(
            {"scan": settings.scans, "image": settings.images, "document": settings.documents},
            tasks,
            saga,
            chance=random.random,
            metrics=TaskMetrics(base.registry),
        )
        following = ProjectionMetrics(base.registry)
        sweeper = Sweeper(blobs, holds, base.record, base.db, now=now)
        rendering = Follower(
            MESSAGE_HTML, base.record, base.db, owner=_name(), linger_seconds=LINGER_SECONDS, metrics=following
        )
        indexing = Follower(
            AUDIT_INDEX, base.record, base.db, owner=_name(), linger_seconds=AUDIT_LINGER_SECONDS, metrics=following
        )
        loops = [
            asyncio.create_task(rendering.run(), name="message html"),
            asyncio.create_task(indexing.run(), name="audit index"),
            asyncio.create_task(Janitor(base.record, base.desk, base.db).run(), name="janitor"),
            asyncio.create_task(sweeper.run(), name="sweeper"),
            asyncio.create_task(Dispatcher(tasks, base.db).run(), name="dispatcher"),
            *(asyncio.create_task(hand.run(), name="hand") for hand in hands),
            asyncio.create_task(base.record.run(), name="writer"),
            _watching(base),
            _hearing(base),
        ]
        failed = _end_with(stop, *loops)
        async with background(*loops), metrics_listener(settings.metrics_address, Exposition(base.registry)):
            await stop.wait()
    return 1 if failed else 0


async def rebuild(settings: Settings, names: Sequence[str] | None, *, shadow_only: bool) -> int:
    """Rebuild read tables beside the served ones; 0 when they equal what was served, 3 when not."""
    groups = list(PROJECTIONS.values()) if names is None else [PROJECTIONS[name] for name in names]
    verdicts: list[Verdict] = []
    async with ground(settings, statement_seconds=REBUILD_STATEMENT_SECONDS) as base:
        for group in groups:
            work = Rebuild(group, base.record, base.db, progress=_show_progress)
            verdicts += await work.run(swap=not shadow_only)
        missing = {} if shadow_only else await parked.counts(base.db)
    for verdict in verdicts:
        print(verdict.sentence())
    for group in groups:
        if count := missing.get(group.name):
            print(f"{group.name}: {count} events are parked; 'hansard doctor projections' names them.")
    return 0 if all(verdict.is_equal for verdict in verdicts) else 3


async def grant(settings: Settings, email: str, role: str) -> int:
    """Give an account a role."""
    async with operator(settings) as base:
        user_id = await _account(base, email)
        outcome = await base.desk.do(GrantRole(user_id, _role(role)), OPERATOR)
    print(f"{email} is {role}." if outcome.facts else f"{email} was {role} already.")
    return 0


async def revoke(settings: Settings, email: str, role: str) -> int:
    """Take a role from an account."""
    async with operator(settings) as base:
        user_id = await _account(base, email)
        outcome = await base.desk.do(RevokeRole(user_id, _role(role)), OPERATOR)
    print(f"{email} is {role} no more." if outcome.facts else f"{email} was not {role}.")
    return 0


async def set_active(settings: Settings, email: str, *, active: bool) -> int:
    """Deactivate an account, or activate it again."""
    async with operator(settings) as base:
        user_id = await _account(base, email)
        command = Activate(user_id) if active else Deactivate(user_id)
        outcome = await base.desk.do(command, OPERATOR)
    state = "active" if active else "deactivated"
    print(f"{email} is {state}." if outcome.facts else f"{email} was {state} already.")
    return 0


@asynccontextmanager
async def operator(settings: Settings, *, any_clock: bool = False) -> AsyncIterator[Ground]:
    """The ground with a writer, for one command of the command line."""
    async with ground(settings, any_clock=any_clock) as base, background(asyncio.create_task(base.record.run())):
        yield base


async def _account(base: Ground, email: str) -> UserId:
    stream_id = await base.record.claimant("email", fold_email(email))
    account = None if stream_id is None else (await base.desk.read({stream_id: ACCOUNT}))[stream_id].state
    if account is None:
        raise AccountUnknown(f"Nobody registered with {email}.")
    return UserId(account.user_id)


def _role(role: str) -> AccountRole:
    return next(known for known in ACCOUNT_ROLES if known == role)


def _terms(settings: Settings) -> Terms:
    return Terms(
        version=our_version(),
        origins=settings.origins,
        registration_open=settings.registration == "open",
        schema_on=settings.schema == "on",
        metrics_on=settings.metrics == "on",
        password_chars_min=settings.password_chars_min,
        quotas=settings.quotas,
        proxies=Proxies(settings.proxies, settings.forwarded_header),
        verify_email=settings.verify_email == "required",
        links_url=settings.links_url,
        tls_only=settings.env == "production",
        migrations=frozenset(migration.number for migration in migrations()),
        upload_bytes_max=settings.upload_bytes_max,
        storage_bytes_of_user=settings.storage_bytes_of_user,
    )


def _bounds(settings: Settings) -> ConnectionBounds:
    total = settings.connections or connections_max()
    return ConnectionBounds(
        total=total,
        of_address=settings.connections_of(total),
        keep_alive_seconds=settings.keep_alive_seconds,
    )


def _stop_signal() -> asyncio.Event:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    return stop


def _watching(base: Ground) -> "asyncio.Task[None]":
    return asyncio.create_task(watch_record(base.record, base.record_id), name="watch of the record's id")


def _hearing(base: Ground, *told: Callable[[], None]) -> "asyncio.Task[None]":
    return asyncio.create_task(KeyNews(base.db.url, base.vault.hear, *told).run(), name="news of data keys")


def _end_with(stop: asyncio.Event, *loops: "asyncio.Task[None]") -> list[str]:
    """Stop the process when one of its loops fails: a supervisor starts it afresh. Answers those that failed so far,
    so that the exit code can say so."""
    failed: list[str] = []

    def ended(loop: "asyncio.Task[None]") -> None:
        if not loop.cancelled():
            log.error("a loop ended", loop=loop.get_name(), exc_info=loop.exception())
            failed.append(loop.get_name())
            stop.set()

    for loop in loops:
        loop.add_done_callback(ended)
    return failed


def _name() -> str:
    return f"{os.uname().nodename}/{os.getpid()}"


def _show_progress(progress: Progress) -> None:
    if sys.stderr.isatty():
        print(
            f"\r{progress.sentence()}", end="" if progress.done < progress.total else "\n", file=sys.stderr, flush=True
        )
