"""Push subscriptions of a person whose keys were destroyed: nothing is left by which a device could be told."""

from datetime import UTC, datetime
from uuid import UUID

from domain.events import Meta, Recorded
from domain.ids import EventId, SessionId, StreamId, SubscriptionId, UserId
from domain.push import PushSubscribed, Subscriptions, evolve, subscribe
from projections import push

ADA, SESSION, FIRST, SECOND = UserId(UUID(int=1)), SessionId(UUID(int=2)), UUID(int=3), UUID(int=4)
AT = datetime(2026, 11, 27, 12, tzinfo=UTC)


def recorded(event: PushSubscribed, *, erased: bool = False) -> Recorded[PushSubscribed]:
    return Recorded(7, StreamId(UUID(int=9)), 1, AT, event, Meta(EventId(UUID(int=8)), "SubscribePush"), erased)


def test_an_erased_subscription_is_none_in_the_state_and_in_the_table() -> None:
    made = PushSubscribed(
        SubscriptionId(FIRST), ADA, SESSION, "https://push.example.org/x", "key", "secret", "telephone"
    )
    blank = PushSubscribed(SubscriptionId(FIRST), ADA, SESSION, "", "", "", None)
    state = evolve(None, recorded(made))
    assert [each.endpoint for each in state.live] == ["https://push.example.org/x"]
    assert evolve(None, recorded(blank, erased=True)) == Subscriptions(ADA, ())
    [change] = push.subscribed(recorded(blank, erased=True))
    assert change.values["is_live"] is False and change.values["service"] == "" and change.values["device"] is None


def test_the_same_endpoint_keeps_its_id_whoever_counts() -> None:
    made = PushSubscribed(SubscriptionId(FIRST), ADA, SESSION, "https://push.example.org/x", "key", "secret")
    state = evolve(None, recorded(made))
    again = PushSubscribed(SubscriptionId(SECOND), ADA, SESSION, "https://push.example.org/x", "key", "secret")
    assert subscribe(state, again) == ()
    [renewed] = subscribe(state, PushSubscribed(SubscriptionId(SECOND), ADA, SESSION, made.endpoint, "other", "secret"))
    assert (renewed.subscription_id, renewed.p256dh) == (FIRST, "other")  # type: ignore[union-attr]
