"""The parts of a projector: the follower of the live read tables, and the publisher of their frames. A gateway may run them, too."""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import NamedTuple

from adapters.prometheus.exposition import Exposition
from adapters.prometheus.workers import ProjectionMetrics, PublisherMetrics
from adapters.redis.lanes import Entry
from projections import LIVE, with_policies
from runtime.composition.process_context import ProcessContext, process_context, process_name
from runtime.composition.resources import opened_lanes
from runtime.login_checks import naming, require_same_database
from workers.handed_events import HandedEvents
from workers.projector import Followed, Follower
from workers.publisher import Publisher


class ProjectorParts(NamedTuple):
    """A projector in a gateway: what its writer hands over to, its loops, and its figures."""

    follower: Follower
    handed: HandedEvents
    loops: "tuple[asyncio.Task[None], ...]"
    exposition: Exposition


def projecting(
    base: ProcessContext,
    stack: AsyncExitStack,
    record: Followed | None = None,
    *,
    deliver: Callable[[Sequence[Entry]], None] | None = None,
) -> "tuple[Follower, tuple[asyncio.Task[None], ...]]":
    """Start the loops of a projector, which reads `record` (its own, if there is none); `deliver` gets its frames first."""
    lanes = opened_lanes(base, stack)
    publisher = Publisher(base.record, base.db, lanes, LIVE, PublisherMetrics(base.registry), deliver=deliver)
    follower = Follower(
        with_policies(LIVE, base.settings.stopping),
        record or base.record,
        base.db,
        owner=process_name(),
        committed=publisher.hand_over,
        taken=publisher.begin,
        metrics=ProjectionMetrics(base.registry),
    )
    return follower, (
        asyncio.create_task(follower.run(), name="live group"),  # hears of destroyed keys, too
        asyncio.create_task(publisher.run(), name="publisher"),
    )


async def projecting_here(
    gateway: ProcessContext, stack: AsyncExitStack, *, deliver: Callable[[Sequence[Entry]], None]
) -> ProjectorParts:
    """Start a projector beside a gateway, whose writer hands over to it. It has a log-in, keys and a lease of its own, as a process of
    its own would. Raise `LoginRefusedError` if that log-in does not do, or is for another database."""
    own = replace(gateway.settings, database_url=gateway.settings.projector_url)
    with naming("HANSARD_PROJECTOR_URL"):
        base = await stack.enter_async_context(process_context(own, kind="projector"))
    await require_same_database(gateway.db, base.db)
    appender = gateway.record.appender
    handed = HandedEvents(base.record, is_taken=lambda: follower.lease is not None, answered=appender.answered)
    appender.hand_over_to(handed.hand)
    follower, loops = projecting(base, stack, handed, deliver=deliver)
    return ProjectorParts(follower, handed, loops, Exposition(base.registry))
