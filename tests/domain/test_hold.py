"""Legal holds: what they cover, from when, until when; and that a release destroys nothing at once."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from msgspec.structs import replace

from domain.bounds import HOLDS_ACTIVE_MAX
from domain.events import Meta, Recorded
from domain.hold import (
    ALL_HOLDS,
    HOLD_GRACE_DAYS,
    HOLDS,
    Hold,
    HoldEvent,
    HoldId,
    HoldNotFoundError,
    HoldReleased,
    Holds,
    HoldTimesError,
    TooManyHoldsError,
    covering,
    evolve,
    place,
    release,
)
from domain.ids import EventId, RoomId, UserId

ADA, BEN, MANAGER = UserId(UUID(int=1)), UserId(UUID(int=2)), UserId(UUID(int=3))
OPEN, CLOSED = RoomId(UUID(int=4)), RoomId(UUID(int=5))
FIRST, SECOND = HoldId(UUID(int=6)), HoldId(UUID(int=7))
NEW_YEAR, MAY, JUNE, JULY = (datetime(2026, month, 1, tzinfo=UTC) for month in (1, 5, 6, 7))
NOW = datetime(2026, 11, 27, tzinfo=UTC)


def after(holds: Holds | None, *events: HoldEvent, at: datetime = NOW) -> Holds | None:
    for event in events:
        holds = evolve(holds, Recorded(1, HOLDS.id(ALL_HOLDS), 1, at, event, Meta(EventId(UUID(int=9)), "")))
    return holds


def held(
    *, persons: tuple[UserId, ...] = (), rooms: tuple[RoomId, ...] = (), from_at: datetime | None = None,
    to_at: datetime | None = None,
) -> Holds | None:  # fmt: skip
    events = place(
        None, hold_id=FIRST, name="M", by=MANAGER, persons=persons, rooms=rooms, from_at=from_at, to_at=to_at
    )
    return after(None, *events)


def is_held(
    holds: Holds | None, person: UserId = ADA, room: RoomId | None = OPEN, since: datetime | None = MAY,
    until: datetime | None = JUNE, at: datetime = NOW,
) -> bool:  # fmt: skip
    return covering(holds, person=person, room=room, since=since, until=until, at=at) != ()


def test_a_hold_covers_only_whom_where_and_when_it_names() -> None:
    assert not is_held(None)
    assert is_held(held())
    for holds in (held(persons=(ADA,)), held(persons=(ADA,), rooms=(OPEN,))):
        assert is_held(holds) and not is_held(holds, person=BEN)
    assert is_held(held(rooms=(OPEN,)), person=BEN) and not is_held(held(rooms=(OPEN,)), room=CLOSED)
    assert is_held(held(persons=(ADA,)), room=None) and not is_held(held(persons=(ADA,), rooms=(OPEN,)), room=None)


def test_what_only_touches_the_time_of_a_hold_is_not_covered() -> None:
    may = held(from_at=MAY, to_at=JUNE)
    assert is_held(may, since=MAY, until=JUNE) and is_held(may, since=None, until=None)
    assert is_held(may, since=NEW_YEAR, until=MAY + timedelta(seconds=1))
    assert not is_held(may, since=NEW_YEAR, until=MAY)
    assert not is_held(may, since=JUNE, until=JULY)
    assert is_held(held(from_at=MAY), since=JUNE, until=None) and not is_held(held(to_at=MAY), since=MAY, until=None)


def test_every_hold_that_covers_something_is_named() -> None:
    holds = after(held(persons=(ADA,)), *place(held(), hold_id=SECOND, name="N", by=MANAGER, rooms=(OPEN,)))
    assert covering(holds, person=ADA, room=OPEN, since=MAY, until=JUNE, at=NOW) == (FIRST, SECOND)
    assert covering(holds, person=BEN, room=OPEN, since=MAY, until=JUNE, at=NOW) == (SECOND,)


def test_a_released_hold_covers_until_its_grace_is_over() -> None:
    holds = held(persons=(ADA,))
    holds = after(holds, *release(holds, hold_id=FIRST, by=MANAGER), at=NOW)
    over = NOW + timedelta(days=HOLD_GRACE_DAYS)
    assert is_held(holds, at=NOW) and is_held(holds, at=over - timedelta(seconds=1))
    assert not is_held(holds, at=over)


def test_placing_or_releasing_again_changes_nothing() -> None:
    holds = held(persons=(ADA,))
    assert place(holds, hold_id=FIRST, name="M", by=MANAGER) == ()
    events = release(holds, hold_id=FIRST, by=MANAGER)
    assert events == (HoldReleased(FIRST, MANAGER),)
    holds = after(holds, *events)
    assert release(holds, hold_id=FIRST, by=MANAGER) == () and place(holds, hold_id=FIRST, name="M", by=MANAGER) == ()
    with pytest.raises(HoldNotFoundError):
        release(holds, hold_id=SECOND, by=MANAGER)


def test_a_hold_ends_after_it_begins_and_their_number_has_a_bound() -> None:
    with pytest.raises(HoldTimesError):
        held(from_at=MAY, to_at=MAY)
    one = Hold(FIRST, frozenset(), frozenset(), None, None)
    full = Holds(tuple(replace(one, hold_id=HoldId(UUID(int=100 + i))) for i in range(HOLDS_ACTIVE_MAX)))
    with pytest.raises(TooManyHoldsError):
        place(full, hold_id=SECOND, name="N", by=MANAGER)
