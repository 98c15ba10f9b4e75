"""The generator: a believable history on a record, through the real commands and the real writer.

People register, open rooms and talk; how busy rooms and people are follows a power law. Commands are begun in rounds: those
of two rounds side by side touch different streams, so each is decided once while the round before is being committed.
What happens, and in which order, follows from the seed; times are the record's own, and what is sealed is sealed under new
keys. Nothing grows with the number of events, here or in the town.
"""

import time
from asyncio import Task, gather
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta
from functools import partial

from commands import HANDLERS
from commands.command_bus import CommandBus
from commands.unit_of_work import Outcome
from domain.errors import DomainError
from domain.ports.clock import Chance, Clock
from runtime.operators.generating.acts import Act, Key, Make
from runtime.operators.generating.arranging import ARRANGEMENTS
from runtime.operators.generating.in_order import InOrder
from runtime.operators.generating.settling import joining, logging_in, opening, registering
from runtime.operators.generating.talking import TALK
from runtime.operators.generating.town import Town
from workers.rebuild_reports import Progress

ROUND_ACTS_MIN, ROUND_ACTS_MAX, ROUNDS_MIN = 4, 400, 50
ROUNDS_BETWEEN, TALK_OF_ARRANGEMENT = 10, 30  # from one round of arrangements to the next; acts for each of them
PEOPLE_MIN, PEOPLE_MAX, EVENTS_OF_PERSON = 8, 500, 200
ROOMS_MIN, ROOMS_MAX, EVENTS_OF_ROOM = 10, 2_000, 250
# Marks of one person are recorded once in five seconds: decisions think that rounds are further apart.
AHEAD = timedelta(seconds=60)
Tasks = list["Task[Outcome | None]"]


class Generator:
    """Writes one history."""

    def __init__(
        self,
        record: InOrder,
        *,
        events: int,
        seed: int,
        now: Clock,
        chance: Chance,
        progress: Callable[[Progress], None],
    ) -> None:
        def later() -> datetime:
            return now() + AHEAD

        self.town = Town(seed)
        self.done = 0
        self._events = events
        self._record = record
        self._command_bus = CommandBus(record, HANDLERS, now=later, chance=chance)
        self._progress = progress
        self._began = time.perf_counter()
        self._before: Tasks = []  # of the round before, whose answers have not been looked at
        self._now: Tasks = []
        self._read: list[set[Key]] = [set(), set()]  # by the round before and by this one
        self._written: list[set[Key]] = [set(), set()]

    async def run(self) -> int:
        """Write until there are so many events, and at most those of two rounds more; return how many."""
        town, events = self.town, self._events
        await self._all(registering(town, min(max(PEOPLE_MIN, events // EVENTS_OF_PERSON), PEOPLE_MAX)))
        await self._all(logging_in(town))
        await self._all(opening(town, min(max(ROOMS_MIN, events // EVENTS_OF_ROOM), ROOMS_MAX)))
        await self._all(joining(town))
        size = min(ROUND_ACTS_MAX, max(ROUND_ACTS_MIN, events // ROUNDS_MIN))
        while self.done < events:
            for _ in range(ROUNDS_BETWEEN):
                self._draw(TALK, size)
                await self._turn_over()
            await self._settle()
            at_once = max(1, min(len(town.people) // 2, ROUND_ACTS_MAX // 10))
            for _ in range(0, ROUNDS_BETWEEN * size // TALK_OF_ARRANGEMENT + 1, at_once):
                self._draw(ARRANGEMENTS, at_once)
                await self._settle()
        return self.done

    def _draw(self, kinds: Sequence[tuple[Make, int]], acts: int) -> None:
        """Begin what people like to do; fewer acts than that, since not everything is possible in the town."""
        makes, weights = [make for make, _ in kinds], [weight for _, weight in kinds]
        for make in self.town.chance.choices(makes, weights, k=acts):
            if (act := make(self.town)) is not None:
                self._begin(act)

    async def _all(self, acts: Iterable[Act]) -> None:
        """Do all of these. What does not go with the others of a round comes in the next one."""
        later: list[Act] = []
        for act in acts:
            if not self._begin(act):
                later.append(act)
            if len(self._now) >= ROUND_ACTS_MAX:
                later = await self._next_round(later)
        while later:
            later = await self._next_round(later)
        await self._settle()

    async def _next_round(self, waiting: list[Act]) -> list[Act]:
        await self._turn_over()
        return [act for act in waiting if not self._begin(act)]

    def _begin(self, act: Act) -> bool:
        """Begin an act; return False, and do not, if it would meet another one."""
        for read, written in zip(self._read, self._written, strict=True):
            if not (written.isdisjoint(act.reads) and written.isdisjoint(act.writes) and read.isdisjoint(act.writes)):
                return False
        self._read[-1] |= act.reads
        self._written[-1] |= act.writes
        self._now.append(self._record.begin(partial(self._do, act)))
        return True

    async def _do(self, act: Act) -> Outcome | None:
        try:
            return await self._command_bus.do(act.command, act.caller)
        except DomainError:  # the town knows less than the commands
            return None

    async def _turn_over(self) -> None:
        """Begin a round: the one before this has ended, and the town knows what happened in it."""
        for outcome in await gather(*self._before):
            for recorded in outcome.events if outcome else ():
                self.town.take(recorded)
                self.done += 1
        self._before, self._now = self._now, []
        self._read, self._written = [self._read[1], set()], [self._written[1], set()]
        self._progress(Progress("generate", self.done, max(self.done, self._events), time.perf_counter() - self._began))

    async def _settle(self) -> None:
        await self._turn_over()
        await self._turn_over()
