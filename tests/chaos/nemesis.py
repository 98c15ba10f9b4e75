"""The nemesis: harms a deployment, one way after the other, in an order of chance in which no way is forgotten."""

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable
from functools import partial

import httpx

from tests.chaos.deployment import GATEWAYS, PROJECTORS, WORKER, Deployment
from tests.chaos.log import Log
from tests.chaos.people import Account
from tests.chaos.trials import Trials

FROZEN_SECONDS = (0.3, 6.0)
AWAY_SECONDS = (0.0, 3.0)
RETRY_SECONDS = 0.1
ACKNOWLEDGED_BETWEEN = 20
BETWEEN_SECONDS_MAX = 5.0
ADMIN_SECONDS = 5.0


class Members:
    """Removes members and brings them back, whatever the weather."""

    def __init__(
        self,
        deployment: Deployment,
        log: Log,
        owner: Account,
        memberships: list[tuple[str, str]],
        chance: random.Random,
    ) -> None:
        self._deployment = deployment
        self._log = log
        self._owner = owner
        self._memberships = memberships
        self._chance = chance
        self._out: set[tuple[str, str]] = set()

    async def remove_and_bring_back(self, seconds: float) -> None:
        """Take somebody out of a room for a while."""
        inside = [each for each in self._memberships if each not in self._out]
        if not inside:
            return
        room, user = each = self._chance.choice(inside)
        self._out.add(each)
        await self._insist("DELETE", f"/rooms/{room}/members/{user}", {204, 404}, None)
        await asyncio.sleep(seconds)
        admitting = self._log.admitting(room, user)
        done = await self._insist("PUT", f"/rooms/{room}/members/{user}", {200, 201}, {"role": "member"})
        self._log.admitted(admitting, int(done.headers["hansard-position"]))
        self._out.discard(each)

    async def _insist(self, method: str, path: str, statuses: set[int], body: object) -> httpx.Response:
        """Ask until it is done; cancellation ends it."""
        headers = {"Authorization": f"Bearer {self._owner.token}"}
        while True:
            base = f"{self._deployment.base(self._chance.choice(GATEWAYS))}/api/v1"
            try:
                async with httpx.AsyncClient(base_url=base, headers=headers, timeout=ADMIN_SECONDS) as http:
                    answer = await http.request(method, path, json=body)
            except httpx.HTTPError:
                await asyncio.sleep(RETRY_SECONDS)
                continue
            if answer.status_code in statuses:
                return answer
            if answer.status_code != 503:  # a count of nothing would be a complaint as well
                self._log.complaints[f"{method} member {answer.status_code}"] += 1
            await asyncio.sleep(RETRY_SECONDS)


class Nemesis:
    """Harms until told to stop. `kinds` counts what it did."""

    def __init__(
        self, deployment: Deployment, log: Log, members: Members, trials: Trials, chance: random.Random
    ) -> None:
        self.kinds: Counter[str] = Counter()
        self._deployment = deployment
        self._log = log
        self._members = members
        self._trials = trials
        self._chance = chance
        self._bag: list[str] = []
        self._lasting: list[asyncio.Task[None]] = []
        self._harms: dict[str, Callable[[], Awaitable[None]]] = {
            "gateway": self._kill_gateway,
            "projector": self._kill_projector,
            "worker": self._kill_worker,
            "postgres": self._kill_postgres,
            "valkey": self._kill_valkey,
            "valkey emptied": self._empty_valkey,
            "valkey flushed": self._flush_valkey,
            "valkey frozen": self._freeze_valkey,
            "projector frozen": self._freeze_projector,
            "gateway frozen": self._freeze_gateway,
            "gateway stopped": self._stop_gateway,
            "everything at once": self._kill_everything,
            "member removed": self._remove_member,
        }
        self._kills = list(self._harms)
        self._harms |= {name: partial(self._try, trial) for name, trial in trials.every().items()}

    async def run(self, stopped: asyncio.Event, *, pause_seconds: tuple[float, float]) -> None:
        """Harm, let some sends be acknowledged, harm again."""
        while not stopped.is_set():
            await self.harm()
            await self._breathe(stopped, self._chance.uniform(*pause_seconds))

    async def harm(self) -> str:
        """Do the next harm; answers its name."""
        if not self._bag:
            self._bag = self.names()
            self._chance.shuffle(self._bag)
        name = self._bag.pop()
        self.kinds[name] += 1
        await self._harms[name]()
        return name

    def names(self) -> list[str]:
        """Return every kind; what the bars count is done more often than the rest."""
        return [*self._harms, "gateway", "postgres", "projector", "valkey"]

    async def once_each(self) -> None:
        """Do every kind once but the trials, which take minutes."""
        for name in self._chance.sample(self._kills, len(self._kills)):
            self.kinds[name] += 1
            await self._harms[name]()
            await self._breathe(asyncio.Event(), 0.0)

    async def heal(self) -> None:
        """Harm no more: what is frozen is thawed, who was removed is brought back, a trial comes to its end."""
        self._trials.ending = True
        await asyncio.gather(*self._lasting)

    async def _breathe(self, stopped: asyncio.Event, seconds: float) -> None:
        """Mostly strike a deployment that works, sometimes one that is still down."""
        loop = asyncio.get_running_loop()
        began, enough = loop.time(), self._log.figures["acknowledged"] + ACKNOWLEDGED_BETWEEN
        patience = BETWEEN_SECONDS_MAX if self._chance.random() < 0.8 else 0.0
        while not stopped.is_set() and loop.time() < began + max(seconds, patience):
            if loop.time() > began + seconds and self._log.figures["acknowledged"] >= enough:
                return
            await asyncio.sleep(RETRY_SECONDS)

    def _last(self, harm: Awaitable[None]) -> None:
        """Let a harm last while others begin."""
        self._lasting.append(asyncio.ensure_future(harm))

    async def _try(self, trial: Callable[[], Awaitable[None]]) -> None:
        """Put a deployment that works to a trial, and harm nothing else until it has ended."""
        await asyncio.gather(*self._lasting)
        await self._deployment.ready()
        await self._trials.flows()
        self._last(trial())
        await asyncio.shield(self._lasting[-1])

    def _away(self) -> float:
        return self._chance.uniform(*AWAY_SECONDS)

    async def _kill_gateway(self) -> None:
        self._deployment.kill(self._chance.choice(GATEWAYS), pause=self._away() / 3)

    async def _kill_projector(self) -> None:
        self._deployment.kill(self._chance.choice(PROJECTORS), pause=self._away())

    async def _kill_worker(self) -> None:
        self._deployment.kill(WORKER, pause=self._away())

    async def _kill_postgres(self) -> None:
        self._deployment.kill("postgres", pause=self._away() / 3)

    async def _kill_valkey(self) -> None:
        self._deployment.kill("valkey", pause=self._away())

    async def _empty_valkey(self) -> None:
        self._deployment.empty_valkey(pause=self._away())

    async def _flush_valkey(self) -> None:
        await self._deployment.flush_valkey()

    async def _freeze_valkey(self) -> None:
        self._last(self._deployment.freeze("valkey", self._chance.uniform(*FROZEN_SECONDS)))

    async def _freeze_projector(self) -> None:
        name = self._chance.choice(PROJECTORS)
        self._last(self._deployment.freeze(name, self._chance.uniform(*FROZEN_SECONDS)))

    async def _freeze_gateway(self) -> None:
        name = self._chance.choice(GATEWAYS)
        self._last(self._deployment.freeze(name, self._chance.uniform(*FROZEN_SECONDS) / 2))

    async def _stop_gateway(self) -> None:
        self._deployment.ask_to_stop(self._chance.choice(GATEWAYS))

    async def _kill_everything(self) -> None:
        for name in (*GATEWAYS, *PROJECTORS, WORKER, "valkey", "postgres"):
            self._deployment.kill(name)

    async def _remove_member(self) -> None:
        self._last(self._members.remove_and_bring_back(self._chance.uniform(0.0, 3.0)))
