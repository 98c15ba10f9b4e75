"""How a group of read tables does, in a word: what an operator cares for, and not what every batch brings."""

import pytest
from msgspec.structs import replace

from projections.projection_states import BEHIND_EVENTS, BEHIND_SECONDS, STANDS_STILL_SECONDS, ProjectionState, State
from runtime.operators.projections import sentence

SERVED = ProjectionState("live", 3, 3, 100, 0, 0.0, 0.0, "a host/1", True, 0, None, None)


@pytest.mark.parametrize(
    ("events", "seconds", "idle", "state"),
    [
        (0, 0.0, 0.0, "served"),
        (1, 0.008, 0.008, "served"),
        (100_000, 1.9, 0.1, "served"),
        (99, 14.0, 14.0, "served"),
        (100, 2.0, 0.1, "behind"),
        (1, 15.1, 15.1, "standing_still"),
    ],
)
def test_a_group_is_behind_only_if_many_events_wait_and_the_first_of_them_for_long(
    events: int, seconds: float, idle: float, state: State
) -> None:
    found = replace(SERVED, lag_events=events, lag_seconds=seconds, idle_seconds=idle)
    assert (BEHIND_EVENTS, BEHIND_SECONDS, STANDS_STILL_SECONDS) == (100, 2.0, 15.0)
    assert found.state == state
    assert (" behind" in sentence(found)) == (state in ("behind", "standing_still"))
