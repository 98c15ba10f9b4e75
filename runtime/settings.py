"""Settings: all of them, from the environment and nowhere else (twelve-factor III).

A setting is one line of `Settings`: its name in capitals after `HANSARD_` is the variable, its annotation says how it is
read, its default and its sentence go into `.env.example`, which `runtime/settings_reader.py` writes.
"""

import re
from dataclasses import dataclass, field
from email.utils import parseaddr
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Any, Literal

from msgspec.structs import replace

from domain.approval import SUBJECTS, ApprovalSubject, FourEyes
from domain.bounds import APPROVAL_SECONDS, CLOCK_AHEAD_SECONDS_MAX
from domain.errors import SetupError
from domain.quotas import CONNECTIONS_OF_ADDRESS, SETS, SOCKET_LIMITS, Quota, Quotas, QuotaSet, SocketLimit
from runtime.groups import LOGINS

PREFIX = "HANSARD_"
QUOTA = re.compile(r"(\d{1,12})/(\d{1,6})/(\d{1,12})")
LISTEN = re.compile(r"(?:\[([0-9A-Fa-f:.]+)\]|([^:\[\]\s]+)):(\d{1,5})")
LIMIT = "Limit of the {}, as COUNT/SECONDS/BURST. Empty: that of the set."


class SettingRefusedError(SetupError):
    """A variable of the environment cannot be what it is; the sentence names it."""


def setting(
    default: Any, sentence: str, *, low: int | None = None, high: int | None = None, secret: bool = False
) -> Any:
    return field(default=default, repr=not secret, metadata={"sentence": sentence, "low": low, "high": high})


@dataclass(frozen=True, kw_only=True)
class Settings:
    home: Path = setting(Path(".hansard"), "The folder of all data of the embedded servers, logs and keys.")
    host: str = setting("127.0.0.1", "The address on which the gateway listens.")
    port: int = setting(8000, "The port on which the gateway listens.", low=1, high=65535)
    gateways: int = setting(
        1,
        "How many gateways 'hansard up' starts. They share the port: about one for each core that has nothing else to do.",
        low=1,
        high=16,
    )
    together: Literal["on", "off"] = setting(
        "on",
        "Whether 'hansard up' has its gateway do the projector's work, if there is one gateway. Then they need less memory and "
        "processor together, and one core.",
    )
    database_url: str = setting(
        "",
        "Postgres 15 or newer (postgresql://…), with the log-in of this very process. Empty: the embedded one.",
        secret=True,
    )
    migration_url: str = setting(
        "",
        "The same with the owner's log-in, for 'hansard migrate' (and 'up') alone. Empty: as HANSARD_DATABASE_URL.",
        secret=True,
    )
    rebuild_url: str = setting(
        "",
        "The same with a log-in of the group hansard_operator, for workers: they run rebuilds that are asked for over HTTP. Empty: as "
        "HANSARD_DATABASE_URL.",
        secret=True,
    )
    projector_url: str = setting(
        "",
        "The same with a log-in of the group hansard_projector, for a gateway: with it the gateway does the projector's work, too. "
        "Empty: a process of its own does.",
        secret=True,
    )
    logins: tuple[str, ...] = setting(
        (),
        "Log-ins that 'hansard migrate' makes, as KIND=PASSWORD with comma between: gateway, projector, worker, notifier, notary, "
        "operator, or server (all of them in one).",
        secret=True,
    )
    redis_url: str = setting(
        "", "Redis 7 or Valkey 8 or newer (redis://…, rediss://…, unix://…). Empty: the embedded one."
    )
    blobs_url: str = setting(
        "", "Where files are kept (file:///…, s3://bucket/prefix). Empty: a folder below the home."
    )
    s3_endpoint: str = setting("", "The address of an S3 that is not Amazon's (https://…). Keys come from AWS_….")
    s3_encryption: Literal["off", "AES256", "aws:kms"] = setting(
        "off", "The encryption that S3 is asked for with every file; off: as the bucket says."
    )
    signed_urls: Literal["on", "off"] = setting(
        "off", "Whether downloads are sent to S3 itself, by addresses that are good for a minute."
    )
    scanner_url: str = setting(
        "", "clamd (tcp://host:3310, unix:///path). Empty: a check that knows the EICAR test file and nothing else."
    )
    scans: int = setting(4, "How many files a worker scans at once.", low=1, high=1000)
    images: int = setting(2, "How many pictures a worker processes at once: one a core.", low=1, high=1000)
    documents: int = setting(1, "How many documents a worker processes at once.", low=1, high=1000)
    upload_bytes_max: int = setting(25 * 1024**2, "How many bytes an upload has at most.", low=1, high=1024**4)
    storage_bytes_of_user: int = setting(
        10 * 1024**3, "How many bytes of files a person may keep.", low=1, high=1024**5
    )
    env: Literal["development", "production"] = setting(
        "development",
        "production refuses embedded servers, a key of its own making, and whatever is lax (docs/operating.md).",
    )
    origins: tuple[str, ...] = setting(
        (), "Web origins whose pages may call (https://chat.example.com, comma between); the server's own may always."
    )
    trusted_proxies: tuple[str, ...] = setting(
        (), "Proxies whose word on the client's address is taken (10.0.0.0/8, comma between); nobody else's is."
    )
    forwarded_header: Literal["x-forwarded-for", "forwarded"] = setting(
        "x-forwarded-for", "The header in which those proxies give it."
    )
    stopping: tuple[str, ...] = setting(
        (),
        "Groups of read tables that stop before an event which they cannot take (live, …); others park it and go on.",
    )
    limits: QuotaSet = setting(
        "relaxed", "Limits of requests: strict (the default in production), relaxed (ten times that), off (benches)."
    )
    limit_requests: str = setting("", LIMIT.format("requests of a person, or of an address without a token"))
    limit_sends: str = setting("", LIMIT.format("messages of a person"))
    limit_uploads: str = setting("", LIMIT.format("uploads of a person"))
    limit_upload_bytes: str = setting("", LIMIT.format("uploaded bytes of a person"))
    limit_registrations: str = setting("", LIMIT.format("registrations of an address"))
    limit_logins: str = setting("", LIMIT.format("log-ins of an address"))
    limit_connects: str = setting("", LIMIT.format("sockets that an address opens"))
    limit_frames: str = setting("", LIMIT.format("frames of a socket"))
    limit_pushes: str = setting("", LIMIT.format("devices that a person subscribes to push, and tests"))
    limit_mails: str = setting(
        "", LIMIT.format("mails to one e-mail address, apart for strangers and for addresses its account knows")
    )
    limit_wrong_passwords: str = setting(
        "", LIMIT.format("wrong passwords of an account, of all strangers together and of each address it knows")
    )
    sockets_of_user: int = setting(
        0, "How many sockets a person may hold at once. 0: as HANSARD_LIMITS says.", low=0, high=1_000_000
    )
    sockets_of_address: int = setting(
        0, "How many sockets an address may hold at once. 0: as HANSARD_LIMITS says.", low=0, high=1_000_000
    )
    connections_of_address: int = setting(
        0,
        "How many connections an address may hold at once, HTTP and sockets, of one gateway. 0: as HANSARD_LIMITS says.",
        low=0,
        high=1_000_000,
    )
    connections: int = setting(
        0, "How many connections a gateway holds at most. 0: as its descriptors allow.", low=0, high=1_000_000
    )
    keep_alive_seconds: int = setting(
        75,
        "How long a connection may rest between two requests; longer than a proxy before it lets it.",
        low=1,
        high=3600,
    )
    registration: Literal["open", "closed"] = setting("open", "Whether strangers may register.")
    verify_email: Literal["off", "required"] = setting(
        "off", "Whether an e-mail address must be confirmed before its account can be used."
    )
    mail_url: str = setting(
        "", "Where mails go: smtp:// (with STARTTLS), smtps://, smtp+plain://, file:///…. Empty: mails below the home."
    )
    mail_from: str = setting("Hansard <hansard@localhost>", "From whom mails come.")
    export_days: int = setting(
        7, "How many days a finished export is kept before its package is removed.", low=1, high=3650
    )
    mail_after_minutes: int = setting(
        10,
        "For how long somebody is away until a mail tells them what they missed, if they want that.",
        low=1,
        high=10_080,
    )
    public_url: str = setting(
        "",
        "Where browsers and mail programs reach the gateway (https://chat.example.com). Empty: mails have no link that stops them.",
    )
    push_contact: str = setting(
        "",
        "Where operators of push services write to if something is wrong (mailto:…, https://…). Empty: HANSARD_MAIL_FROM's address.",
    )
    push_networks: tuple[str, ...] = setting(
        (),
        "Networks beside the public ones in which push services and webhooks may be (10.1.2.0/24, comma between). Empty: none.",
    )
    links_url: str = setting("", "A page of yours that mails link to; the code follows after #. Empty: no link.")
    web: str = setting(
        "on",
        "The page that browsers see at /: on, off, or the address of another one (https://chat.example.com) to send them to.",
    )
    schema: Literal["on", "off"] = setting("on", "Whether /schema and /asyncapi.json are served.")
    metrics: Literal["on", "off"] = setting("on", "Whether the gateway serves /metrics.")
    metrics_listen: str = setting(
        "",
        "Where a projector (or the gateway that does its work), worker, notifier or notary answers /metrics and /livez (127.0.0.1:9464, "
        "[::1]:9464). Empty: nowhere. Of 'hansard up' the projector, or that gateway; its worker and its notary take the next ports.",
    )
    log: Literal["text", "json"] = setting("text", "How log lines are written.")
    log_level: Literal["debug", "info", "warning", "error"] = setting("info", "Which log lines are written.")
    lanes: int = setting(
        16, "How many Redis streams the rooms are spread over; alike for all processes.", low=1, high=1024
    )
    pool_size: int = setting(10, "Connections to Postgres of one process, at most.", low=2, high=500)
    clock_ahead_seconds: int = setting(
        CLOCK_AHEAD_SECONDS_MAX,
        "How far ahead Postgres' clock may leap until nothing is recorded any more, in seconds (hansard clock).",
        low=60,
        high=10 * 365 * 24 * 3600,
    )
    password_chars_min: int = setting(8, "The fewest characters of a password.", low=8, high=64)
    argon2_memory_kib: int = setting(19456, "Memory of one password hash (argon2id), KiB.", low=8192, high=4194304)
    argon2_time: int = setting(2, "Passes of one password hash.", low=1, high=100)
    argon2_parallelism: int = setting(1, "Lanes of one password hash.", low=1, high=64)
    master_key_file: Path = setting(
        Path(""), "The master key: 64 hex digits, mode 0600. Empty: master.key below the home."
    )
    notary_folder: Path = setting(
        Path(""),
        "Where the notary keeps its key and what it signed last, for itself alone. Empty: notary below the home.",
    )
    notary_standby: Literal["auto", "off"] = setting(
        "auto",
        "auto: where Postgres has synchronous standbys, the notary signs only what one of them has; off: whatever is committed.",
    )
    witness_folder: Path = setting(
        Path(""), "A folder elsewhere to which the notary copies signed checkpoints. Empty: nowhere."
    )
    witnesses: tuple[str, ...] = setting(
        (),
        "Who else is given each checkpoint, comma between: a folder (/mnt/witness), a bucket with object lock (s3://bucket/prefix), a "
        "witness that cosigns (its KEY, a space, its address: https://…). Empty: nobody.",
    )
    witness_quorum: int = setting(
        0,
        "How many of the witnesses must have a checkpoint before it is served below /tlog. 0: it is served when it is signed.",
        low=0,
        high=100,
    )
    witness_seconds: int = setting(
        60, "How often the witnesses are given the newest checkpoint, in seconds.", low=1, high=24 * 3600
    )
    witness_lock_days: int = setting(
        365, "How long a checkpoint in a bucket is locked, in days.", low=1, high=100 * 365
    )
    witness_s3_endpoint: str = setting("", "The address of the witness bucket's S3, if it is not AWS's.")
    tlog: Literal["on", "off"] = setting(
        "on", "Whether the gateway serves checkpoint and tiles of the record below /tlog: hashes, to everybody."
    )
    time_travel: Literal["on", "off"] = setting(
        "on",
        "Whether rooms can be seen as they were (?as_of=) and have a history; off: the worker keeps no tables for it.",
    )
    forward_secret: tuple[str, ...] = setting(
        (),
        "What 'hansard audit forward' signs webhooks with (whsec_…); two with comma between while one takes the other's place.",
        secret=True,
    )
    four_eyes: tuple[str, ...] = setting(
        ("off",),
        "What somebody else must approve: off, on (everything of these), or some of export, erasure, comma between.",
    )
    four_eyes_hours: int = setting(
        APPROVAL_SECONDS // 3600,
        "For how many hours it may be approved; afterwards it must be asked for anew.",
        low=1,
        high=8760,
    )
    password: str = setting(
        "",
        "The password of 'hansard say' and 'listen', where nobody can be asked for it. Servers need none.",
        secret=True,
    )
    tls_certificate: Path = setting(
        Path(""), "The gateway's certificate and what leads to its authority (PEM). Empty: a proxy ends TLS, or nobody."
    )
    tls_key: Path = setting(Path(""), "The key of that certificate (PEM, mode 0600).")
    issuer: str = setting("hansard", "The issuer (iss) that access tokens name.")

    @property
    def login_passwords(self) -> dict[str, str]:
        """The passwords of the log-ins to be made, by kind of process."""
        return dict(_login(text) for text in self.logins)

    @property
    def master_key(self) -> Path:
        return self.home / "master.key" if self.master_key_file == Path("") else self.master_key_file

    @property
    def notary(self) -> Path:
        return self.home / "notary" if self.notary_folder == Path("") else self.notary_folder

    @property
    def has_tls(self) -> bool:
        return self.tls_certificate != Path("")

    @property
    def quotas(self) -> Quotas:
        """The set that `limits` names, with the single limits that are given, beside `off` too."""
        given = {
            name: _quota(name, text) for name in Quotas.__struct_fields__ if (text := getattr(self, f"limit_{name}"))
        }
        return replace(SETS[self.limits], **given)

    @property
    def seats(self) -> SocketLimit:
        of_set = SOCKET_LIMITS[self.limits]
        return SocketLimit(self.sockets_of_user or of_set.of_user, self.sockets_of_address or of_set.of_address)

    def connections_of(self, total: int) -> int:
        """Return how many of `total` connections one address may hold: at most half of them. 0 is any number."""
        of_set = CONNECTIONS_OF_ADDRESS[self.limits]
        return self.connections_of_address or min(of_set, max(1, total // 2))

    @property
    def metrics_address(self) -> tuple[str, int] | None:
        """The host and port that `metrics_listen` names."""
        found = LISTEN.fullmatch(self.metrics_listen)
        return None if found is None else (found[1] or found[2], int(found[3]))

    @property
    def approvals(self) -> FourEyes:
        """What needs somebody else's approval. Raise `SettingRefusedError` for a word that is none."""
        return FourEyes(_subjects(self.four_eyes), self.four_eyes_hours * 3600)

    @property
    def contact(self) -> str:
        """Where operators of push services write to."""
        return self.push_contact or f"mailto:{parseaddr(self.mail_from)[1]}"

    @property
    def networks(self) -> tuple[IPv4Network | IPv6Network, ...]:
        return tuple(ip_network(text) for text in self.push_networks)

    @property
    def proxies(self) -> tuple[IPv4Network | IPv6Network, ...]:
        return tuple(ip_network(text) for text in self.trusted_proxies)


def address(settings: Settings) -> str:
    """Return the address at which a gateway of these settings is reached from its own machine."""
    return _url(settings, "127.0.0.1" if settings.host in ("0.0.0.0", "::") else settings.host)


def listens_on(settings: Settings) -> str:
    """Return the address on which a gateway of these settings listens."""
    return _url(settings, settings.host)


def _url(settings: Settings, host: str) -> str:
    scheme = "https" if settings.has_tls else "http"
    return f"{scheme}://{f'[{host}]' if ':' in host else host}:{settings.port}"


def _subjects(words: tuple[str, ...]) -> frozenset[ApprovalSubject]:
    if words == ("off",):
        return frozenset()
    if words == ("on",):
        return frozenset(SUBJECTS)
    if unknown := set(words) - set(SUBJECTS):
        raise SettingRefusedError(
            f"HANSARD_FOUR_EYES has {', '.join(sorted(unknown))}; it is off, on, or some of {', '.join(SUBJECTS)}."
        )
    return frozenset(subject for subject in SUBJECTS if subject in words)


def _login(text: str) -> tuple[str, str]:
    kind, _, password = text.partition("=")
    if kind not in LOGINS or not password:
        raise SettingRefusedError(
            f"HANSARD_LOGINS is KIND=PASSWORD with comma between; a KIND is {' or '.join(LOGINS)}."
        )
    return kind, password


def _quota(name: str, text: str) -> Quota:
    found = QUOTA.fullmatch(text)
    count, seconds, burst = map(int, found.groups()) if found else (0, 0, 0)
    if not (count and seconds and burst):
        variable = f"{PREFIX}LIMIT_{name.upper()}"
        raise SettingRefusedError(f"{variable} is {text!r}; it is COUNT/SECONDS/BURST, like 20/1/100, each 1 or more.")
    return Quota(name, count, seconds, burst)
