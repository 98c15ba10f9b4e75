"""`hansard gateway`: serves HTTP and sockets. With a projector's log-in (HANSARD_PROJECTOR_URL) it does the projector's work, too."""

import argparse
import asyncio
from contextlib import AbstractAsyncContextManager, AsyncExitStack, nullcontext
from typing import TYPE_CHECKING

import structlog

from gateway.app import create_app
from gateway.edge.authentication import Authentication
from gateway.server.listening import listen
from gateway.server.tls import server_context
from gateway.server.uvicorn_server import serve
from gateway.services import Services
from runtime.command import Command
from runtime.composition.gateway import connection_bounds, opened_services
from runtime.composition.process_context import ProcessContext, following_key_news, process_context
from runtime.loops import background, stop_signal, stop_when_one_ends
from runtime.metrics_listener import metrics_listener
from runtime.record_watch import watching
from runtime.settings import Settings, listens_on
from runtime.start import UNUSED, leaving_out
from runtime.startup_checks import guard_gateway

if TYPE_CHECKING:
    from runtime.composition.projector import ProjectorParts

log = structlog.get_logger()


async def run(settings: Settings, _: argparse.Namespace) -> int:
    """Serve until told to stop, then let sockets go and answer what was begun. Return 1 if a loop failed."""
    guard_gateway(settings)
    tls = server_context(settings.tls_certificate, settings.tls_key) if settings.has_tls else None
    stop = stop_signal()
    listener = listen(settings.host, settings.port, is_shared=settings.gateways > 1)
    async with process_context(settings, kind="gateway") as base, AsyncExitStack() as stack:
        services = await opened_services(base, stack)
        projector = await _projector(base, services, stack) if settings.projector_url else None
        # In the order in which they end: what appends ends last.
        loops = (
            watching(base.record, base.record_id),
            following_key_news(
                base,
                services.audit.hear_of_keys,
                services.kept_pages.clear,
                *([projector.handed.forget] if projector else ()),
            ),
            asyncio.create_task(services.refusals.run(), name="refusals"),
            asyncio.create_task(services.jobs.run(), name="background jobs"),
            asyncio.create_task(services.hub.run(), name="hub"),
            asyncio.create_task(base.command_bus.run(), name="postponed commands"),
            asyncio.create_task(base.record.run(), name="writer"),
            *(projector.loops if projector else ()),
        )
        failed = stop_when_one_ends(stop, *loops)
        async with background(*loops), _figures_of(projector, settings):
            log.info("listening", address=listens_on(settings))
            bounds, trusts = connection_bounds(settings), services.policy.proxies.trusts
            await serve(
                app_of(services), listener, stop, drain=services.hub.drain, tls=tls, bounds=bounds, trusts=trusts
            )
    return 1 if failed else 0


async def _projector(base: ProcessContext, services: Services, stack: AsyncExitStack) -> "ProjectorParts":
    """Start a projector in this process, and hand over to it what is appended here."""
    from runtime.composition.projector import projecting_here  # a gateway beside a projector does without

    parts = await projecting_here(base, stack, deliver=services.hub.deliver)
    services.hub.publishes_here(lambda: parts.follower.lease is not None)
    return parts


def _figures_of(projector: "ProjectorParts | None", settings: Settings) -> AbstractAsyncContextManager[object]:
    """Show the projector's figures where a projector shows them; the gateway's are at `/metrics`."""
    return nullcontext() if projector is None else metrics_listener(settings.metrics_address, projector.exposition)


def app_of(services: Services) -> Authentication:
    """Return the application. What it is made of is loaded in part only now."""
    with leaving_out(*UNUSED):
        return create_app(services)


COMMAND = Command(run)
