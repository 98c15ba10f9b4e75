"""Services: all the parts of a gateway process, made once by `runtime/composition/gateway.py` and given to every route."""

from dataclasses import dataclass, field
from uuid import UUID, uuid4

from adapters.mail_links import MailLinks
from adapters.postgres.audit import AuditReader
from adapters.postgres.blob_leases import BlobLeases
from adapters.postgres.clock_watch import ClockWatch
from adapters.postgres.tiles import TileStore
from adapters.prometheus.exposition import Exposition
from adapters.prometheus.gateway import GatewayMetrics
from adapters.push.sender import PushSender
from adapters.redis.lanes import Lanes
from adapters.web_files import WebFiles
from adapters.webhooks.sender import WebhookSender
from commands.command_bus import CommandBus
from domain.approval import FourEyes
from domain.derived_ids import DerivedIds
from domain.ids import RecordId
from domain.ports.blobs import Blobs
from domain.ports.clock import Clock
from domain.ports.credentials import Passwords, Tickets, Tokens
from domain.ports.database import Db
from domain.ports.past import Past
from domain.ports.rate_limits import Limits
from domain.ports.record import Record
from domain.ports.tasks import Tasks
from domain.quotas import Quotas
from gateway.edge.client_address import Proxies
from gateway.edge.refusal_log import Refusals
from gateway.edge.sessions import Sessions
from gateway.http.audit_streams import AuditStreams
from gateway.http.background_jobs import BackgroundJobs
from gateway.http.kept_pages import KeptPages
from gateway.http.read_your_writes import Reads
from gateway.http.upload_slots import UploadSlots
from gateway.realtime.connection_limit import SocketLimit
from gateway.realtime.hub import Hub
from gateway.realtime.newest_checkpoint import NewestCheckpoint
from gateway.realtime.read_marks import ReadMarks


@dataclass(frozen=True)
class Policy:
    """What operators decide, and clients may know."""

    version: str
    origins: tuple[str, ...]
    registration_open: bool
    schema_on: bool
    metrics_on: bool
    password_chars_min: int
    quotas: Quotas
    proxies: Proxies
    upload_bytes_max: int
    storage_bytes_of_user: int
    verify_email: bool = False
    links_url: str = ""
    tls_only: bool = False
    tlog_on: bool = True
    witness_quorum: int = 0
    time_travel_on: bool = True
    web_url: str = ""
    migrations: frozenset[int] = frozenset()
    four_eyes: FourEyes = FourEyes()


@dataclass(frozen=True)
class Services:
    policy: Policy
    record_id: RecordId
    record: Record
    past: Past
    db: Db
    command_bus: CommandBus
    reads: Reads
    marks: ReadMarks
    sessions: Sessions
    tokens: Tokens
    tickets: Tickets
    passwords: Passwords
    limits: Limits
    audit: AuditReader
    lanes: Lanes
    hub: Hub
    socket_limit: SocketLimit
    blobs: Blobs
    blob_leases: BlobLeases
    tasks: Tasks
    tiles: TileStore
    checkpoints: NewestCheckpoint
    now: Clock
    jobs: BackgroundJobs
    refusals: Refusals
    receipts_secret: bytes
    push: PushSender
    webhooks: WebhookSender
    mail_links: MailLinks
    metrics: GatewayMetrics
    exposition: Exposition
    page: WebFiles | None = None
    audit_streams: AuditStreams = field(default_factory=AuditStreams)
    kept_pages: KeptPages = field(default_factory=KeptPages)
    uploads: UploadSlots = field(default_factory=UploadSlots)
    clock: ClockWatch = field(default_factory=ClockWatch)
    derived: DerivedIds = field(default_factory=DerivedIds)
    instance: UUID = field(default_factory=uuid4)
