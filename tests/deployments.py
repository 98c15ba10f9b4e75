"""A whole deployment in one test: record, command bus, projector and gateway on real servers, stepped by hand or running."""

import asyncio
import io
import json
import os
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import urlsplit, urlunsplit
from uuid import uuid4

import asyncpg
import httpx
import structlog
from structlog.typing import Processor

from adapters.blobs.stores import open_blobs
from adapters.clock import now
from adapters.credentials.passwords import Argon2Passwords
from adapters.credentials.tickets import SignedTickets
from adapters.credentials.tokens import EdDsaTokens
from adapters.mail_links import MailLinks
from adapters.notary.key import NotaryKey
from adapters.notary.memory import LastSigned
from adapters.outbound.public_addresses import Reachable
from adapters.outbound.requests import OutboundRequests
from adapters.postgres.audit import AuditReader
from adapters.postgres.blob_leases import BlobLeases
from adapters.postgres.data_keys import Vault
from adapters.postgres.database import Database
from adapters.postgres.event_entries import EventEntries
from adapters.postgres.event_store import PostgresRecord
from adapters.postgres.master_key import Master
from adapters.postgres.past import PostgresPast
from adapters.postgres.snapshots import PostgresSnapshots
from adapters.postgres.tiles import TileStore
from adapters.prometheus.exposition import Exposition
from adapters.prometheus.gateway import GatewayMetrics
from adapters.prometheus.registry import new_registry
from adapters.push.sender import PushSender
from adapters.push.vapid import PURPOSES, Vapid
from adapters.redis.cluster_state import ClusterState
from adapters.redis.lanes import Lanes
from adapters.redis.rate_limits import RedisLimits
from adapters.redis.task_queue import RedisTasks
from adapters.web_files import WebFiles
from adapters.webhooks.sender import WebhookSender
from commands import HANDLERS
from commands.command_bus import CommandBus
from domain.approval import FourEyes
from domain.ports.mail import Mail, Mails
from domain.quotas import OFF, Quotas
from domain.quotas import SocketLimit as SeatLimits
from domain.tree_head import origin_of
from gateway.app import create_app
from gateway.edge.client_address import Proxies
from gateway.edge.refusal_log import Refusals
from gateway.edge.sessions import Sessions
from gateway.http.background_jobs import BackgroundJobs
from gateway.http.read_your_writes import Reads
from gateway.realtime.connection_limit import SocketLimit
from gateway.realtime.hub import Hub
from gateway.realtime.newest_checkpoint import NewestCheckpoint
from gateway.realtime.read_marks import ReadMarks
from gateway.server.connections import ConnectionBounds
from gateway.server.listening import listen
from gateway.server.uvicorn_server import serve
from gateway.services import Policy, Services
from projections import AUDIT_INDEX, LIVE, MESSAGE_HTML, NOTIFICATIONS, PAST
from runtime.groups import SERVER, login
from runtime.migrate import migrations
from tests.ports import free_port
from workers.notary import Notary
from workers.notification_frames import NotificationFrames
from workers.projector import Follower
from workers.publisher import Publisher

SECRET = b"a master key for tests, 32 bytes"
MASTER = Master(SECRET)
VAPID = Vapid(b"".join(map(MASTER.secret_of, PURPOSES)), "mailto:operator@example.com")
LINKS = MailLinks(
    "https://chat.example.com", secret=MASTER.secret_of(b"hansard mail links"), sender="Hansard <chat@example.com>"
)
PASSWORD = "correct horse battery"
BUSY_TRIES_MAX = 5
LOGIN_PASSWORD = "log-in-of-tests"
CLIENT_SECONDS = 20.0


def as_login(database_url: str, kind: str) -> str:
    """Return the URL of a database for the log-in of a kind of process, instead of the owner's."""
    parts = urlsplit(database_url)
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit(parts._replace(netloc=f"{login(kind).name}:{LOGIN_PASSWORD}@{host}"))


@asynccontextmanager
async def running(*loops: Any) -> AsyncIterator[None]:
    """Run coroutines beside a block, and end them with it; one that fails fails the block's end."""
    tasks = [asyncio.create_task(loop) for loop in loops]
    for task in tasks:
        task.add_done_callback(_say_what_ended_it)
    try:
        yield
    finally:
        while still := [task for task in tasks if not task.done()]:
            for task in still:
                task.cancel()
            await asyncio.wait(still, timeout=3)  # asyncio.wait_for swallows a cancellation now and then (Python 3.11)
        for outcome in await asyncio.gather(*tasks, return_exceptions=True):
            if isinstance(outcome, Exception):
                raise outcome


@contextmanager
def logged(*processors: Processor) -> Iterator[io.StringIO]:
    """Catch what the deployment logs, at the level that says most, as these processors write it."""
    kept, written = structlog.get_config(), io.StringIO()
    structlog.configure(
        processors=processors,
        logger_factory=structlog.WriteLoggerFactory(file=written),
        cache_logger_on_first_use=False,
    )
    try:
        yield written
    finally:
        structlog.configure(**kept)


def _say_what_ended_it(task: "asyncio.Task[Any]") -> None:
    if not task.cancelled() and task.exception() is not None:
        print(f"a loop ended: {task.get_coro()}: {task.exception()!r}")


@asynccontextmanager
async def ledger(
    database_url: str, *, size: int = 8, master: Master = MASTER, kind: str = SERVER
) -> AsyncIterator[tuple[Database, PostgresRecord, CommandBus]]:
    """A database, its record with a running writer, and a command bus on it, with the log-in of a kind of process."""
    db = await Database.open(as_login(database_url, kind), size=size, plans_once=kind == "gateway")
    vault = Vault(db, master)
    record = PostgresRecord(db, vault, now=now, chance=os.urandom)
    snapshots = PostgresSnapshots(db, vault)
    command_bus = CommandBus(record, HANDLERS, now=now, chance=os.urandom, snapshots=snapshots)
    async with running(record.run(), command_bus.run()):
        yield db, record, command_bus
    await db.close()


@asynccontextmanager
async def projector(database_url: str, redis_url: str) -> AsyncIterator[Follower]:
    """A projector of all groups, with its publisher, running."""
    db = await Database.open(as_login(database_url, "projector"), size=4)
    record = PostgresRecord(db, Vault(db, MASTER), now=now, chance=os.urandom)
    slower = await Database.open(as_login(database_url, "worker"), size=3)
    lanes = Lanes.open(redis_url, (await record.head()).record, 16)
    publisher = Publisher(record, db, lanes, LIVE)
    live = Follower(LIVE, record, db, owner=uuid4().hex, committed=publisher.hand_over, taken=publisher.begin)
    slowly = PostgresRecord(slower, Vault(slower, MASTER), now=now, chance=os.urandom)
    html = Follower(MESSAGE_HTML, slowly, slower, owner=uuid4().hex)
    index = Follower(AUDIT_INDEX, slowly, slower, owner=uuid4().hex)
    past = Follower(PAST, slowly, slower, owner=uuid4().hex)
    told = NotificationFrames(slower, lanes)
    inbox = Follower(
        NOTIFICATIONS, slowly, slower, owner=uuid4().hex, committed=lambda _: told.wake(), taken=told.begin
    )
    async with running(live.run(), publisher.run(), html.run(), index.run(), past.run(), inbox.run(), told.run()):
        yield live
    await lanes.close()
    await slower.close()
    await db.close()


@asynccontextmanager
async def notary(database_url: str) -> AsyncIterator[Notary]:
    """A notary with a key of its own, running; something is signed when the block begins."""
    db = await Database.open(as_login(database_url, "notary"), size=3)
    events, store = EventEntries(db), TileStore(db)
    key = NotaryKey(os.urandom(32), origin_of((await events.head()).record))
    await store.tell_key(str(key.verifier), key.verifier.name)
    with TemporaryDirectory() as folder:
        made = Notary(events, store, key, LastSigned(Path(folder)))
        async with running(made.run()):
            while made.signed is None:
                await asyncio.sleep(0.01)
            yield made
    await db.close()


class NoMails:
    """Mails of tests that read none."""

    async def send(self, mail: Mail) -> None:
        assert mail.to, "a mail is for somebody"


class Gateway:
    """A gateway on a port of loopback."""

    def __init__(self, hansard: Services, port: int, door: Any = None) -> None:
        self.services = hansard
        self.door = door
        self.port = port
        self.base = f"http://127.0.0.1:{port}"
        self.has_projector = False
        self._clients: list[httpx.AsyncClient] = []
        self._written: dict[str | None, int] = {}

    def client(self, token: str | None = None, **headers: str) -> httpx.AsyncClient:
        """Return an HTTP client; it is closed with the gateway.

        Where there is a projector, its reads wait for what others wrote by clients of this gateway: on a busy machine the
        tables are behind. For one's own writes the server waits, and so nobody waits for them here.
        """
        if token:
            headers["Authorization"] = f"Bearer {token}"
        # No certificates are read for a server without TLS: that would take 25 ms a client.
        http = httpx.AsyncClient(base_url=self.base + "/api/v1", headers=headers, timeout=CLIENT_SECONDS, verify=False)

        async def settle(request: httpx.Request) -> None:
            if self.has_projector and request.method in ("GET", "HEAD"):
                others = max((position for by, position in self._written.items() if by != token), default=0)
                await self.services.reads.wait(others, seconds=CLIENT_SECONDS)

        async def note(answer: httpx.Response) -> None:
            if "Hansard-Position" in answer.headers:
                self.wrote(token, int(answer.headers["Hansard-Position"]))

        http.event_hooks = {"request": [settle], "response": [note]}
        self._clients.append(http)
        return http

    def wrote(self, token: str | None, position: int) -> None:
        """Note what somebody wrote, for the reads of others."""
        self._written[token] = max(position, self._written.get(token, 0))

    async def settled(self, position: int | None = None, groups: Sequence[str] = (LIVE.name,)) -> None:
        """Wait until the tables of these groups have everything, or this position; on a busy machine they are behind."""
        if position is None:
            position = (await self.services.record.head()).position
        for group in groups:
            assert await self.services.reads.wait(position, group=group, seconds=CLIENT_SECONDS), f"{group} is behind"

    async def close(self) -> None:
        for client in self._clients:
            await client.aclose()

    async def person(self, name: str | None = None) -> "Person":
        """Register and log in somebody."""
        name = name or f"p{uuid4().hex[:12]}"
        body = {"email": f"{name}@example.com", "username": name, "password": PASSWORD}
        async with self.client() as http:
            made = await _insisting(http, "/auth/register", body)
            assert made.status_code == 201, made.text
            logged_in = await _insisting(http, "/auth/login", {"email": body["email"], "password": PASSWORD})
            assert logged_in.status_code == 200, logged_in.text
        tokens = logged_in.json()
        return Person(self.client(tokens["access_token"]), tokens)


async def _insisting(http: httpx.AsyncClient, path: str, body: dict[str, str]) -> httpx.Response:
    """Post, and again where that is answered 503, as a client would: a machine that pauses for two seconds makes Postgres seem
    away, which is no matter of the test that only needs somebody."""
    for _ in range(BUSY_TRIES_MAX):
        answer = await http.post(path, json=body)
        if answer.status_code != 503:
            break
    return answer


class Person:
    """Somebody logged in, with an HTTP client of their own."""

    def __init__(self, http: httpx.AsyncClient, tokens: dict[str, Any]) -> None:
        self.http = http
        self.tokens = tokens
        self.id: str = tokens["user"]["id"]
        self.email: str = tokens["user"]["email"]
        self.username: str = tokens["user"]["username"]
        self.token: str = tokens["access_token"]

    async def ask(self, method: str, path: str, status: int, **options: Any) -> Any:
        """Ask, hold the answer to its status, and return its body."""
        answer = await self.http.request(method, path, **options)
        assert answer.status_code == status, f"{method} {path}: {answer.status_code} {answer.text}"
        return answer.json() if answer.content else None

    async def room(self, *others: "Person", name: str = "Room", **fields: Any) -> str:
        """Open a room and bring others in; answers its id."""
        room_id = (await self.ask("POST", "/rooms", 201, json={"name": name, **fields}))["id"]
        for other in others:
            await self.ask("PUT", f"/rooms/{room_id}/members/{other.id}", 200, json={"role": "member"})
        return str(room_id)

    async def upload(self, content: bytes, name: str = "file.bin", status: int = 202, **options: Any) -> Any:
        """Upload a file; answers the answer's body."""
        return await self.ask("POST", "/files/upload", status, files={"file": (name, content)}, **options)

    async def say(self, room_id: str, content: str, **fields: Any) -> dict[str, Any]:
        return dict(await self.ask("POST", f"/rooms/{room_id}/messages", 201, json={"content": content, **fields}))


@asynccontextmanager
async def gateway(
    database_url: str,
    redis_url: str,
    *,
    origins: tuple[str, ...] = (),
    registration_open: bool = True,
    sockets_of_user: int = 0,
    quotas: Quotas = OFF,
    proxies: Proxies = Proxies(),  # noqa: B008
    verify_email: bool = False,
    mails: Mails | None = None,
    requests: OutboundRequests | None = None,
    schema_on: bool = True,
    tls: ssl.SSLContext | None = None,
    tls_only: bool = False,
    tlog_on: bool = True,
    witness_quorum: int = 0,
    time_travel_on: bool = True,
    four_eyes: FourEyes = FourEyes(),  # noqa: B008
    page: WebFiles | None = None,
    web_url: str = "",
    blobs_url: str = "",
    upload_bytes_max: int = 8 * 1024**2,
    storage_bytes_of_user: int = 1024**4,
    bounds: ConnectionBounds = ConnectionBounds(),  # noqa: B008
    **store: Any,
) -> AsyncIterator[Gateway]:
    """A gateway, running on a free port of loopback, without a projector; it has no limits but those given."""
    async with AsyncExitStack() as stack:
        registry = new_registry()
        metrics = GatewayMetrics(registry)
        db, record, command_bus = await stack.enter_async_context(ledger(database_url, kind="gateway"))
        head = await record.head()
        lanes = Lanes.open(redis_url, head.record, 16)
        stack.push_async_callback(lanes.close)
        limits = RedisLimits.open(redis_url, head.record, b"a secret for tests")
        stack.push_async_callback(limits.close)
        tokens = await EdDsaTokens.load(db, MASTER, issuer="hansard")
        sessions, reads = Sessions(db, tokens, now), Reads(db)
        cluster_state = ClusterState.open(redis_url, head.record, uuid4().hex)
        stack.push_async_callback(cluster_state.close)
        socket_limit = SocketLimit(cluster_state, SeatLimits(of_user=sockets_of_user))
        hub = Hub(record, db, lanes, cluster_state, socket_limit, sessions, reads, metrics.hub)
        audit = await AuditReader.open(db.url, MASTER)
        stack.push_async_callback(audit.close)

        home = Path(stack.enter_context(TemporaryDirectory(prefix="hansard-files-")))
        blobs = await open_blobs(blobs_url, home=home, **store)
        stack.push_async_callback(blobs.close)
        requests = requests or OutboundRequests.open(Reachable())
        stack.push_async_callback(requests.close)
        tasks = RedisTasks.open(redis_url, head.record, "gateway")
        stack.push_async_callback(tasks.close)
        hansard = Services(
            policy=Policy(
                "test",
                origins,
                registration_open,
                schema_on,
                True,
                8,
                quotas,
                proxies,
                upload_bytes_max,
                storage_bytes_of_user,
                verify_email,
                tls_only=tls_only,
                tlog_on=tlog_on,
                witness_quorum=witness_quorum,
                time_travel_on=time_travel_on,
                four_eyes=four_eyes,
                web_url=web_url,
                migrations=frozenset(migration.number for migration in migrations()),
            ),
            record_id=head.record,
            record=record,
            past=PostgresPast(db, Vault(db, MASTER)),
            db=db,
            command_bus=command_bus,
            reads=reads,
            marks=ReadMarks(cluster_state),
            sessions=sessions,
            tokens=tokens,
            tickets=SignedTickets(MASTER, cluster_state, chance=os.urandom),
            passwords=stack.enter_context(Argon2Passwords(memory_kib=8, time_cost=1, parallelism=1)),
            limits=limits,
            audit=audit,
            lanes=lanes,
            hub=hub,
            socket_limit=socket_limit,
            blobs=blobs,
            blob_leases=BlobLeases(db),
            tasks=tasks,
            tiles=TileStore(db),
            checkpoints=NewestCheckpoint(TileStore(db), origin_of(head.record)),
            now=now,
            jobs=BackgroundJobs(mails or NoMails()),
            refusals=Refusals(command_bus),
            receipts_secret=MASTER.secret_of(b"hansard receipts"),
            mail_links=LINKS,
            webhooks=WebhookSender(requests, now=now),
            push=PushSender(requests, VAPID, topics_secret=b"a secret for tests", now=now),
            metrics=metrics,
            exposition=Exposition(registry, fresh_seconds=0),
            page=page,
        )
        port = free_port()
        stop = asyncio.Event()
        door = create_app(hansard)
        serving = asyncio.create_task(
            serve(door, listen("127.0.0.1", port), stop, drain=hub.drain, tls=tls, bounds=bounds)
        )
        try:
            async with running(hub.run(), hansard.jobs.run()):
                made = Gateway(hansard, port, door)
                yield made
                await made.close()
                stop.set()
                await serving
        finally:
            stop.set()
            await asyncio.gather(serving, return_exceptions=True)


@asynccontextmanager
async def deployment(database_url: str, redis_url: str, **options: Any) -> AsyncIterator[Gateway]:
    """A projector and one gateway. The tables are waited for until they have one's own last write: a server reads them as they are
    after a second, for which a shared machine may stand still."""
    async with projector(database_url, redis_url), gateway(database_url, redis_url, **options) as made:
        made.has_projector = True
        made.services.reads.own_write_seconds = CLIENT_SECONDS
        yield made


async def until(holds: Callable[[], Awaitable[bool]], seconds: float = 20.0) -> None:
    """Ask again and again until a condition holds; fails when it does not in time."""
    async with asyncio.timeout(seconds):
        while not await holds():
            await asyncio.sleep(0.01)


PLAN_MODES = ("force_custom_plan", "force_generic_plan")


async def rows_met(db: asyncpg.Connection, mode: str, table: str | None, sql: str, *args: object) -> float:
    """Run a statement with this `plan_cache_mode`; answers how many rows of a table (None: of all tables) its scans met, kept
    or not."""

    def touched(plan: dict[str, Any]) -> float:
        below = sum(touched(each) for each in plan.get("Plans", ()))
        if "Relation Name" not in plan or table not in (None, plan["Relation Name"]):
            return below
        met = plan["Actual Rows"] + sum(n for key, n in plan.items() if key.startswith("Rows Removed"))
        return float(below + met * plan["Actual Loops"])

    return touched(await _plan(db, mode, sql, *args))


async def pages_met(db: asyncpg.Connection, mode: str, sql: str, *args: object) -> int:
    """Run a statement with this `plan_cache_mode`; answers how many pages of tables and indexes it looked at."""
    plan = await _plan(db, mode, sql, *args)
    return int(plan["Shared Hit Blocks"] + plan["Shared Read Blocks"])


async def _plan(db: asyncpg.Connection, mode: str, sql: str, *args: object) -> dict[str, Any]:
    await db.execute(f"SET plan_cache_mode = {mode}")
    [found] = json.loads(await db.fetchval("EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) " + sql, *args))
    return dict(found["Plan"])
