"""Retention: which policy holds in a room, and that none destroys anything in the first day in which it holds."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

from domain.events import Meta, Recorded
from domain.ids import EventId, RoomId, UserId
from domain.retention import (
    DEFAULT,
    NO_POLICY,
    POLICY_GRACE,
    RETENTION,
    Effective,
    Policy,
    RetentionCleared,
    RetentionEvent,
    RetentionSet,
    due_before,
    effective,
    evolve,
    is_due,
)

MANAGER, ROOM = UserId(UUID(int=1)), RoomId(UUID(int=2))
LAST_YEAR, MAY, NOW = (
    datetime(2025, 1, 1, tzinfo=UTC),
    datetime(2026, 5, 1, tzinfo=UTC),
    datetime(2026, 11, 27, tzinfo=UTC),
)
MOMENT = timedelta(microseconds=1)


def after(*events: tuple[datetime, RetentionEvent]) -> Policy | None:
    policy = None
    for at, event in events:
        policy = evolve(policy, Recorded(1, RETENTION.id(ROOM), 1, at, event, Meta(EventId(UUID(int=9)), "")))
    return policy


def set_to(days_max: int | None, room_id: RoomId = ROOM) -> RetentionSet:
    return RetentionSet(room_id, MANAGER, None, days_max)


CLEARED = RetentionCleared(ROOM, MANAGER)
OF_LAST_YEAR = after((LAST_YEAR, set_to(30, DEFAULT)))


def test_the_default_that_holds_again_in_a_room_destroys_nothing_in_its_first_day() -> None:
    own = after((MAY, set_to(400)), (NOW, CLEARED))
    assert effective(own, OF_LAST_YEAR) == Effective("default", None, 30, NOW)
    for at, is_over in ((NOW, False), (NOW + POLICY_GRACE - MOMENT, False), (NOW + POLICY_GRACE, True)):
        policy = effective(own, OF_LAST_YEAR)
        assert (due_before(policy, at) is not None) is is_over
        assert is_due(policy, LAST_YEAR, at) is is_over


def test_a_policy_holds_since_it_was_set_or_the_one_before_it_was_cleared() -> None:
    cleared = after((LAST_YEAR, set_to(400)), (MAY, CLEARED))
    set_anew = after(
        (LAST_YEAR, set_to(30, DEFAULT)), (MAY, RetentionCleared(DEFAULT, MANAGER)), (NOW, set_to(30, DEFAULT))
    )
    gone = after((LAST_YEAR, set_to(30, DEFAULT)), (MAY, RetentionCleared(DEFAULT, MANAGER)))
    assert effective(None, OF_LAST_YEAR) == Effective("default", None, 30, LAST_YEAR)
    assert effective(cleared, set_anew) == Effective("default", None, 30, NOW)
    assert effective(after((MAY, set_to(400))), OF_LAST_YEAR) == Effective("room", None, 400, MAY)
    assert effective(cleared, gone) == effective(None, None) == NO_POLICY
