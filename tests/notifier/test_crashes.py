"""At most once: whatever dies between planning, claiming, telling and noting it, no device is told of an event twice."""

import asyncio
from collections import Counter
from collections.abc import Collection, Mapping
from datetime import timedelta
from random import Random
from uuid import UUID

import pytest

from adapters.memory.notices import MemoryChannel, MemoryPresence
from domain.ids import RoomId, UserId
from domain.ports.channels import Later, Notice, Outcome
from projections import NOTIFICATIONS
from tests.conftest import Servers, fresh_database
from tests.notifier.desks import Notifier, notifier
from workers.rebuild import Rebuild


class Killed(BaseException):
    """The process ends here, as by kill -9: nothing of it runs any more."""


class Mortal(MemoryChannel):
    """A channel whose process dies now and then, before it sends or after."""

    def __init__(self, chance: Random) -> None:
        super().__init__()
        self.chance, self.deaths = chance, 0.0

    async def tell(self, target_id: UUID, notice: Notice) -> Outcome:
        self._perhaps_die()
        if self.chance.random() < self.deaths:
            return Later(0.0)
        outcome = await super().tell(target_id, notice)
        self._perhaps_die()
        return outcome

    def _perhaps_die(self) -> None:
        if self.chance.random() < self.deaths:
            raise Killed


class MortalPresence(MemoryPresence):
    """Presence that is asked in the middle of planning, and the process dies there."""

    def __init__(self, chance: Random) -> None:
        super().__init__()
        self.chance, self.deaths = chance, 0.0

    async def looking(self, room_ids: Collection[RoomId]) -> Mapping[RoomId, frozenset[UserId]]:
        if self.chance.random() < self.deaths:
            raise Killed
        return await super().looking(room_ids)


@pytest.mark.parametrize("seed", range(4))
async def test_no_device_is_told_twice_whatever_dies(
    servers: Servers, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workers.notice_teller.AT_ONCE_MAX", 1)  # or others of the dead process would go on
    monkeypatch.setattr("workers.notice_planner.PLAN_ROWS_MAX", 3)
    chance = Random(seed)
    async with fresh_database(servers) as url, notifier(url) as desk:
        push, here = Mortal(chance), MortalPresence(chance)
        desk.push, desk.here = push, here
        desk.start()
        people = [await desk.somebody() for _ in range(3)]
        room_id = await desk.room(people[0], *people[1:])
        push.deaths = here.deaths = 0.2
        told_of = 0
        for _ in range(40):
            doing = chance.choice(["say", "say", "plan", "tell", "claim", "rebuild"])
            try:
                match doing:
                    case "say":
                        await desk.say(people[0], room_id, f"@{people[1].name} @{people[2].name}")
                        told_of += 2
                    case "plan":
                        await desk.plan()
                    case "tell":
                        await desk.tell()
                    case "claim" if chance.random() < 0.3:
                        await desk.teller.claim()  # and dies before it sends anything
                        raise Killed
                    case "rebuild" if chance.random() < 0.3:
                        await desk.follow()
                        await Rebuild(NOTIFICATIONS, desk.record, desk.db, progress=lambda progress: None).run(
                            swap=True
                        )
            except Killed:
                desk.start()
            desk.later += timedelta(seconds=chance.randrange(60))
        push.deaths = here.deaths = 0.0
        for _ in range(30):
            await desk.run()
            desk.later += timedelta(hours=1)
        await _check(desk, told_of)


async def _check(desk: Notifier, told_of: int) -> None:
    """Hold what devices took, and what is noted, to each other."""
    told = [each for each in desk.push.told if each.notice.kind == "mention"]
    by_device = Counter((each.target_id, each.notice.position) for each in told)
    assert max(by_device.values()) == 1
    states = await desk.states()
    taken, noted = sum(each.notice.count for each in told), states.get("told", 0) + states.get("folded", 0)
    invitations = sum(each.notice.count for each in desk.push.told if each.notice.kind != "mention")
    assert taken <= told_of
    assert set(states) <= {"told", "folded", "unknown"}, "nothing is left pending, nothing is told for ever"
    assert noted - invitations <= taken <= noted - invitations + states.get("unknown", 0)
    assert noted + states.get("unknown", 0) == told_of + invitations, "what nobody died over was told"


async def test_two_tellers_at_once_tell_each_thing_once(servers: Servers) -> None:
    async with fresh_database(servers) as url, notifier(url) as desk:
        people = [await desk.somebody() for _ in range(8)]
        room_id = await desk.room(people[0], *people[1:])
        position = await desk.say(people[0], room_id, "@room")
        await desk.plan()
        first = desk.teller
        desk.start()
        await asyncio.gather(first.step(), desk.teller.step(), desk.planner.step())
        told = [each.target_id for each in desk.push.told if each.notice.position == position]
        assert sorted(told) == sorted(each.device for each in people[1:])
