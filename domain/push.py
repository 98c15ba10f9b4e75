"""Push subscriptions: where a person's devices are told of things while no page of them is open. One stream for each person.

A subscription belongs to the session that made it, and ends with it: a device that was logged out is told nothing more.
Its endpoint is a secret address of the device at a push service, and belongs to one account at a time (a claim).
"""

from datetime import datetime
from typing import ClassVar, Literal, assert_never
from uuid import UUID

from msgspec import Struct
from msgspec.structs import replace

from domain.bounds import PUSH_SUBSCRIPTIONS_MAX
from domain.errors import SubscriptionNotFoundError
from domain.events import Event, Recorded, Stream
from domain.ids import RoomId, SessionId, SubscriptionId, UserId

# asked: by the person. moved: the device is another account's now. gone: the push service says so. too_many: a newer one took
# its place.
EndReason = Literal["asked", "moved", "session_ended", "gone", "too_many"]


class _OfSubscription(Event, frozen=True):
    subscription_id: SubscriptionId
    user_id: UserId

    def encryption_subject(self) -> tuple[UUID, RoomId | None]:
        return self.user_id, None


class PushSubscribed(_OfSubscription, frozen=True):
    """The whole subscription as it is now: the same endpoint again, with other keys or of another session, is one more."""

    topic: ClassVar = "push.subscribed"
    sealed: ClassVar = ("endpoint", "p256dh", "auth", "device")

    session_id: SessionId
    endpoint: str
    p256dh: str
    auth: str
    device: str | None = None


class PushUnsubscribed(_OfSubscription, frozen=True):
    topic: ClassVar = "push.unsubscribed"

    reason: EndReason


PushEvent = PushSubscribed | PushUnsubscribed


class Subscription(Struct, frozen=True):
    """`p256dh` and `auth` are the device's keys (RFC 8291), in Base64url."""

    subscription_id: SubscriptionId
    session_id: SessionId
    endpoint: str
    p256dh: str
    auth: str
    device: str | None
    at: datetime  # when it was made or renewed


class Subscriptions(Struct, frozen=True):
    """A person's subscriptions, the one that was made or renewed longest ago first."""

    user_id: UserId
    live: tuple[Subscription, ...] = ()

    def find(self, subscription_id: UUID) -> Subscription | None:
        return next((each for each in self.live if each.subscription_id == subscription_id), None)


def subscribe(subscriptions: Subscriptions | None, made: PushSubscribed) -> tuple[PushEvent, ...]:
    """Add a subscription. One with the same endpoint keeps its id; if nothing of it changes, nothing happens.

    If there are as many as there may be, the one that was renewed longest ago ends.
    """
    live = subscriptions.live if subscriptions else ()
    same = next((each for each in live if each.endpoint == made.endpoint), None)
    if same is not None:
        made = replace(made, subscription_id=same.subscription_id)
        return () if _subscription(made, same.at) == same else (made,)
    if len(live) < PUSH_SUBSCRIPTIONS_MAX:
        return (made,)
    return (PushUnsubscribed(live[0].subscription_id, made.user_id, "too_many"), made)


def unsubscribe(
    subscriptions: Subscriptions | None, *subscription_ids: SubscriptionId, reason: EndReason
) -> tuple[PushEvent, ...]:
    """End those of these subscriptions that are live."""
    if subscriptions is None:
        return ()
    ended = (each.subscription_id for each in subscriptions.live if each.subscription_id in subscription_ids)
    return tuple(PushUnsubscribed(ended_id, subscriptions.user_id, reason) for ended_id in ended)


def require_own(subscriptions: Subscriptions | None, subscription_id: UUID) -> Subscription:
    """Return a person's subscription. Raise the same refusal if it is somebody else's, has ended or never was."""
    found = subscriptions.find(subscription_id) if subscriptions else None
    if found is None:
        raise SubscriptionNotFoundError
    return found


def evolve(subscriptions: Subscriptions | None, recorded: Recorded[PushEvent]) -> Subscriptions:
    event = recorded.event
    live = subscriptions.live if subscriptions else ()
    others = tuple(each for each in live if each.subscription_id != event.subscription_id)
    match event:
        case PushSubscribed():
            # Of an erased person nothing is left by which a device could be told.
            made = () if recorded.erased else (_subscription(event, recorded.at),)
            return Subscriptions(event.user_id, (*others, *made))
        case PushUnsubscribed():
            return Subscriptions(event.user_id, others)
        case _:
            assert_never(event)


def _subscription(event: PushSubscribed, at: datetime) -> Subscription:
    return Subscription(
        event.subscription_id, event.session_id, event.endpoint, event.p256dh, event.auth, event.device, at
    )


SUBSCRIPTIONS: Stream[Subscriptions] = Stream(
    "push", evolve, Subscriptions, subject=lambda subscriptions: (subscriptions.user_id, None)
)
EVENTS: tuple[type[Event], ...] = (PushSubscribed, PushUnsubscribed)
