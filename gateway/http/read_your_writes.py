"""Reading one's own writes: waiting until the read tables have passed a position.

A client asks for that with `Hansard-After`. Without it, a person's reads wait for their own last write through this
gateway, for a short time and without an error, so clients that ignore positions see what they just did.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Sequence

from adapters.clock import monotonic
from domain.ids import UserId
from domain.ports.database import Db
from projections import checkpoints

READ_YOUR_WRITE_SECONDS = 2.0

WRITERS_REMEMBERED_MAX = 50_000
OWN_WRITE_SECONDS = 1.0
PAUSES = (0.002, 0.003, 0.005, 0.01, 0.02)


class Reads:
    def __init__(self, db: Db) -> None:
        self.own_write_seconds = OWN_WRITE_SECONDS
        self._db = db
        self._positions: dict[str, int] = {}
        self._written: OrderedDict[UserId, int] = OrderedDict()

    def passed(self, position: int, *, group: str = "live") -> None:
        """Note that the tables of a group have reached a position."""
        if position > self._positions.get(group, 0):
            self._positions[group] = position

    def wrote(self, user_id: UserId, position: int) -> None:
        """Note the position of somebody's latest write."""
        self._written[user_id] = max(position, self._written.get(user_id, 0))
        self._written.move_to_end(user_id)
        if len(self._written) > WRITERS_REMEMBERED_MAX:
            self._written.popitem(last=False)

    async def wait(self, position: int, *, group: str = "live", seconds: float = READ_YOUR_WRITE_SECONDS) -> bool:
        """Wait until the tables of a group have reached a position. Return False if they have not in time."""
        deadline = monotonic() + seconds
        tries = 0
        while self._positions.get(group, 0) < position:
            self.passed(await checkpoints.position(self._db, group), group=group)
            if self._positions.get(group, 0) >= position:
                break
            if monotonic() > deadline:
                return False
            await asyncio.sleep(PAUSES[min(tries, len(PAUSES) - 1)])
            tries += 1
        return True

    async def wait_for_own(self, user_id: UserId, groups: Sequence[str] = ("live",)) -> None:
        """Wait a short time for a person's own latest write to be in these groups of tables."""
        position = self._written.get(user_id)
        if position is not None:
            for group in groups:
                await self.wait(position, group=group, seconds=self.own_write_seconds)
