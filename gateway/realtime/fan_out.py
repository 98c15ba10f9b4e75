"""Fan-out: one frame of a room to everybody who is subscribed to it and live."""

from collections.abc import Callable

from adapters.prometheus.gateway import HubMetrics
from gateway.realtime.room_frames import RoomFrame
from gateway.realtime.subscription import FollowedRoom, Subscription
from projections import frames


class FanOut:
    def __init__(self, *, catch_up: Callable[[Subscription], None], metrics: HubMetrics) -> None:
        """`catch_up` takes over a subscription whose socket is behind."""
        self._delivered = metrics.delivered
        self._skipped = metrics.skipped
        self._catch_up = catch_up

    def broadcast(self, room: FollowedRoom, frame: RoomFrame) -> None:
        """Give a room's next frame to every live subscription; one whose outbox is full catches up later.

        The subscription of a user whose membership ends with this event ends after it.
        """
        if frame.topic == frames.DELETION:
            room.recent.clear()  # they may hold the text
        else:
            room.recent.add(frame)
        if frames.SKIPPED_MARK in frame.frame:
            self._skipped.inc()
        room.seen = frame.position
        behind = self._deliver(room, frame)
        self._delivered.inc(len(room.live) - len(behind))
        for subscription in behind:
            self._catch_up(subscription)
        if frame.ended is not None:
            _end_membership(room, frame)
        if frame.history is not None:
            room.set_history(frame.history, frame.position)

    @staticmethod
    def _deliver(room: FollowedRoom, frame: RoomFrame) -> list[Subscription]:
        """Queue a frame for every live subscription. Return those that were full."""
        behind: list[Subscription] = []
        renamed: dict[int, bytes] = {}
        is_same_for_all = not room.is_since_joining
        position, content = frame.position, frame.frame
        for subscription in room.live:
            if subscription.position >= position:
                continue  # it was resumed from a gateway that was ahead of this one
            outbox = subscription.outbox
            if outbox.is_full:
                behind.append(subscription)
            elif is_same_for_all:
                outbox.push(content)
                subscription.position = subscription.last_delivered = position
            else:
                subscription.deliver(frame, renamed)
        return behind


def _end_membership(room: FollowedRoom, frame: RoomFrame) -> None:
    for each in [each for each in room.live if each.user_id == frame.ended and each.joined < frame.position]:
        each.end("left" if frame.topic == frames.LEAVING else "removed")
