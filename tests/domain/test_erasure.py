"""Erasures: when one is requested, begun, held, completed or cancelled, and when nothing changes."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest

from domain import erasure as decide
from domain.erasure import (
    ERASURE,
    Erasure,
    ErasureBegun,
    ErasureCancelled,
    ErasureCompleted,
    ErasureHeld,
    ErasureNotFoundError,
    ErasureRequested,
    ErasureUnfinishedError,
    KeysCondemned,
)
from domain.events import Meta, Recorded
from domain.ids import EventId, UserId

ADA, ADMIN = UserId(UUID(int=1)), UserId(UUID(int=2))
ONE, OTHER = UUID(int=0xE1), UUID(int=0xE2)
HOLD, KEY = UUID(int=0xD1), UUID(int=0xC1)
AT = datetime(2026, 11, 27, tzinfo=UTC)
REQUESTED = ErasureRequested(ADA, ONE, ADA)
WAITING = ErasureRequested(ADA, ONE, ADMIN, True)
COMPLETED = ErasureCompleted(ADA, ONE, 3, 1, 2, 1)


def given(*events: Any) -> Erasure | None:
    state: Erasure | None = None
    for position, event in enumerate(events, 1):
        meta = Meta(EventId(UUID(int=position)), "test")
        state = ERASURE.evolve(state, Recorded(position, ERASURE.id(ADA), position, AT, event, meta))
    return state


def request(state: Erasure | None, **more: Any) -> tuple[Any, ...]:
    return decide.request(state, **{"user_id": ADA, "erasure_id": OTHER, "by": ADA, **more})


def test_it_is_requested_once_whether_it_goes_on_or_has_ended() -> None:
    assert request(None) == (ErasureRequested(ADA, OTHER, ADA),)
    assert request(given(REQUESTED)) == request(given(REQUESTED, COMPLETED)) == ()


def test_ones_own_takes_the_place_of_one_that_waits_for_an_approval_and_another_one_that_waits_does_not() -> None:
    assert request(given(WAITING)) == (ErasureCancelled(ADA, ONE), ErasureRequested(ADA, OTHER, ADA))
    assert request(given(WAITING), by=ADMIN, awaits_approval=True) == ()
    assert request(given(WAITING, ErasureCancelled(ADA, ONE)), by=ADMIN, awaits_approval=True) == (
        ErasureRequested(ADA, OTHER, ADMIN, True),
    )


def test_only_what_waits_for_an_approval_begins_or_is_cancelled() -> None:
    assert decide.begin(given(WAITING)) == (ErasureBegun(ADA, ONE),)
    assert decide.cancel(given(WAITING)) == (ErasureCancelled(ADA, ONE),)
    for begun in (given(REQUESTED), given(WAITING, ErasureBegun(ADA, ONE))):
        assert decide.begin(begun) == decide.cancel(begun) == ()
    for ended in (None, given(REQUESTED, COMPLETED), given(WAITING, ErasureCancelled(ADA, ONE))):
        with pytest.raises(ErasureNotFoundError):
            decide.begin(ended)


def test_what_it_waits_for_is_noted_when_that_changes() -> None:
    held = (ErasureHeld(ADA, ONE, (HOLD,)),)
    assert decide.hold(given(REQUESTED), hold_ids=(HOLD, HOLD)) == held
    assert decide.hold(given(REQUESTED), hold_ids=()) == decide.hold(given(REQUESTED, *held), hold_ids=(HOLD,)) == ()
    assert decide.hold(given(REQUESTED, *held), hold_ids=()) == (ErasureHeld(ADA, ONE, ()),)
    assert decide.hold(given(REQUESTED, COMPLETED), hold_ids=(HOLD,)) == ()


def test_it_is_not_certified_while_a_hold_keeps_something_and_the_certificate_names_what_did() -> None:
    counts = {"messages": 3, "files": 1, "reactions": 2, "wrapping": 4}
    condemned, held = KeysCondemned(ADA, ONE, (KEY,)), ErasureHeld(ADA, ONE, (HOLD,))
    with pytest.raises(ErasureUnfinishedError):
        decide.complete(given(REQUESTED, condemned, held), **counts)
    free = given(REQUESTED, condemned, held, ErasureHeld(ADA, ONE, ()))
    assert decide.complete(free, **counts) == (ErasureCompleted(ADA, ONE, 3, 1, 2, 1, (HOLD,), 4),)
    assert decide.complete(given(REQUESTED, COMPLETED), **counts) == ()
