"""The parts of a gateway: what its routes use, and the bounds of its connections."""

import os
from contextlib import AsyncExitStack
from uuid import uuid4

from adapters.clock import now
from adapters.credentials.passwords import Argon2Passwords
from adapters.credentials.tickets import SignedTickets
from adapters.credentials.tokens import EdDsaTokens
from adapters.mail import open_mail
from adapters.postgres.blob_leases import BlobLeases
from adapters.postgres.past import PostgresPast
from adapters.postgres.tiles import TileStore
from adapters.prometheus.exposition import Exposition
from adapters.prometheus.gateway import GatewayMetrics
from adapters.redis.cluster_state import ClusterState
from adapters.redis.rate_limits import RedisLimits
from adapters.web_files import WebFiles
from adapters.webhooks.sender import WebhookSender
from domain import emojis
from domain.tree_head import origin_of
from gateway.edge.client_address import Proxies
from gateway.edge.refusal_log import Refusals
from gateway.edge.sessions import Sessions
from gateway.http.background_jobs import BackgroundJobs
from gateway.http.read_your_writes import Reads
from gateway.realtime.connection_limit import SocketLimit
from gateway.realtime.hub import Hub
from gateway.realtime.newest_checkpoint import NewestCheckpoint
from gateway.realtime.read_marks import ReadMarks
from gateway.routes.deployment import our_version
from gateway.server.connections import ConnectionBounds
from gateway.services import Policy, Services
from runtime.composition.channels import mail_links, opened_requests, push_sender
from runtime.composition.process_context import ProcessContext
from runtime.composition.resources import opened_audit, opened_blobs, opened_lanes, opened_tasks
from runtime.descriptors import connections_max
from runtime.locations import redis_url
from runtime.migrate import migrations
from runtime.settings import Settings
from web import folders


async def opened_services(base: ProcessContext, stack: AsyncExitStack) -> Services:
    """Open everything that routes use; the stack closes it."""
    settings = base.settings
    emojis.qualified()
    lanes = opened_lanes(base, stack)
    tokens = await EdDsaTokens.load(base.db, base.vault.master, issuer=settings.issuer)
    cluster_state = ClusterState.open(redis_url(settings), base.record_id, uuid4().hex)
    stack.push_async_callback(cluster_state.close)
    sessions, reads, socket_limit = (
        Sessions(base.db, tokens, now),
        Reads(base.db),
        SocketLimit(cluster_state, settings.seats),
    )
    metrics = GatewayMetrics(base.registry)
    requests = opened_requests(base, stack)
    return Services(
        policy=terms_of(settings),
        record_id=base.record_id,
        record=base.record,
        past=PostgresPast(base.db, base.vault),
        db=base.db,
        command_bus=base.command_bus,
        reads=reads,
        marks=ReadMarks(cluster_state),
        sessions=sessions,
        tokens=tokens,
        tickets=SignedTickets(base.vault.master, cluster_state, chance=os.urandom),
        passwords=_opened_passwords(settings, stack),
        limits=_opened_limits(base, stack),
        audit=await opened_audit(base, stack),
        lanes=lanes,
        hub=Hub(base.record, base.db, lanes, cluster_state, socket_limit, sessions, reads, metrics.hub),
        socket_limit=socket_limit,
        blobs=await opened_blobs(settings, stack),
        blob_leases=BlobLeases(base.db),
        tasks=opened_tasks(base, stack),
        tiles=TileStore(base.db),
        checkpoints=NewestCheckpoint(TileStore(base.db), origin_of(base.record_id)),
        now=now,
        clock=base.clock,
        jobs=BackgroundJobs(open_mail(settings.mail_url, folder=settings.home / "mails", sender=settings.mail_from)),
        refusals=Refusals(base.command_bus),
        receipts_secret=base.vault.master.secret_of(b"hansard receipts"),
        push=push_sender(base, requests),
        webhooks=WebhookSender(requests, now=now),
        mail_links=mail_links(base),
        metrics=metrics,
        exposition=Exposition(base.registry),
        page=WebFiles.read(folders()) if settings.web == "on" else None,
    )


def terms_of(settings: Settings) -> Policy:
    """Return what operators decide and clients can read."""
    return Policy(
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
        tlog_on=settings.tlog == "on",
        witness_quorum=settings.witness_quorum,
        time_travel_on=settings.time_travel == "on",
        web_url="" if settings.web in ("on", "off") else settings.web,
        tls_only=settings.env == "production",
        four_eyes=settings.approvals,
        migrations=frozenset(migration.number for migration in migrations()),
        upload_bytes_max=settings.upload_bytes_max,
        storage_bytes_of_user=settings.storage_bytes_of_user,
    )


def connection_bounds(settings: Settings) -> ConnectionBounds:
    """Return how many connections this process takes: as many as are set, else as its descriptors allow."""
    total = settings.connections or connections_max()
    return ConnectionBounds(
        total=total,
        of_address=settings.connections_of(total),
        keep_alive_seconds=settings.keep_alive_seconds,
    )


def _opened_passwords(settings: Settings, stack: AsyncExitStack) -> Argon2Passwords:
    return stack.enter_context(
        Argon2Passwords(
            memory_kib=settings.argon2_memory_kib,
            time_cost=settings.argon2_time,
            parallelism=settings.argon2_parallelism,
        )
    )


def _opened_limits(base: ProcessContext, stack: AsyncExitStack) -> RedisLimits:
    secret = base.vault.master.secret_of(b"hansard limits")
    limits = RedisLimits.open(redis_url(base.settings), base.record_id, secret)
    stack.push_async_callback(limits.close)
    return limits
