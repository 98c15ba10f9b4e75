"""Following a lane: a room that opens as this process takes the lease need not wait for a lane that is not read any more."""

from typing import Any, cast

from gateway.realtime.lane_follower import LaneFollower


class Idle:
    """Lanes that nobody reads; the lease is taken at the third interruption."""

    def __init__(self) -> None:
        self.interruptions = 0

    async def last(self, lane: int) -> str:
        return "0-0"

    async def interrupt(self) -> None:
        self.interruptions += 1


async def test_a_room_that_opens_as_the_lease_is_taken_waits_for_nothing() -> None:
    lanes = Idle()
    nothing = cast(Any, None)
    follower = LaneFollower(
        nothing, nothing, cast(Any, lanes), receive=nothing, apply_control=nothing, send_own=nothing
    )
    follower.publishes_here = lambda: lanes.interruptions >= 3
    await follower.follow(4)
    assert lanes.interruptions == 3
    await follower.follow(5)
    assert lanes.interruptions == 3, "and the next room for none at all"
