"""Rounds: people talk and listen while the nemesis harms; then it ends, and what is left is held to the promises.

A round has rooms and subscriptions of its own, so that memory is bounded however long the whole runs; the deployment,
its record and its people go on. Nothing is judged by a clock but this: when everything runs again, everybody has
everything within 30 s.
"""

import asyncio
import random
from collections import Counter
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx

from adapters.database import Database
from adapters.record import PostgresRecord
from adapters.vault import Vault, load_master
from domain.facts import Recorded
from tests.chaos.checker import Fact, Finding, History, Listed, check
from tests.chaos.deployment import GATEWAYS, Deployment, End
from tests.chaos.log import Log, mark
from tests.chaos.nemesis import Members, Nemesis
from tests.chaos.people import Account, Observer, Sender, decode
from tests.houses import PASSWORD, now

SENDERS = 8
OBSERVERS = 20
ROOMS = 5
ROOMS_OF_AN_OBSERVER = (2, 4)
HEAL_SECONDS = 30.0
CALM_SECONDS = 45.0
LOOK_SECONDS = 0.05
PAGE_EVENTS = 2_000
LOGINS_AT_ONCE = 4


@dataclass
class Outcome:
    """What a round, or all of them, came to."""

    figures: Counter[str] = field(default_factory=Counter)
    kinds: Counter[str] = field(default_factory=Counter)
    complaints: Counter[str] = field(default_factory=Counter)
    ends: list[End] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    rebuilds_unequal: list[str] = field(default_factory=list)
    not_healed: list[str] = field(default_factory=list)
    healed_seconds: list[float] = field(default_factory=list)
    seeds: list[str] = field(default_factory=list)

    @property
    def is_good(self) -> bool:
        return not (self.findings or self.rebuilds_unequal or self.not_healed)

    def add(self, other: "Outcome") -> None:
        self.figures += other.figures
        self.kinds += other.kinds
        self.complaints += other.complaints
        self.ends += other.ends
        self.findings += other.findings
        self.rebuilds_unequal += other.rebuilds_unequal
        self.not_healed += other.not_healed
        self.healed_seconds += other.healed_seconds
        self.seeds += other.seeds


class People:
    """The accounts of a deployment: an owner of all rooms, senders, observers."""

    def __init__(self, deployment: Deployment) -> None:
        self._deployment = deployment
        self._accounts: list[Account] = []

    async def gather(self, seed: str) -> tuple[Account, list[Account], list[Account]]:
        """Log everybody in, registering them the first time; answers owner, senders and observers."""
        base = f"{self._deployment.base(GATEWAYS[0])}/api/v1"
        async with httpx.AsyncClient(base_url=base, timeout=HEAL_SECONDS) as http:
            if not self._accounts:
                names = [f"p{i}" for i in range(1 + SENDERS + OBSERVERS)]
                self._accounts = list(await _at_once(self._register(http, name) for name in names))
            await _at_once(self._log_in(http, account) for account in self._accounts)
        return self._accounts[0], self._accounts[1 : 1 + SENDERS], self._accounts[1 + SENDERS :]

    async def _register(self, http: httpx.AsyncClient, name: str) -> Account:
        body = {"email": f"{name}@example.com", "username": name, "password": PASSWORD}
        answer = await http.post("/auth/register", json=body)
        assert answer.status_code == 201, answer.text
        return Account(answer.json()["id"], body["email"], "")

    async def _log_in(self, http: httpx.AsyncClient, account: Account) -> None:
        answer = await http.post("/auth/login", json={"email": account.email, "password": PASSWORD})
        assert answer.status_code == 200, answer.text
        account.token = answer.json()["access_token"]


class Round:
    """One round. `log` may be looked at while it runs."""

    def __init__(self, deployment: Deployment, people: People, seed: str) -> None:
        self.log = Log()
        self.seed = seed
        self.kinds: Counter[str] = Counter()
        self._deployment = deployment
        self._people = people
        self._chance = random.Random(seed)
        self._joined: frozenset[str] = frozenset()
        self._rooms: list[str] = []
        self._senders: list[Sender] = []
        self._observers: list[Observer] = []
        self._start = 0

    async def run(
        self,
        stopped: asyncio.Event | None = None,
        *,
        seconds: float | None,
        pause_seconds: tuple[float, float] = (0.2, 2.0),
    ) -> Outcome:
        """Harm for so many seconds, or until told to stop (None: every kind of harm once), then heal and check."""
        ends = len(self._deployment.ends)
        nemesis = await self._move_in()
        loops = self._begin()
        try:
            try:
                async with asyncio.timeout(seconds):
                    if seconds is None:
                        await nemesis.once_each()
                    else:
                        await nemesis.run(stopped or asyncio.Event(), pause_seconds=pause_seconds)
            except TimeoutError:
                pass
            outcome = Outcome(self.log.figures, nemesis.kinds, self.log.complaints, seeds=[self.seed])
            try:
                outcome.healed_seconds = [await self._heal(nemesis)]
            except TimeoutError:
                outcome.not_healed = [f"Round {self.seed}: not everything ran again within {CALM_SECONDS:.0f} s."]
                return outcome
            finally:
                outcome.ends = self._deployment.ends[ends:]
            history, rebuilt = await self._gather()
        finally:
            await self._end(loops)
        outcome.findings = await asyncio.to_thread(check, history)
        outcome.rebuilds_unequal = rebuilt
        return outcome

    # Before

    async def _move_in(self) -> Nemesis:
        """Log in, open rooms, bring everybody in."""
        owner, senders, observers = await self._people.gather(self.seed)
        headers = {"Authorization": f"Bearer {owner.token}"}
        base = f"{self._deployment.base(GATEWAYS[0])}/api/v1"
        async with httpx.AsyncClient(base_url=base, headers=headers, timeout=HEAL_SECONDS) as http:
            self._start = (await _asked(http, "GET", "/meta"))["position"]
            for i in range(ROOMS):
                room = await _asked(http, "POST", "/rooms", {"name": f"Room {i}", "is_private": i % 2 == 1})
                self._rooms.append(room["id"])
            self._joined = frozenset(self._rooms[-1:])
            for room_id in self._joined:
                await _asked(http, "PATCH", f"/rooms/{room_id}", {"history": "joined"})
            heard = {
                account.user_id: self._chance.sample(self._rooms, self._chance.randint(*ROOMS_OF_AN_OBSERVER))
                for account in observers
            }
            members = [(room, each.user_id) for room in self._rooms for each in senders]
            members += [(room, user_id) for user_id, rooms in heard.items() for room in rooms]
            await _at_once(
                _asked(http, "PUT", f"/rooms/{room}/members/{user_id}", {"role": "member"}) for room, user_id in members
            )
        self._senders = [Sender(self._deployment, self.log, each, self._rooms, self._own()) for each in senders]
        self._observers = [
            Observer(self._deployment, self.log, each, heard[each.user_id], self._own()) for each in observers
        ]
        nemesis = Nemesis(
            self._deployment, self.log, Members(self._deployment, self.log, owner, members, self._own()), self._own()
        )
        self.kinds = nemesis.kinds
        self._owner = owner
        return nemesis

    def _own(self) -> random.Random:
        return random.Random(self._chance.getrandbits(64))

    def _begin(self) -> list["asyncio.Task[None]"]:
        loops: list[Coroutine[Any, Any, None]] = [observer.run() for observer in self._observers]
        loops += [sender.run(by_rest=i % 2 == 0) for i, sender in enumerate(self._senders)]
        return [asyncio.create_task(loop) for loop in loops]

    async def _end(self, loops: Sequence["asyncio.Task[None]"]) -> None:
        for person in (*self._senders, *self._observers):
            person.stopping = True
        if loops:
            await asyncio.wait(loops, timeout=HEAL_SECONDS)
        for loop in loops:
            loop.cancel()
        for outcome in await asyncio.gather(*loops, return_exceptions=True):
            if isinstance(outcome, Exception):
                raise outcome

    # After

    async def _heal(self, nemesis: Nemesis) -> float:
        """End all harm and wait until everybody has everything; answers how long that took once everything ran.

        Who has not everything by then is found by the checker: what they were never told is lost.
        """
        for observer in self._observers:
            observer.calm = True
        for sender in self._senders:
            sender.stopping = True
        async with asyncio.timeout(CALM_SECONDS):
            await nemesis.heal()
            await self._deployment.ready()
            while not all(sender.is_done for sender in self._senders):
                await asyncio.sleep(LOOK_SECONDS)
        began = asyncio.get_running_loop().time()
        ends = await self._last_positions()
        while waited := asyncio.get_running_loop().time() - began:
            behind = [
                (observer.user_id, room)
                for observer in self._observers
                for room in observer.rooms
                if observer.held.get(room, 0) < ends[room]
            ]
            if not behind or waited > HEAL_SECONDS:
                break
            self._deployment.check_keepers()
            await asyncio.sleep(LOOK_SECONDS)
        return waited

    async def _last_positions(self) -> dict[str, int]:
        ends = dict.fromkeys(self._rooms, 0)
        for fact in await self._truth():
            ends[fact.room] = fact.position
        return ends

    async def _gather(self) -> tuple[History, list[str]]:
        """Return the history with the record's truth, and what a rebuild found different."""
        record = await self._truth()
        listed = await self._pages()
        code, said = await self._deployment.command("rebuild", "--all", "--shadow")
        awaited = frozenset((observer.user_id, room) for observer in self._observers for room in observer.rooms)
        history = History(self.log.entries, record, awaited, self._joined, listed)
        return history, [] if code == 0 else [f"exit code {code}: {said}"]

    async def _truth(self) -> list[Fact]:
        """Read the events of this round's rooms straight from the record."""
        db = await Database.open(self._deployment.database_url, size=2)
        try:
            master = load_master(self._deployment.home / "master.key", create=False)
            record = PostgresRecord(db, Vault(db, master), now=now, chance=random.randbytes)
            facts: list[Fact] = []
            position, rooms = self._start, set(self._rooms)
            while page := await record.after(position, limit=PAGE_EVENTS):
                facts += [_fact(each) for each in page if str(each.event.audience()) in rooms]
                position = page[-1].position
            return facts
        finally:
            await db.close()

    async def _pages(self) -> list[Listed]:
        """Read the messages of this round's rooms as a client does, by the other gateway."""
        listed: list[Listed] = []
        headers = {"Authorization": f"Bearer {self._owner.token}"}
        base = f"{self._deployment.base(GATEWAYS[1])}/api/v1"
        async with httpx.AsyncClient(base_url=base, headers=headers, timeout=HEAL_SECONDS) as http:
            for room in self._rooms:
                query = "after=0"
                while query:
                    page = await _asked(http, "GET", f"/rooms/{room}/messages?limit=200&{query}")
                    listed += [
                        Listed(each["position"], room, each["id"], mark(each["content"]), each["deleted"])
                        for each in page["items"]
                        if each["message_type"] == "text"
                    ]
                    query = f"cursor={page['next_cursor']}" if page["next_cursor"] else ""
        return listed


def _fact(recorded: Recorded[Any]) -> Fact:
    event = recorded.event
    subject = getattr(event, "message_id", None) or getattr(event, "user_id", None) or event.room_id
    content = mark(getattr(event, "content", ""))
    return Fact(
        recorded.position, str(event.audience()), event.topic, str(subject), content, str(recorded.meta.actor)
    )  # fmt: skip


async def _asked(http: httpx.AsyncClient, method: str, path: str, body: object = None) -> Any:
    answer = await http.request(method, path, json=body)
    assert answer.status_code < 300, f"{method} {path}: {answer.status_code} {answer.text}"
    return decode(answer.content)


async def _at_once(work: Any) -> Sequence[Any]:
    """Do all of it, a few at once."""
    free = asyncio.Semaphore(LOGINS_AT_ONCE)

    async def one(each: Coroutine[Any, Any, Any]) -> Any:
        async with free:
            return await each

    return await asyncio.gather(*(one(each) for each in work))
