"""Replay: a subscription that is behind reads pages of the record, at its client's own pace, until it can go live.

That is how a new subscription begins, and how one goes on whose client reads slowly: the others do not wait for it.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from adapters.prometheus.gateway import HubMetrics
from domain.ports.record import RecordUnavailableError
from gateway.protocol import server_frames
from gateway.realtime.background_tasks import BackgroundTasks
from gateway.realtime.history import REPLAY_PAGE_EVENTS, REPLAY_PAGE_EVENTS_MIN, RoomHistory
from gateway.realtime.room_frames import RoomFrame
from gateway.realtime.subscription import Subscription
from projections import frames

REPLAYS_AT_ONCE_MAX = 4

RETRY_SECONDS = 2.0


class Replay:
    """All subscriptions of one process that catch up; at most `REPLAYS_AT_ONCE_MAX` of them read at the same time."""

    def __init__(
        self,
        history: RoomHistory,
        tasks: BackgroundTasks,
        *,
        wait_for: Callable[[int], Awaitable[bool]],
        metrics: HubMetrics,
    ) -> None:
        """`wait_for` waits until the read tables have a position, and says whether they have."""
        self._delivered = metrics.delivered
        self._history = history
        self._tasks = tasks
        self._wait_for = wait_for
        self._reads = asyncio.Semaphore(REPLAYS_AT_ONCE_MAX)

    def catch_up_soon(self, subscription: Subscription) -> None:
        """Have a subscription catch up, and go live when it has."""
        subscription.room.add_catching_up(subscription)
        self._tasks.start(self._catch_up(subscription))

    async def _catch_up(self, subscription: Subscription) -> None:
        connection, limit = subscription.connection, REPLAY_PAGE_EVENTS
        while not subscription.is_over:
            await subscription.outbox.drained()
            try:
                async with connection.replay_turn:
                    if subscription.outbox.is_full:
                        continue  # another room of this socket has filled it meanwhile
                    if subscription.visible_from and subscription.last_delivered is None:
                        await self._find_last_delivered(subscription)
                    if subscription.is_over or self._go_live(subscription):
                        return
                    limit = await self._replay_page(subscription, limit)
            except RecordUnavailableError:
                await asyncio.sleep(RETRY_SECONDS)

    def _go_live(self, subscription: Subscription) -> bool:
        """Deliver the room's recent frames and make the subscription live. Return False if they do not reach back far enough.

        Nothing is awaited here, so no frame can come in between.
        """
        room = subscription.room
        is_visible = subscription.position >= subscription.visible_from
        missed = room.frames_after(subscription.position) if is_visible else None
        if missed is None:
            return False
        self._deliver(subscription, missed)
        if not subscription.is_over:
            room.add_live(subscription)
            _announce(subscription)
            room.note_listeners_changed()
        return True

    async def _replay_page(self, subscription: Subscription, limit: int) -> int:
        """Deliver a page of the record, as much as the outbox holds. Return the limit of the next page.

        The rest of a page is read again later, so that no page waits in memory for a slow reader.
        """
        room = subscription.room
        if room.seen < subscription.visible_from and not await self._wait_for(subscription.visible_from):
            return limit
        until = max(room.seen, subscription.visible_from)
        subscription.position = max(subscription.position, subscription.visible_from - 1)
        async with self._reads:
            page, complete = await self._history.page(room.room_id, subscription.position, until, limit=limit)
        for i, frame in enumerate(page):
            if subscription.is_over:
                return limit
            if subscription.outbox.is_full:
                return min(max(2 * i, REPLAY_PAGE_EVENTS_MIN), REPLAY_PAGE_EVENTS)
            self._deliver(subscription, (frame,))
        if not subscription.is_over:
            subscription.position = max(subscription.position, complete)
        return min(2 * limit, REPLAY_PAGE_EVENTS)

    async def _find_last_delivered(self, subscription: Subscription) -> None:
        """Find the last frame that a member has who resumes after a position."""
        async with self._reads:
            subscription.last_delivered = await self._history.last_visible(
                subscription.room.room_id, subscription.position, since=subscription.visible_from
            )

    def _deliver(self, subscription: Subscription, page: Sequence[RoomFrame]) -> None:
        renamed: dict[int, bytes] = {}
        for frame in page:
            if subscription.deliver(frame, renamed):
                self._delivered.inc()
            if frame.ended == subscription.user_id and frame.position > subscription.joined:
                subscription.end("left" if frame.topic == frames.LEAVING else "removed")
                return


def _announce(subscription: Subscription) -> None:
    """Tell the client, once, that the replay is over."""
    if not subscription.is_announced:
        subscription.is_announced = True
        position = max(subscription.position, subscription.room.seen)
        subscription.connection.send(server_frames.encode(server_frames.Live(subscription.room.room_id, position)))
