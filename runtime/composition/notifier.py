"""The parts of a notifier: the inbox, what is planned of it, and what tells it. The worker runs one, too."""

import asyncio
from contextlib import AsyncExitStack

from adapters.clock import now
from adapters.prometheus.notices import NoticeMetrics
from adapters.prometheus.workers import ProjectionMetrics
from adapters.redis.who_is_here import RedisPresence
from projections import NOTIFICATIONS, with_policies
from runtime.composition.channels import opened_channels
from runtime.composition.process_context import ProcessContext, process_name
from runtime.composition.resources import opened_lanes
from runtime.locations import redis_url
from workers.notice_planner import NoticePlanner
from workers.notice_teller import NoticeTeller
from workers.notification_frames import NotificationFrames
from workers.projector import Follower
from workers.shared_reading import SharedReading

# Fewer batches beside a lively talk, and fewer writes to sockets; there a frame of the inbox comes so much later.
INBOX_GATHER_SECONDS = 0.3


def notifying(
    base: ProcessContext, stack: AsyncExitStack, reading: SharedReading, metrics: ProjectionMetrics
) -> list["asyncio.Task[None]"]:
    """Start the loops of a notifier; `metrics` are those of following, one for the process, and so is `reading`."""
    mail_seconds = base.settings.mail_after_minutes * 60.0
    here = RedisPresence.open(redis_url(base.settings), base.record_id)
    stack.push_async_callback(here.close)
    channels = opened_channels(base, stack)
    inbox = with_policies(NOTIFICATIONS, base.settings.stopping)
    planner = NoticePlanner(base.record, base.db, channels, here, now=now, mail_seconds=mail_seconds)
    teller = NoticeTeller(
        base.db, channels, here, now=now, mail_seconds=mail_seconds, metrics=NoticeMetrics(base.registry)
    )
    frames = NotificationFrames(base.db, opened_lanes(base, stack))
    moved = asyncio.Event()

    def wake() -> None:
        moved.set()
        frames.wake()

    follower = Follower(
        inbox,
        reading.gathering(INBOX_GATHER_SECONDS),
        base.db,
        owner=process_name(),
        changed=wake,
        taken=frames.begin,
        metrics=metrics,
    )

    async def tell() -> None:
        await planner.caught_up.wait()  # what is old is told as one: first all of it must be there
        await teller.run(planner.planned)

    return [
        asyncio.create_task(follower.run(), name="inbox"),
        asyncio.create_task(frames.run(), name="frames of the inbox"),
        asyncio.create_task(planner.run(moved), name="planner of notices"),
        asyncio.create_task(tell(), name="teller of notices"),
    ]
