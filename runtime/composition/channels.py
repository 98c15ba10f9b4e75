"""What sends to people's devices and servers: opened by the gateway, which tests devices, and by whoever tells people."""

from contextlib import AsyncExitStack

from adapters.clock import now
from adapters.mail import open_mail
from adapters.mail_links import MailLinks
from adapters.outbound.public_addresses import Reachable
from adapters.outbound.requests import OutboundRequests
from adapters.push.sender import PushSender
from adapters.push.vapid import PURPOSES, Vapid
from adapters.webhooks.sender import WebhookSender
from domain.ports.channels import Channel
from runtime.composition.process_context import ProcessContext
from workers.channels.mail import MailChannel
from workers.channels.push import PushChannel
from workers.channels.webhook import WebhookChannel


def opened_requests(base: ProcessContext, stack: AsyncExitStack) -> OutboundRequests:
    """Open the client for addresses that people name; the stack closes it."""
    requests = OutboundRequests.open(Reachable(base.settings.networks))
    stack.push_async_callback(requests.close)
    return requests


def push_sender(base: ProcessContext, requests: OutboundRequests) -> PushSender:
    """Return what sends push messages as this deployment."""
    master = base.vault.master
    vapid = Vapid(b"".join(map(master.secret_of, PURPOSES)), base.settings.contact)
    return PushSender(requests, vapid, topics_secret=master.secret_of(b"hansard push topics"), now=now)


def mail_links(base: ProcessContext) -> MailLinks:
    """Return what makes and reads the links that stop mails."""
    secret = base.vault.master.secret_of(b"hansard mail links")
    return MailLinks(base.settings.public_url, secret=secret, sender=base.settings.mail_from)


def opened_channels(base: ProcessContext, stack: AsyncExitStack) -> tuple[Channel, ...]:
    """Open the channels by which this deployment tells people things outside the chat; the stack closes them."""
    settings, command_bus = base.settings, base.command_bus
    mails = open_mail(settings.mail_url, folder=settings.home / "mails", sender=settings.mail_from)
    requests = opened_requests(base, stack)
    return (
        PushChannel(command_bus, base.db, push_sender(base, requests), now=now),
        WebhookChannel(command_bus, WebhookSender(requests, now=now)),
        MailChannel(command_bus, mails, mail_links(base), record_id=base.record_id, links_url=settings.links_url),
    )
