"""`hansard audit forward`: sends the audit trail elsewhere, in order, for as long as it runs, and goes on where it was left.

That it begins is on the record, with what, where to and why. What people wrote goes along with `--texts` alone.
"""

import argparse
import asyncio
import ssl
import sys
from collections.abc import Callable
from contextlib import AsyncExitStack
from hashlib import sha256
from ipaddress import ip_network
from pathlib import Path
from socket import gethostname
from typing import NamedTuple
from urllib.parse import urlsplit
from uuid import uuid4

import msgspec
from msgspec.structs import replace

from adapters.clock import now
from adapters.forwarding import syslog
from adapters.forwarding.checkpoint import Checkpoint, held
from adapters.forwarding.destinations import (
    AGAIN_SECONDS,
    DatagramDestination,
    Destination,
    StreamDestination,
    WebhookDestination,
)
from adapters.forwarding.formats import FORMATS, Source, json_of
from adapters.outbound.public_addresses import Reachable
from adapters.outbound.requests import OutboundRequests
from adapters.postgres.audit import AuditEntry, AuditReader
from adapters.prometheus.exposition import Exposition
from adapters.prometheus.forwarding import ForwardingMetrics
from adapters.webhooks.sender import WebhookSender, require_secret
from commands.audit import BeginForwarding
from domain.bounds import REASON_CHARS_MAX
from gateway.routes.deployment import our_version
from runtime.command import Command, MisusedError
from runtime.composition.process_context import ProcessContext, following_key_news
from runtime.loops import background, stop_signal
from runtime.metrics_listener import metrics_listener
from runtime.operators.writing import OPERATOR, operator
from runtime.record_watch import watching
from runtime.settings import Settings
from workers.forwarder import Forwarder

PORTS = {"syslog+tcp": 601, "syslog+tls": 6514, "syslog+udp": 514, "https": 443}  # RFC 3195, 5425, 5426
SCHEMES = ", ".join(f"{scheme}://" for scheme in PORTS)
EVERYWHERE = (ip_network("0.0.0.0/0"), ip_network("::/0"))  # an operator named the address, not a stranger
GIVE_UP_SECONDS = 24 * 3600.0


class Target(NamedTuple):
    """Where to: as it was typed, and its parts."""

    url: str
    scheme: str
    host: str
    port: int

    @property
    def shown(self) -> str:
        """The target without what may be a secret in its path."""
        return f"{self.scheme}://{f'[{self.host}]' if ':' in self.host else self.host}:{self.port}"


async def forward(settings: Settings, asked: argparse.Namespace) -> int:
    """Forward until told to stop."""
    target = target_of(asked.to)
    if target.scheme == "https" and asked.format == "cef":
        raise MisusedError("A webhook's body is JSON: --format json or ocsf.")
    trust = ssl.create_default_context(cafile=asked.ca)
    stop = stop_signal()
    async with operator(settings) as base, AsyncExitStack() as stack:
        path = (
            asked.checkpoint or settings.home / "forwarding" / f"{sha256(asked.to.encode()).hexdigest()[:16]}.position"
        )
        stack.enter_context(held(path))
        checkpoint = Checkpoint(path, base.record_id)
        if asked.anew:
            checkpoint.forget()
        kept = checkpoint.read()
        after = asked.after if kept is None else kept
        destination = _opened(settings, target, trust, stack)
        await _say(base, target, asked, after)
        audit, metrics = AuditReader(base.db, base.vault), ForwardingMetrics(base.registry)
        forwarder = Forwarder(
            audit, destination, checkpoint, _written(target, asked.format, Source(base.record_id, our_version())),
            after=after, texts=asked.texts, give_up_seconds=asked.give_up_after, metrics=metrics,
        )  # fmt: skip
        forwarding = asyncio.create_task(forwarder.run(), name="forwarder")
        loops = (forwarding, watching(base.record, base.record_id), following_key_news(base, audit.hear_of_keys))
        for loop in loops:
            loop.add_done_callback(lambda _: stop.set())
        async with background(*loops), metrics_listener(settings.metrics_address, Exposition(base.registry)):
            await stop.wait()
        await destination.close()
    print(f"Forwarded up to position {forwarder.position:,}; it goes on after that.", file=sys.stderr)
    for loop in loops:
        if not loop.cancelled() and (error := loop.exception()) is not None:
            raise error
    return 0


def target_of(url: str) -> Target:
    """Return where a URL leads. Raise `MisusedError`."""
    parts = urlsplit(url)
    try:
        port = parts.port or PORTS.get(parts.scheme, 0)
    except ValueError:
        port = 0
    if parts.scheme not in PORTS or not parts.hostname or not port or parts.username is not None:
        raise MisusedError(f"--to is one of {SCHEMES} with a host, like syslog+tls://siem.example.com:6514.")
    return Target(url, parts.scheme, parts.hostname, port)


async def _say(base: ProcessContext, target: Target, asked: argparse.Namespace, after: int) -> None:
    """Have it recorded before anything is sent."""
    reason = asked.reason.strip()
    if not 0 < len(reason) <= REASON_CHARS_MAX:
        raise MisusedError(f"--reason says why, in 1 to {REASON_CHARS_MAX} characters: it is recorded.")
    began = BeginForwarding(uuid4(), target.shown, asked.format, asked.texts, after)
    await base.command_bus.do(began, replace(OPERATOR, reason=reason))
    print(f"Forwarding to {target.shown} after position {after:,}, as {asked.format}.", file=sys.stderr)


def _opened(settings: Settings, target: Target, trust: ssl.SSLContext, stack: AsyncExitStack) -> Destination:
    match target.scheme:
        case "syslog+udp":
            return DatagramDestination(target.host, target.port)
        case "https":
            if not settings.forward_secret:
                raise MisusedError(
                    "HANSARD_FORWARD_SECRET is what webhooks are signed with: whsec_ and 24 to 64 bytes in Base64."
                )
            for secret in settings.forward_secret:
                require_secret(secret)
            requests = OutboundRequests.open(Reachable(EVERYWHERE), trust=trust)
            stack.push_async_callback(requests.close)
            return WebhookDestination(
                WebhookSender(requests, now=now, later_seconds=AGAIN_SECONDS), target.url, settings.forward_secret
            )
    return StreamDestination(target.host, target.port, trust=trust if target.scheme == "syslog+tls" else None)


def _written(target: Target, format: str, source: Source) -> Callable[[AuditEntry], bytes]:
    """Return what makes an entry what is sent of it."""
    host, said = gethostname(), next(each for name, each in FORMATS.items() if name == format)
    if target.scheme == "https":
        return _enveloped(source) if said is json_of else lambda entry: said(entry, source)
    return lambda entry: syslog.message(entry, source, said(entry, source), host=host)


def _enveloped(source: Source) -> Callable[[AuditEntry], bytes]:
    """Return what makes an entry the body that Standard Webhooks recommends."""

    def made(entry: AuditEntry) -> bytes:
        body = {"type": entry.type, "timestamp": entry.recorded_at, "data": msgspec.Raw(json_of(entry, source))}
        return msgspec.json.encode(body)

    return made


def _describe(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(title="actions", metavar="ACTION", dest="action", required=True)
    said = "Send every event of the record elsewhere, in order, at least once; its position is its id."
    made = actions.add_parser("forward", help=said, description=said)
    made.add_argument("--to", required=True, metavar="URL", help=f"{SCHEMES} (a signed webhook)")
    made.add_argument("--format", choices=sorted(FORMATS), default="json", help="what an event looks like (json)")
    made.add_argument("--reason", required=True, help="why; it is recorded")
    made.add_argument("--texts", action="store_true", help="with what people wrote and are called")
    made.add_argument("--after", type=int, default=0, metavar="POSITION", help="where to begin where it never ran (0)")
    made.add_argument("--anew", action="store_true", help="forget how far it got")
    made.add_argument("--checkpoint", type=Path, metavar="FILE", help="where it is kept how far it got")
    made.add_argument("--ca", type=Path, metavar="FILE", help="the authority of the other side's certificate (PEM)")
    made.add_argument(
        "--give-up-after", type=float, default=GIVE_UP_SECONDS, metavar="SECONDS", help="without success (a day)"
    )


COMMAND = Command(forward, _describe)
