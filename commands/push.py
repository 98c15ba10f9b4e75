"""Push subscriptions: a device asks to be told of things, and what ends that: its owner, its session, its push service."""

from collections.abc import Callable

from msgspec import Struct

from commands.unit_of_work import Handler, UnitOfWork
from domain import push as decide
from domain.account import ACCOUNT, require_active
from domain.errors import SessionRevokedError
from domain.ids import SubscriptionId, UserId
from domain.push import (
    SUBSCRIPTIONS,
    EndReason,
    PushEvent,
    PushSubscribed,
    PushUnsubscribed,
    Subscription,
    Subscriptions,
)
from domain.session import SESSION


class SubscribePush(Struct, frozen=True):
    """Subscribe the device of the caller's session. The endpoint and keys were checked (`adapters/push/encryption.py`)."""

    subscription_id: SubscriptionId
    endpoint: str
    p256dh: str
    auth: str
    device: str | None = None


class ReleaseEndpoint(Struct, frozen=True):
    """The device is somebody else's now: end the subscription that has this endpoint."""

    endpoint: str


class UnsubscribePush(Struct, frozen=True):
    subscription_id: SubscriptionId


class ForgetPush(Struct, frozen=True):
    """The push service says that there is no such device any more."""

    user_id: UserId
    subscription_id: SubscriptionId


async def subscribe(command: SubscribePush, unit: UnitOfWork) -> None:
    user_id, session_id = unit.caller.user_id, unit.caller.session_id
    assert user_id and session_id, "authentication lets no stranger here"
    account, session, subscriptions = await unit.load_all(
        (ACCOUNT, (user_id,)), (SESSION, (session_id,)), (SUBSCRIPTIONS, (user_id,))
    )
    require_active(account)
    if session is None or session.ended:
        raise SessionRevokedError
    made = PushSubscribed(
        command.subscription_id, user_id, session_id, command.endpoint, command.p256dh, command.auth, command.device
    )
    _write(unit, user_id, subscriptions, decide.subscribe(subscriptions, made))
    unit.claim("push_endpoint", command.endpoint, stream=SUBSCRIPTIONS.id(user_id))


async def release(command: ReleaseEndpoint, unit: UnitOfWork) -> None:
    # Whose it was a moment ago says nothing: an endpoint moves with each log-in on the device.
    holder = await unit.claimed(SUBSCRIPTIONS, "push_endpoint", command.endpoint, holds=lambda _: False)
    if holder is None:
        return
    subscriptions = await unit.load(SUBSCRIPTIONS, holder.user_id)
    _end(unit, subscriptions, lambda each: each.endpoint == command.endpoint, reason="moved")


async def unsubscribe(command: UnsubscribePush, unit: UnitOfWork) -> None:
    assert unit.caller.user_id, "authentication lets no stranger here"
    subscriptions = await unit.load(SUBSCRIPTIONS, unit.caller.user_id)
    found = decide.require_own(subscriptions, command.subscription_id)
    _end(unit, subscriptions, lambda each: each == found, reason="asked")


async def forget(command: ForgetPush, unit: UnitOfWork) -> None:
    subscriptions = await unit.load(SUBSCRIPTIONS, command.user_id)
    _end(unit, subscriptions, lambda each: each.subscription_id == command.subscription_id, reason="gone")


async def end_with_sessions(unit: UnitOfWork, user_id: UserId, ends: Callable[[Subscription], bool]) -> None:
    """End those subscriptions of a person whose sessions end, in the append of the command that calls this."""
    _end(unit, await unit.load(SUBSCRIPTIONS, user_id), ends, reason="session_ended")


def _end(
    unit: UnitOfWork, subscriptions: Subscriptions | None, ends: Callable[[Subscription], bool], *, reason: EndReason
) -> None:
    if subscriptions is None:
        return
    ended = [each.subscription_id for each in subscriptions.live if ends(each)]
    events = decide.unsubscribe(subscriptions, *ended, reason=reason)
    if events:
        _write(unit, subscriptions.user_id, subscriptions, events)


def _write(unit: UnitOfWork, user_id: UserId, before: Subscriptions | None, events: tuple[PushEvent, ...]) -> None:
    """Note the events, and that the endpoints of what they end are nobody's."""
    unit.write(SUBSCRIPTIONS, user_id, events=events)
    for event in events:
        ended = before.find(event.subscription_id) if before and isinstance(event, PushUnsubscribed) else None
        if ended is not None:
            unit.release("push_endpoint", ended.endpoint)


HANDLERS: dict[type[Struct], Handler] = {
    SubscribePush: subscribe,
    ReleaseEndpoint: release,
    UnsubscribePush: unsubscribe,
    ForgetPush: forget,
}
